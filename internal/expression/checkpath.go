package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// theElement is how messages call what the brackets look at.
const theElement = "an element of the list"

// property checks the reading of a property from f. The part of the source that led to f is before; it is empty
// when f is the element in brackets.
func (c *checker) property(before span, f finding, s *step) finding {
	if f.kind == kindAny {
		return unknown
	}
	owner := theElement
	if before.to > 0 {
		owner = c.quote(before)
	}
	if len(c.table.methodsNamed(s.name)) > 0 && f.kind != kindObject {
		c.complain(f.sure, s.from, "write "+s.name+"()", "%s is a method", s.name)
		return unknown
	}
	switch f.kind {
	case kindObject:
		if field, ok := f.shape.fields[s.name]; ok {
			return c.shaped(field)
		}
		if !f.shape.open {
			c.unknownField(owner, f.shape, s)
		}
		return unknown
	case kindList:
		c.refuse(s.from, fmt.Sprintf("select from it: %s.?[%s eq '…'].size() > 0", owner, clip(s.name)), "%s is a list, so it has no %s", owner, clip(s.name))
	default:
		c.complain(f.sure, s.from, "compare it or call a method", "%s is %s and has no properties", owner, f.kind)
	}
	return unknown
}

// unknownField speaks of a field that a shape which names all of its fields does not name.
func (c *checker) unknownField(owner string, in *shape, s *step) {
	name := clip(s.name)
	near := nearest(s.name, slices.Sorted(maps.Keys(in.fields)))
	advice := "did you mean " + near + "?"
	if !c.table.closed {
		if near == "" {
			advice = "if that is no slip, it is null in every event without it"
		}
		what := fmt.Sprintf("Okta documents no field %s of %s", name, owner)
		c.mistakes = append(c.mistakes, mistake{at: s.from, kind: UnknownField, what: what, advice: advice})
		return
	}
	switch {
	case near != "":
	case owner == c.table.root && c.table.nicknamed(s.name) != "":
		advice = fmt.Sprintf("in filters it is called %s.%s", owner, c.table.nicknamed(s.name))
	case owner == theElement:
		advice = "they read " + join(slices.Sorted(maps.Keys(in.fields)))
	default:
		advice = "they read " + join(in.readable(owner))
	}
	c.refuse(s.from, advice, "Okta's filters cannot read the field %s of %s", name, owner)
}

// call checks the call of a method on f.
func (c *checker) call(before span, f finding, s *step) finding {
	named := c.table.methodsNamed(s.name)
	fitting := slices.DeleteFunc(slices.Clone(named), func(m *method) bool { return f.kind != kindAny && m.on != f.kind })
	switch {
	case len(named) == 0:
		c.refuse(s.from, c.methodAdvice(f.kind), "there is no method %s()", clip(s.name))
	case len(fitting) == 0:
		c.complain(f.sure, s.from, c.methodAdvice(f.kind), "%s is %s, and %s() is not for such", c.quote(before), f.kind, s.name)
	default:
		c.arguments(s, fitting)
		if len(fitting) == 1 || fitting[0].result == fitting[1].result {
			return known(fitting[0].result)
		}
		return unknown
	}
	for _, arg := range s.args {
		c.find(arg)
	}
	return unknown
}

func (c *checker) methodAdvice(on kind) string {
	methods := c.table.methodsOn(on)
	if methods == "" {
		return "compare it instead"
	}
	if on == kindAny {
		return "there are " + methods
	}
	return strings.TrimPrefix(strings.TrimPrefix(on.String(), "a "), "an ") + "s have " + methods
}

// arguments checks what is handed to a method, of which there are several if the receiver's kind is not known.
func (c *checker) arguments(s *step, methods []*method) {
	most := methods[0].params
	least := len(most) - methods[0].optional
	if len(s.args) < least || len(s.args) > len(most) {
		count := [...]string{"no argument", "one argument", "two arguments"}
		wanted := count[len(most)]
		if least < len(most) {
			wanted = "one or two arguments"
		}
		c.refuse(s.from, "give it "+wanted, "%s() takes %s, not %d", s.name, wanted, len(s.args))
	}
	for i, arg := range s.args {
		f := c.find(arg)
		fits := i >= len(most) || f.kind == kindAny
		for _, m := range methods {
			fits = fits || i < len(m.params) && (m.params[i] == f.kind || m.params[i] == kindAny && f.kind <= kindText && f.kind != kindNull)
		}
		if !fits {
			wanted := most[i].String()
			if most[i] == kindAny {
				wanted = "a string, number or boolean"
			}
			c.complain(f.sure, arg.where().from, "give it "+wanted, "%s is %s, which %s() does not take", c.quote(arg.where()), f.kind, s.name)
		}
	}
}

// brackets checks a selection or projection on f.
func (c *checker) brackets(before span, f finding, s *step) finding {
	if f.kind != kindList && f.kind != kindAny {
		c.complain(f.sure, s.from, "compare it without [ ]", "%s is %s, and only from a list can be selected", c.quote(before), f.kind)
		f = unknown
	}
	element := unknown
	if f.shape != nil && f.shape.element != nil {
		element = c.shaped(f.shape.element)
	}
	c.elements = append(c.elements, element)
	defer func() { c.elements = c.elements[:len(c.elements)-1] }()
	if s.kind == selection {
		c.condition(s.inner)
		return finding{kind: kindList, shape: f.shape, sure: true}
	}
	if c.table.closed {
		c.refuse(s.from, "ask with .?[ ] and .size() > 0", "Okta's filters have no projection .![ ]")
	}
	projected := c.find(s.inner)
	inner := projected.shape
	if inner == nil {
		inner = &shape{kind: projected.kind}
	}
	return finding{kind: kindList, shape: listOf(inner), sure: true}
}

// nearest answers the name that is most likely meant by one that does not exist; "" if none is near.
func nearest(name string, names []string) string {
	best, least := "", 3
	for _, candidate := range names {
		if strings.EqualFold(name, candidate) {
			return candidate
		}
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < least && d*2 < len(candidate) {
			best, least = candidate, d
		}
	}
	return best
}

// distance is Levenshtein's: how many letters must be put in, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
