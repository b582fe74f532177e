package expression

import (
	"bytes"
	"fmt"
	"sync"
)

// MaxSteps bounds what one Match may cost. A step is about one node visited, one element looked at, eight names
// compared or bytesPerStep bytes of text gone through; a filter of Okta's kind takes some ten, one that goes through
// 10,000 targets some 40,000, and the bound is reached within milliseconds.
const MaxSteps = 200_000

const (
	bytesPerStep = 16
	namesPerStep = 8
)

// machine is the state of one Match.
type machine struct {
	program  *Program
	document *Document
	index    *index  // nil until a path is read
	steps    int     // left
	element  value   // that the innermost bracket looks at
	taken    []value // the elements of the lists that brackets made
}

var machines = sync.Pool{New: func() any { return new(machine) }}

// keptRoom is how many values a machine may keep room for between two Matches.
const keptRoom = 64

// release hands m back; nothing of a document stays in it.
func (m *machine) release() {
	room := m.taken[:0]
	clear(room[:cap(room)])
	if cap(room) > keptRoom {
		room = nil
	}
	*m = machine{taken: room}
	machines.Put(m)
}

func (m *machine) spend(steps int) bool {
	m.steps -= steps
	return m.steps >= 0
}

func (m *machine) exhausted(at span) error {
	return m.fail(at, "the filter takes more than %d steps on this document, whose lists or strings are too long for it; ask less of it", MaxSteps)
}

func (m *machine) fail(at span, format string, args ...any) error {
	source := m.program.source
	return &EvalError{Position: positionAt(source, at.from), Message: fmt.Sprintf(format, args...), Source: source}
}

// truth is what e is worth where a condition must stand; null is false there.
func (m *machine) truth(e expr) (bool, error) {
	switch e := e.(type) {
	case *logical:
		for _, term := range e.terms {
			truth, err := m.truth(term)
			if err != nil {
				return false, err
			}
			if truth == e.or {
				return truth, nil
			}
		}
		return !e.or, nil
	case *negation:
		truth, err := m.truth(e.operand)
		return !truth && err == nil, err
	}
	v, err := m.eval(e)
	if err != nil {
		return false, err
	}
	if v.kind != kindBool && v.kind != kindNull {
		return false, m.fail(e.where(), "%s is %s, where a condition must stand; compare it", m.quote(e.where()), v.kind)
	}
	return v.truth, nil
}

func (m *machine) eval(e expr) (value, error) {
	if !m.spend(1) {
		return value{}, m.exhausted(e.where())
	}
	switch e := e.(type) {
	case *literal:
		return e.value, nil
	case *path:
		return m.path(e)
	case *comparison:
		return m.compare(e)
	default: // *logical, *negation
		truth, err := m.truth(e)
		return boolean(truth), err
	}
}

func (m *machine) compare(e *comparison) (value, error) {
	left, err := m.eval(e.left)
	if err != nil {
		return value{}, err
	}
	right, err := m.eval(e.right)
	if err != nil {
		return value{}, err
	}
	if !e.op.ordering() {
		same, err := m.same(e.span, left, right)
		return boolean(same == (e.op == equal)), err
	}
	if left.kind == kindNull || right.kind == kindNull {
		return null, nil
	}
	order := 0
	switch {
	case left.kind == kindText && right.kind == kindText:
		if !m.spend(min(len(left.text), len(right.text)) / bytesPerStep) {
			return value{}, m.exhausted(e.span)
		}
		order = bytes.Compare(left.text, right.text)
	case left.kind == kindNumber && right.kind == kindNumber:
		if order, err = m.compareNumbers(e.span, left, right); err != nil {
			return value{}, err
		}
	default:
		return value{}, m.fail(span{e.opAt, e.to}, "%s cannot order %s and %s", e.op, left.kind, right.kind)
	}
	switch e.op {
	case less:
		return boolean(order < 0), nil
	case atMost:
		return boolean(order <= 0), nil
	case greater:
		return boolean(order > 0), nil
	default:
		return boolean(order >= 0), nil
	}
}

// same tells whether two values are equal. Values of different kinds are not.
func (m *machine) same(at span, a, b value) (bool, error) {
	if a.kind == kindNull || b.kind == kindNull {
		return a.kind == b.kind, nil
	}
	for _, k := range [...]kind{a.kind, b.kind} {
		if k == kindList || k == kindObject {
			return false, m.fail(at, "%s can only be compared with null; compare what is in it", k)
		}
	}
	if a.kind != b.kind {
		return false, nil
	}
	switch a.kind {
	case kindText:
		if len(a.text) != len(b.text) {
			return false, nil
		}
		if !m.spend(len(a.text) / bytesPerStep) {
			return false, m.exhausted(at)
		}
		return bytes.Equal(a.text, b.text), nil
	case kindNumber:
		order, err := m.compareNumbers(at, a, b)
		return order == 0, err
	default:
		return a.truth == b.truth, nil
	}
}

func (m *machine) compareNumbers(at span, a, b value) (int, error) {
	if !m.spend((len(a.text) + len(b.text)) / bytesPerStep) {
		return 0, m.exhausted(at)
	}
	order, ok := compareNumbers(a, b)
	if !ok {
		return 0, m.fail(at, "a number has an exponent of more than %d digits and cannot be compared", exponentDigits)
	}
	return order, nil
}

// quote is a part of the source as a message has it.
func (m *machine) quote(part span) string { return clip(m.program.source[part.from:part.to]) }

// upTo is what p is before step i, as a message has it.
func (m *machine) upTo(p *path, i int) string {
	to := p.root.to
	if i > 0 {
		to = p.steps[i-1].to
	}
	return m.quote(span{p.from, to})
}
