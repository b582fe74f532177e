package expression

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// finding is what is known of an expression's value before a document is read.
type finding struct {
	kind  kind
	shape *shape // of objects and lists from a document; nil if nothing is known of what is in them
	// sure: it cannot be otherwise. What Okta documents of a scalar field is not sure in an open dialect.
	sure bool
}

var unknown = finding{kind: kindAny}

func known(k kind) finding { return finding{kind: k, sure: true} }

type checker struct {
	source   string
	table    *table
	elements []finding // what the open brackets look at, the innermost last
	mistakes []mistake
}

// mistake is something that a dialect refuses or, if it has a kind, warns of.
type mistake struct {
	at           int
	kind         WarningKind
	what, advice string
}

func (m mistake) warning(source string) Warning {
	return Warning{Position: positionAt(source, m.at), Kind: m.kind, Message: m.what + "; " + m.advice, Source: source}
}

// check compares a tree with a dialect's table. It answers the reasons to refuse the tree and the doubts that do not
// forbid it, each in the order of the source.
func check(source string, root expr, t *table) (refusals, doubts []mistake) {
	c := &checker{source: source, table: t}
	c.condition(root)
	slices.SortStableFunc(c.mistakes, func(a, b mistake) int { return cmp.Compare(a.at, b.at) })
	for _, m := range c.mistakes {
		if m.kind == "" {
			refusals = append(refusals, m)
		} else {
			doubts = append(doubts, m)
		}
	}
	return refusals, doubts
}

func (c *checker) refuse(at int, advice, format string, args ...any) {
	c.mistakes = append(c.mistakes, mistake{at: at, what: fmt.Sprintf(format, args...), advice: advice})
}

// complain refuses what is sure to be wrong and warns of what is only likely to be.
func (c *checker) complain(sure bool, at int, advice, format string, args ...any) {
	m := mistake{at: at, what: fmt.Sprintf(format, args...), advice: advice}
	if !sure {
		m.kind = UnlikelyType
	}
	c.mistakes = append(c.mistakes, m)
}

func (c *checker) quote(s span) string { return clip(c.source[s.from:s.to]) }

// conditionAdvice says how to make a condition of a value that is none.
var conditionAdvice = map[kind]string{
	kindNull:   "compare something with null, for example event.actor.id ne null",
	kindNumber: "compare it, for example with > 0",
	kindText:   "compare it, for example with eq '…'",
	kindList:   "add .size() > 0 to ask whether anything is in it",
	kindObject: "compare one of its fields",
}

// condition checks e where true or false must stand.
func (c *checker) condition(e expr) {
	f := c.find(e)
	if advice, wrong := conditionAdvice[f.kind]; wrong {
		c.complain(f.sure, e.where().from, advice, "%s is %s, where a condition must stand", c.quote(e.where()), f.kind)
	}
}

// find checks e and answers what is known of its value.
func (c *checker) find(e expr) finding {
	switch e := e.(type) {
	case *logical:
		for _, term := range e.terms {
			c.condition(term)
		}
	case *negation:
		c.condition(e.operand)
	case *comparison:
		c.comparison(e)
	case *literal:
		if c.table.closed && e.value.kind == kindNumber && !e.value.whole {
			c.refuse(e.from, "round it", "Okta's filters have whole numbers of up to 18 digits only")
		}
		return known(e.value.kind)
	case *path:
		return c.path(e)
	}
	return known(kindBool)
}

func (c *checker) comparison(e *comparison) {
	left, right := c.leftOf(e), c.find(e.right)
	for i, f := range []finding{left, right} {
		side, other := e.left, right
		if i == 1 {
			side, other = e.right, left
		}
		if (f.kind == kindList || f.kind == kindObject) && (other.kind != kindNull || e.op.ordering()) {
			c.refuse(side.where().from, insideAdvice[f.kind], "%s is %s, which can only be compared with null by eq and ne", c.quote(side.where()), f.kind)
			return
		}
	}
	if e.op.ordering() {
		for i, f := range []finding{left, right} {
			if f.kind == kindNull || f.kind == kindBool {
				side := []expr{e.left, e.right}[i]
				c.complain(f.sure, side.where().from, "compare it with eq or ne", "%s is %s, which has no order", c.quote(side.where()), f.kind)
				return
			}
		}
	}
	if left.kind == right.kind || left.kind == kindAny || right.kind == kindAny || left.kind == kindNull || right.kind == kindNull {
		return
	}
	never := "are never equal"
	if e.op.ordering() {
		never = "have no order"
	}
	c.complain(left.sure && right.sure, e.opAt, "make both of one kind", "%s is %s and %s is %s, which %s",
		c.quote(e.left.where()), left.kind, c.quote(e.right.where()), right.kind, never)
}

// insideAdvice says how to compare what is inside a list or object.
var insideAdvice = map[kind]string{
	kindList:   "ask for its elements with .?[ ] and .size()",
	kindObject: "compare one of its fields",
}

// leftOf checks the left side of a comparison, where !a eq b is most likely meant as !(a eq b).
func (c *checker) leftOf(e *comparison) finding {
	n, ok := e.left.(*negation)
	if !ok {
		return c.find(e.left)
	}
	f := c.find(n.operand)
	if _, wrong := conditionAdvice[f.kind]; wrong {
		c.complain(f.sure, n.from, "write !( ) around the comparison", "! binds tighter than a comparison, so it negates %s alone", c.quote(n.operand.where()))
	}
	return known(kindBool)
}

// path checks a path and answers what it leads to.
func (c *checker) path(p *path) finding {
	f, ok := c.root(p)
	if !ok {
		return unknown
	}
	for i := range p.steps {
		s := &p.steps[i]
		before := span{p.from, p.root.to}
		if i > 0 {
			before.to = p.steps[i-1].to
		}
		switch s.kind {
		case property:
			f = c.property(before, f, s)
		case call:
			f = c.call(before, f, s)
		default:
			f = c.brackets(before, f, s)
		}
	}
	if c.table.closed && f.kind == kindObject {
		whole := c.quote(p.span)
		c.refuse(p.from, "they read "+join(f.shape.readable(whole)), "Okta's filters cannot read %s whole", whole)
		return unknown
	}
	return f
}

// root answers what the name a path begins with stands for.
func (c *checker) root(p *path) (finding, bool) {
	root := c.table.root
	name := p.root.name
	if p.inElement {
		if name == root {
			c.refuse(p.from, "move the condition out and join it by &&", "inside .?[ ] and .![ ] stand properties of the element, so %s cannot be reached there", root)
			return unknown, false
		}
		return c.property(span{}, c.elements[len(c.elements)-1], &p.root), true
	}
	if name == root {
		return c.shaped(c.table.shape), true
	}
	advice := "a string goes between quotes"
	switch field := c.table.shape.fields[name]; {
	case field != nil && field.kind == kindList:
		advice = fmt.Sprintf("write %s.%s.?[ … ].size() > 0", root, name)
	case field != nil:
		advice = fmt.Sprintf("write %s.%s", root, c.quote(p.span))
	case strings.EqualFold(name, root):
		advice = "write " + root
	}
	c.refuse(p.from, advice, "a path begins with %s, so %s means nothing here", root, clip(name))
	return unknown, false
}

// shaped is what is known of a field of the shape s.
func (c *checker) shaped(s *shape) finding {
	scalar := s.kind == kindText || s.kind == kindNumber || s.kind == kindBool
	return finding{kind: s.kind, shape: s, sure: c.table.closed || !scalar}
}
