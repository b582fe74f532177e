package scim

import "slices"

// Bound returns texts of which an event must have one as its attribute, such as
// eventType, uuid, actor.id or target.id, to match the filter; of a list, as any
// element. They are sorted and each is there once. ok is false if nothing is
// known, because the filter may match events with any text there or none.
//
// An index over the attribute need only give out the events with one of the
// values. All that match are among them, but Match decides which those are.
//
// There is no such bound of published, which Okta keeps out of filters: there,
// since and until are the bound.
func (f *Filter) Bound(attribute string) (values []string, ok bool) {
	values, ok = f.bound(&f.root, attribute, false)
	slices.Sort(values)
	return slices.Compact(values), ok
}

// bound is Bound for e, or for its negation.
func (f *Filter) bound(e *expr, attribute string, negated bool) (values []string, ok bool) {
	switch {
	case e.joint == single:
		// If no value differs from the literal, and one is there, that is the literal.
		t := &f.terms[e.term]
		if t.path != attribute || t.value.kind != text || t.op != equal && t.op != notEqual || (t.op == equal) == negated {
			return nil, false
		}
		return []string{string(t.value.text)}, true
	case e.joint == negation:
		return f.bound(&e.parts[0], attribute, !negated)
	case (e.joint == conjunction) != negated:
		return f.least(e.parts, attribute, negated)
	}
	for i := range e.parts {
		part, ok := f.bound(&e.parts[i], attribute, negated)
		if !ok {
			return nil, false
		}
		values = append(values, part...)
	}
	return values, true
}

// least is the shortest bound of parts that must all hold. They are not
// intersected: two parts may be met by two elements of a list.
func (f *Filter) least(parts []expr, attribute string, negated bool) (values []string, ok bool) {
	for i := range parts {
		part, bounded := f.bound(&parts[i], attribute, negated)
		if bounded && (!ok || len(part) < len(values)) {
			values, ok = part, true
		}
	}
	return values, ok
}
