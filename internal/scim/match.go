package scim

import (
	"bytes"
	"cmp"
	"strings"
)

// Match tells whether an event matches. event is the JSON of a LogEvent as okta
// accepts it, which is well-formed; of anything else some answer is given. It
// is scanned where it lies and not decoded.
func (f *Filter) Match(event []byte) bool {
	m := matcher{filter: f, text: jsonText(event)}
	// Most filters are small: their scratch lies on the stack.
	var small [64]int
	if m.last = small[:]; f.tree.size > len(small) {
		m.last = make([]int, f.tree.size)
	}
	m.value(&f.tree.root, m.text.blanks(0), 0)
	return m.holds(&f.root)
}

// bits has one bit per term.
type bits [MaxTerms / 64]uint64

func (b *bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b *bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// A matcher goes through an event and notes which terms a value meets.
type matcher struct {
	filter *Filter
	text   jsonText
	met    bits // the terms that some value meets
	filled bits // the terms whose attribute has any value
	// last is, by branch of the tree, where the value of a member begins, 0 for
	// none. A branch is in use by one object at a time.
	last []int
}

// holds judges e once the event has been gone through.
func (m *matcher) holds(e *expr) bool {
	switch e.joint {
	case single:
		switch t := &m.filter.terms[e.term]; {
		case t.op == equal && t.value.kind == null:
			return !m.met.has(e.term)
		case t.op == notEqual:
			return m.met.has(e.term) || t.value.kind != null && !m.filled.has(e.term)
		}
		return m.met.has(e.term)
	case negation:
		return !m.holds(&e.parts[0])
	}
	for i := range e.parts {
		if m.holds(&e.parts[i]) == (e.joint == disjunction) {
			return e.joint == disjunction
		}
	}
	return e.joint == conjunction
}

// maxDepth is how deep a value may lie in lists of lists, the depth that okta
// accepts. Objects are only gone into as far as the filter's paths reach.
const maxDepth = 128

// value tries the value at at, and what is in it, on the terms of a branch.
func (m *matcher) value(b *branch, at, depth int) {
	if at >= len(m.text) || depth == maxDepth {
		return
	}
	switch m.text[at] {
	case '[':
		m.list(b, at, depth+1)
		return
	case '{':
		m.scalar(b, at, scalar{kind: object})
		if len(b.branches) > 0 {
			m.object(b, at, depth+1)
		}
		return
	}
	if len(b.terms) > 0 {
		m.scalar(b, at, m.text.scalar(at))
	}
}

func (m *matcher) list(b *branch, at, depth int) {
	for at = m.text.blanks(at + 1); at < len(m.text) && m.text[at] != ']'; {
		m.value(b, at, depth)
		at = m.text.blanks(m.text.skip(at))
		if at >= len(m.text) || m.text[at] != ',' {
			return
		}
		at = m.text.blanks(at + 1)
	}
}

// object looks for the members that b has branches for, and tries the last one
// of each name.
func (m *matcher) object(b *branch, at, depth int) {
	for _, inner := range b.branches {
		m.last[inner.number] = 0
	}
	for at = m.text.blanks(at + 1); at < len(m.text) && m.text[at] == '"'; {
		end := m.text.skip(at)
		name := m.text.inside(at, end)
		if at = m.text.blanks(end); at < len(m.text) && m.text[at] == ':' {
			at = m.text.blanks(at + 1)
		}
		if inner := b.find(name); inner != nil {
			m.last[inner.number] = at
		}
		at = m.text.blanks(m.text.skip(at))
		if at >= len(m.text) || m.text[at] != ',' {
			break
		}
		at = m.text.blanks(at + 1)
	}
	for _, inner := range b.branches {
		if at := m.last[inner.number]; at > 0 {
			m.value(inner, at, depth)
		}
	}
}

// scalar tries v, which is not a list, on the terms that end at b. at is where it stands.
func (m *matcher) scalar(b *branch, at int, v scalar) {
	for _, i := range b.terms {
		switch t := &m.filter.terms[i]; {
		case t.asksPresence():
			if !m.met.has(i) && m.text.filled(at) {
				m.met.set(i)
			}
		case v.kind != null:
			m.filled.set(i)
			if t.meets(v) {
				m.met.set(i)
			}
		}
	}
}

// meets compares a value of an event, not null, with the literal.
func (t *term) meets(v scalar) bool {
	if v.kind != t.value.kind {
		return t.op == notEqual
	}
	var order int
	switch v.kind {
	case boolean:
		return (v.truth == t.value.truth) == (t.op == equal)
	case number:
		order = cmp.Compare(v.number, t.value.number)
	default:
		switch t.op {
		case contains:
			return bytes.Contains(v.text, t.value.text)
		case hasPrefix:
			return bytes.HasPrefix(v.text, t.value.text)
		case hasSuffix:
			return bytes.HasSuffix(v.text, t.value.text)
		}
		order = t.value.order(v.text)
	}
	switch t.op {
	case equal:
		return order == 0
	case notEqual:
		return order != 0
	case greater:
		return order > 0
	case atLeast:
		return order >= 0
	case less:
		return order < 0
	default:
		return order <= 0
	}
}

// order compares a text with the literal: by time if both are times and the
// operator goes by order, else by code points, of which UTF-8 keeps the order.
func (v literal) order(other []byte) int {
	if !v.time.IsZero() {
		if at := readTime(other); !at.IsZero() {
			return at.Compare(v.time)
		}
	}
	return bytes.Compare(other, v.text)
}

// tree has the paths of a filter's terms, so that they share one way through an event.
type tree struct {
	root branch
	size int
}

type branch struct {
	name     string
	number   int // in the tree
	branches []*branch
	terms    []int // whose path ends here
}

func (t *tree) grow(terms []term) {
	for i := range terms {
		t.add(terms[i].path, i)
		if rest, ok := strings.CutPrefix(terms[i].path, "request.ipChain"); ok {
			t.add("client.ipChain"+rest, i)
		}
	}
}

func (t *tree) add(path string, term int) {
	at := &t.root
	for name := range strings.SplitSeq(path, ".") {
		next := at.find([]byte(name))
		if next == nil {
			next = &branch{name: name, number: t.size}
			t.size++
			at.branches = append(at.branches, next)
		}
		at = next
	}
	at.terms = append(at.terms, term)
}

func (b *branch) find(name []byte) *branch {
	for _, inner := range b.branches {
		if inner.name == string(name) {
			return inner
		}
	}
	return nil
}
