package scim

import (
	"strings"
	"time"
)

// Bounds of a filter. Okta documents none.
const (
	// MaxLength is the greatest length of a filter in bytes.
	MaxLength = 8 << 10
	// MaxDepth is how deep parentheses may nest.
	MaxDepth = 32
	// MaxTerms is how many comparisons a filter may have.
	MaxTerms = 256
)

// Parse reads a filter. The error is always an *Error.
func Parse(source string) (*Filter, error) {
	// A nil *Error must not become an error that is not nil.
	f, failure := parse(source)
	if failure != nil {
		return nil, failure
	}
	return f, nil
}

func parse(source string) (*Filter, *Error) {
	if len(source) > MaxLength {
		return nil, fail(Syntax, source, 0, "the filter is %d bytes long, at most %d are allowed; ask several times", len(source), MaxLength)
	}
	if at := invalidUTF8(source); at >= 0 {
		return nil, fail(Syntax, source, at, "the filter is not UTF-8 here; encode it as UTF-8 before escaping it for the URL")
	}
	p := parser{source: source}
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.token.kind == tokenEnd {
		return nil, fail(Syntax, source, 0, `the filter is empty; write a comparison, for example eventType eq "user.session.start", or leave filter out`)
	}
	root, err := p.disjunction()
	if err != nil {
		return nil, err
	}
	if p.token.kind != tokenEnd {
		return nil, p.unexpected("and, or, or the end")
	}
	f := &Filter{root: root, terms: p.terms}
	f.tree.grow(f.terms)
	return f, nil
}

type parser struct {
	source string
	token  token // the next one
	depth  int
	terms  []term
}

func (p *parser) next() *Error {
	t, err := scan(p.source, p.token.to)
	p.token = t
	return err
}

func (p *parser) fail(at token, problem Problem, format string, args ...any) *Error {
	return fail(problem, p.source, at.from, format, args...)
}

func (p *parser) unexpected(wanted string) *Error {
	if p.token.kind == tokenEnd {
		return p.fail(p.token, Syntax, "the filter breaks off; write %s", wanted)
	}
	return p.fail(p.token, Syntax, "%s cannot stand here; write %s", clip(p.token.text), wanted)
}

func (p *parser) disjunction() (expr, *Error) {
	return p.chain(disjunction, "or", p.conjunction)
}

func (p *parser) conjunction() (expr, *Error) {
	return p.chain(conjunction, "and", p.operand)
}

// chain reads parts joined by a word.
func (p *parser) chain(j joint, word string, part func() (expr, *Error)) (expr, *Error) {
	first, err := part()
	if err != nil || !p.token.is(word) {
		return first, err
	}
	whole := expr{joint: j, parts: []expr{first}}
	for p.token.is(word) {
		if err := p.next(); err != nil {
			return expr{}, err
		}
		e, err := part()
		if err != nil {
			return expr{}, err
		}
		whole.parts = append(whole.parts, e)
	}
	return whole, nil
}

// operand reads a comparison, or what is in parentheses.
func (p *parser) operand() (expr, *Error) {
	negated := p.token.is("not")
	if negated {
		if err := p.next(); err != nil {
			return expr{}, err
		}
		if p.token.kind != tokenOpen {
			return expr{}, p.unexpected("( behind not, and ) behind what it negates")
		}
	}
	if p.token.kind != tokenOpen {
		return p.comparison()
	}
	inner, err := p.parentheses()
	if err == nil && negated {
		inner = expr{joint: negation, parts: []expr{inner}}
	}
	return inner, err
}

func (p *parser) parentheses() (expr, *Error) {
	open := p.token
	if p.depth == MaxDepth {
		return expr{}, p.fail(open, Syntax, "parentheses nest deeper than %d levels; leave out those that change nothing", MaxDepth)
	}
	p.depth++
	defer func() { p.depth-- }()
	if err := p.next(); err != nil {
		return expr{}, err
	}
	inner, err := p.disjunction()
	if err != nil {
		return expr{}, err
	}
	switch p.token.kind {
	case tokenClose:
		return inner, p.next()
	case tokenEnd:
		return expr{}, p.fail(open, Syntax, "this ( is never closed; add a )")
	}
	return expr{}, p.unexpected("and, or, or )")
}

func (p *parser) comparison() (expr, *Error) {
	name := p.token
	if name.kind != tokenWord || name.is("and") || name.is("or") {
		return expr{}, p.unexpected(`a comparison, for example outcome.result eq "FAILURE"`)
	}
	about, err := p.attribute(name)
	if err != nil {
		return expr{}, err
	}
	if len(p.terms) == MaxTerms {
		return expr{}, p.fail(name, Syntax, "the filter has more than %d comparisons; ask several times", MaxTerms)
	}
	if err := p.next(); err != nil {
		return expr{}, err
	}
	op, ok := operatorOf(p.token.text)
	if p.token.kind != tokenWord || !ok {
		return expr{}, p.unexpected("one of the operators " + operators)
	}
	t := term{path: name.text, op: op}
	if why := about.refusal(name.text, op); why != "" {
		return expr{}, p.fail(p.token, Unsupported, "%s cannot be used with %s: %s", op, clip(name.text), why)
	}
	if err := p.next(); err != nil {
		return expr{}, err
	}
	if op != present {
		if t.value, err = p.literal(&t, about); err != nil {
			return expr{}, err
		}
	}
	p.terms = append(p.terms, t)
	return expr{joint: single, term: len(p.terms) - 1}, nil
}

// attribute finds what is documented of the attribute that name is.
func (p *parser) attribute(name token) (*attribute, *Error) {
	if !isPath(name.text) {
		return nil, p.fail(name, Syntax, "%s is no name of an attribute; write letters, digits, _ and -, and dots between", clip(name.text))
	}
	about, prefix := logEvent, ""
	for part := range strings.SplitSeq(name.text, ".") {
		inner := about.find(part)
		if inner == nil {
			return nil, p.fail(name, UnknownField, "there is no attribute %s: %s", clip(name.text), about.instead(prefix, part))
		}
		about, prefix = inner, prefix+part+"."
	}
	switch about.kind {
	case holder:
		return nil, p.fail(name, UnknownField, "%s cannot be used alone; name an attribute within it", name.text)
	case barred:
		return nil, p.fail(name, UnknownField, "%s cannot be used in a filter; use the parameters since and until", name.text)
	}
	return about, nil
}

// literal takes the value that t compares with.
func (p *parser) literal(t *term, about *attribute) (literal, *Error) {
	at := p.token
	v := literal{kind: text, text: at.value}
	if at.kind != tokenString {
		var ok bool
		if at.kind == tokenWord {
			v, ok = at.literal()
		}
		if !ok {
			return literal{}, p.unexpected("text in double quotes, a number, true, false or null")
		}
	}
	switch {
	case v.kind != text && t.op.textual():
		return literal{}, p.fail(at, Syntax, "%s needs text; put %s in double quotes", t.op, clip(at.text))
	case v.kind != text && v.kind != number && t.op.ordering():
		return literal{}, p.fail(at, Syntax, "%s needs text or a number; %s has no order", t.op, at.text)
	case v.kind != null && about.kind != anything && v.kind != about.kind:
		how := "in"
		if about.kind != text {
			how = "without"
		}
		return literal{}, p.fail(at, Syntax, "%s holds %s; write %[2]s, %s double quotes", clip(t.path), about.kind, how)
	}
	if v.kind == text && t.op.ordering() {
		v.time = readTime(v.text)
	}
	return v, p.next()
}

// readTime reads an RFC 3339 time; zero if it is none.
func readTime(written []byte) time.Time {
	var t time.Time
	if t.UnmarshalText(written) != nil {
		return time.Time{}
	}
	return t
}
