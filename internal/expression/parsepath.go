package expression

import "strings"

// path reads a name and the steps from it.
func (p *parser) path() (expr, error) {
	t := p.take()
	if err := p.functionError(t); err != nil {
		return nil, err
	}
	e := &path{span: t.span, root: newStep(t), inElement: p.element > 0}
	for p.peek().kind == tokenDot {
		dot := p.take()
		var s step
		var err error
		switch p.peek().kind {
		case tokenName:
			s, err = p.member()
		case tokenSelect, tokenProject:
			s, err = p.brackets()
		default:
			if b := p.peek().kind; b == tokenBad || b == tokenOpenIndex {
				return nil, p.unexpected("")
			}
			return nil, p.fail(dot.from, "behind the dot a name or ?[ ] is missing")
		}
		if err != nil {
			return nil, err
		}
		e.steps = append(e.steps, s)
		e.to = s.to
	}
	switch p.peek().kind {
	case tokenOpenIndex, tokenSelect, tokenProject:
		return nil, p.unexpected("")
	}
	return e, nil
}

func newStep(name token) step {
	return step{span: name.span, name: name.text, key: []byte(name.text)}
}

// functionError refuses what looks like a path but calls or constructs something.
func (p *parser) functionError(name token) error {
	switch next := p.peek().kind; {
	case next == tokenOpen && name.text == "T":
		return p.fail(name.from, "types with T(…) are not supported; only paths, literals and operators are")
	case next == tokenOpen:
		return p.fail(name.from, "there is no function %s(); methods are called on a value: event.outcome.reason.contains('…')", clip(name.text))
	case next == tokenName && name.text == "new":
		return p.fail(name.from, "constructors with new are not supported; write the value itself, for example 'x'")
	}
	for _, word := range []string{"true", "false", "null"} {
		switch {
		case name.text == word:
			return p.fail(name.from, "%s is a literal and cannot be a property here", word)
		case strings.EqualFold(name.text, word):
			return p.fail(name.from, "write %s in lower case", word)
		}
	}
	return nil
}

// member reads a property, or a method with its arguments.
func (p *parser) member() (step, error) {
	s := newStep(p.take())
	open := p.peek()
	if open.kind != tokenOpen {
		return s, nil
	}
	p.take()
	s.kind = call
	for p.peek().kind != tokenClose {
		if len(s.args) > 0 {
			if p.peek().kind == tokenEnd {
				return s, p.close(tokenClose, open)
			}
			if p.peek().kind != tokenComma {
				return s, p.unexpected("a comma or the ) behind the arguments")
			}
			p.take()
		}
		if p.peek().kind == tokenEnd {
			return s, p.close(tokenClose, open)
		}
		arg, err := p.nest(p.peek().from, p.operand)
		if err != nil {
			return s, err
		}
		s.args = append(s.args, arg)
	}
	s.to = p.take().to
	return s, nil
}

// brackets reads a selection or a projection.
func (p *parser) brackets() (step, error) {
	open := p.take()
	s := step{kind: selection, span: open.span}
	inner := p.disjunction
	if open.kind == tokenProject {
		s.kind = projection
		inner = func() (expr, error) {
			if p.peek().kind != tokenName {
				return nil, p.unexpected("a property of the list's elements")
			}
			return p.path()
		}
	}
	p.element++
	defer func() { p.element-- }()
	var err error
	if s.inner, err = p.nest(open.from, inner); err != nil {
		return s, err
	}
	if err := p.close(tokenCloseBracket, open); err != nil {
		return s, err
	}
	s.to = p.tokens[p.at-1].to
	return s, nil
}
