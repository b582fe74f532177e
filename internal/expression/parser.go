package expression

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of an expression. Okta documents none; the longest published example has 176 bytes.
const (
	// MaxSource is the greatest length of an expression in bytes.
	MaxSource = 8 << 10
	// MaxDepth is how deep parentheses, negations, arguments and the brackets of selections may nest.
	MaxDepth = 64
)

type parser struct {
	source  string
	tokens  []token // ends with tokenEnd or tokenBad
	at      int
	depth   int
	element int // how many brackets of selections and projections are open
}

func parse(source string) (expr, error) {
	p := &parser{source: source}
	if len(source) > MaxSource {
		return nil, p.fail(MaxSource, "the expression is %d bytes long, %d at most are allowed; split it over several hooks", len(source), MaxSource)
	}
	if at := invalidUTF8(source); at >= 0 {
		return nil, p.fail(at, "the expression is not valid UTF-8 here; type this character anew")
	}
	p.tokens = scan(source)
	if p.peek().kind == tokenEnd {
		return nil, p.fail(0, "the expression is empty; write a condition, for example event.outcome.result eq 'SUCCESS', or leave the filter out")
	}
	e, err := p.disjunction()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.unexpected("&& or || and another condition, or the end")
	}
	return e, nil
}

func invalidUTF8(text string) int {
	for at, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[at:]); size == 1 {
				return at
			}
		}
	}
	return -1
}

func (p *parser) fail(at int, format string, args ...any) error {
	for at > 0 && at < len(p.source) && !utf8.RuneStart(p.source[at]) {
		at--
	}
	return &SyntaxError{Position: positionAt(p.source, at), Message: fmt.Sprintf(format, args...), Source: p.source}
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

func (p *parser) text(s span) string { return p.source[s.from:s.to] }

// word tells whether the next token is one of the operators that are words, in any case of letters.
func (p *parser) word(words ...string) bool {
	t := p.peek()
	if t.kind != tokenName {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(t.text, w) {
			return true
		}
	}
	return false
}

// unexpected is the error for a token that stands where expected must.
func (p *parser) unexpected(expected string) error {
	t := p.peek()
	switch t.kind {
	case tokenBad:
		return p.fail(t.from, "%s", t.text)
	case tokenEnd:
		return p.fail(t.from, "the expression breaks off; expected %s", expected)
	case tokenClose, tokenCloseBracket:
		return p.fail(t.from, "this %s closes nothing, or too early; expected %s", t.text, expected)
	case tokenOpenIndex:
		return p.fail(t.from, "there is no indexing, for places in a list are not fixed; select with .?[type eq '…']")
	case tokenSelect, tokenProject:
		return p.fail(t.from, "a dot must precede it: .%s … ]", t.text)
	case tokenName:
		switch strings.ToLower(t.text) {
		case "matches", "like", "co", "sw", "ew", "in", "between", "instanceof", "pr", "contains", "startswith":
			return p.fail(t.from, "there is no operator %s; compare with eq, ne, <, <=, >, >= or call a method such as .contains('…')", t.text)
		}
	}
	return p.fail(t.from, "%s cannot stand here; expected %s", clip(p.text(t.span)), expected)
}

// nest runs inner one level deeper.
func (p *parser) nest(at int, inner func() (expr, error)) (expr, error) {
	if p.depth == MaxDepth {
		return nil, p.fail(at, "the expression nests deeper than %d levels; take it apart", MaxDepth)
	}
	p.depth++
	defer func() { p.depth-- }()
	return inner()
}

func (p *parser) disjunction() (expr, error) {
	return p.chain(true, p.conjunction, func() bool { return p.peek().kind == tokenOr || p.word("or") })
}

func (p *parser) conjunction() (expr, error) {
	return p.chain(false, p.comparison, func() bool { return p.peek().kind == tokenAnd || p.word("and") })
}

// chain reads terms joined by one operator. Parentheses around a part of the chain change nothing, so they
// leave no trace in the tree.
func (p *parser) chain(or bool, term func() (expr, error), joined func() bool) (expr, error) {
	first, err := term()
	if err != nil || !joined() {
		return first, err
	}
	l := &logical{or: or}
	for next := first; ; {
		if inner, ok := next.(*logical); ok && inner.or == or {
			l.terms = append(l.terms, inner.terms...)
		} else {
			l.terms = append(l.terms, next)
		}
		if !joined() {
			l.span = span{first.where().from, next.where().to}
			return l, nil
		}
		p.take()
		if next, err = term(); err != nil {
			return nil, err
		}
	}
}

var compareWords = map[string]operator{"eq": equal, "ne": notEqual, "lt": less, "le": atMost, "gt": greater, "ge": atLeast}

// compareOperator takes the operator that comes next, if one does.
func (p *parser) compareOperator() (op operator, at token, ok bool) {
	at = p.peek()
	switch at.kind {
	case tokenCompare:
		op, ok = at.op, true
	case tokenName:
		op, ok = compareWords[strings.ToLower(at.text)]
	}
	if ok {
		p.take()
	}
	return op, at, ok
}

func (p *parser) comparison() (expr, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	op, at, ok := p.compareOperator()
	if !ok {
		return left, nil
	}
	if p.peek().kind == tokenEnd {
		return nil, p.fail(p.peek().from, "%s needs a value on its right: a string in quotes, a number, true, false, null or a path", at.text)
	}
	right, err := p.unary()
	if err != nil {
		return nil, err
	}
	if _, second, ok := p.compareOperator(); ok {
		return nil, p.fail(second.from, "a comparison cannot be compared again; join two comparisons by && or use parentheses")
	}
	return &comparison{span: span{left.where().from, right.where().to}, op: op, opAt: at.from, left: left, right: right}, nil
}

func (p *parser) unary() (expr, error) {
	t := p.peek()
	if t.kind != tokenNot && !p.word("not") {
		return p.operand()
	}
	p.take()
	operand, err := p.nest(t.from, p.unary)
	if err != nil {
		return nil, err
	}
	return &negation{span: span{t.from, operand.where().to}, operand: operand}, nil
}

func (p *parser) operand() (expr, error) {
	var e expr
	t := p.peek()
	switch t.kind {
	case tokenName:
		switch t.text {
		case "true", "false":
			e = &literal{t.span, boolean(t.text == "true")}
		case "null":
			e = &literal{t.span, null}
		default:
			if p.stray() {
				return nil, p.fail(t.from, "%s needs a value on its left", t.text)
			}
			return p.path()
		}
		p.take()
	case tokenString:
		p.take()
		e = &literal{t.span, textValue([]byte(t.text))}
	case tokenNumber:
		p.take()
		v := number([]byte(t.text))
		v.text = []byte(t.text)
		e = &literal{t.span, v}
	case tokenOpen:
		p.take()
		inner, err := p.nest(t.from, p.disjunction)
		if err != nil {
			return nil, err
		}
		if err := p.close(tokenClose, t); err != nil {
			return nil, err
		}
		e = inner
	case tokenAnd, tokenOr, tokenCompare:
		return nil, p.fail(t.from, "%s needs a value on its left", t.text)
	default:
		return nil, p.unexpected("a condition or a value")
	}
	switch p.peek().kind {
	case tokenDot, tokenSelect, tokenProject:
		return nil, p.fail(p.peek().from, "only a path can be read or called with a dot, not a literal and not parentheses")
	}
	return e, nil
}

// stray tells whether the name that comes next is an operator with nothing on its left. An element may have a
// property called like an operator; that one is read or compared.
func (p *parser) stray() bool {
	if !p.word("and", "or", "eq", "ne", "lt", "le", "gt", "ge") {
		return false
	}
	next := p.tokens[p.at+1]
	_, compared := compareWords[strings.ToLower(next.text)]
	return next.kind != tokenDot && next.kind != tokenCompare && !(next.kind == tokenName && compared)
}

// close takes the bracket that ends what open began.
func (p *parser) close(kind tokenKind, open token) error {
	if p.peek().kind == kind {
		p.take()
		return nil
	}
	if p.peek().kind == tokenEnd {
		closing := ")"
		if kind == tokenCloseBracket {
			closing = "]"
		}
		return p.fail(open.from, "this %s is never closed; add a %s", open.text, closing)
	}
	if open.kind == tokenProject {
		return p.unexpected("the ] behind the property")
	}
	if kind == tokenCloseBracket {
		return p.unexpected("&& or || and another condition, or the ] of the selection")
	}
	return p.unexpected("&& or || and another condition, or a )")
}
