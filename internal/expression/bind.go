package expression

import "strings"

// bind notes in every path of the tree where a document holds it and what its methods are in the dialect t.
// The tree must have passed check.
func bind(e expr, t *table) {
	switch e := e.(type) {
	case *logical:
		for _, term := range e.terms {
			bind(term, t)
		}
	case *negation:
		bind(e.operand, t)
	case *comparison:
		bind(e.left, t)
		bind(e.right, t)
	case *path:
		bindPath(e, t)
	}
}

func bindPath(p *path, t *table) {
	if !p.inElement {
		p.places, p.bound = placesOf(p, t)
	}
	for i := range p.steps {
		s := &p.steps[i]
		for _, arg := range s.args {
			bind(arg, t)
		}
		if s.inner != nil {
			bind(s.inner, t)
		}
		if s.kind != call {
			continue
		}
		for _, m := range t.methodsNamed(s.name) {
			if m.on == kindText {
				s.onText = m
			} else {
				s.onList = m
			}
		}
	}
}

// placesOf answers the places of the longest beginning of p that the dialect puts elsewhere, else of its root
// alone, each with the root's own place before it; and how many steps that beginning has.
func placesOf(p *path, t *table) (places [][]place, bound int) {
	ways := [][]string{nil}
	for beginning, moved := range t.places {
		if names := strings.Split(beginning, "."); len(names) > bound && p.beginsWith(names) {
			ways, bound = moved, len(names)
		}
	}
	at := p.root.span
	if bound > 0 {
		at = p.steps[bound-1].span
	}
	for _, way := range ways {
		var keys []place
		for _, name := range append(t.at[:len(t.at):len(t.at)], way...) {
			keys = append(keys, place{key: []byte(name), at: at})
		}
		places = append(places, keys)
	}
	return places, bound
}

// beginsWith tells whether the first steps of p read these properties.
func (p *path) beginsWith(names []string) bool {
	if len(names) > len(p.steps) {
		return false
	}
	for i, name := range names {
		if p.steps[i].kind != property || p.steps[i].name != name {
			return false
		}
	}
	return true
}
