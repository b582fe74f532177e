package expression

func (m *machine) path(p *path) (value, error) {
	v, err := m.start(p)
	for i := p.bound; i < len(p.steps) && err == nil; i++ {
		if !m.spend(1) {
			return value{}, m.exhausted(p.steps[i].span)
		}
		switch s := &p.steps[i]; s.kind {
		case property:
			v, err = m.property(p, s.span, s.key, v)
		case call:
			v, err = m.call(p, i, v)
		default:
			v, err = m.brackets(p, i, v)
		}
	}
	return v, err
}

// start reads the root of p and the properties that bind has put with it: at the first place that holds
// anything, where an empty list counts for less than a full one elsewhere.
func (m *machine) start(p *path) (value, error) {
	if p.inElement {
		return m.property(p, p.root.span, p.root.key, m.element)
	}
	if m.index == nil {
		index, err := m.document.read()
		if err != nil {
			return value{}, m.fail(p.span, "the document cannot be read: %v", err)
		}
		m.index = index
	}
	found := null
	for _, way := range p.places {
		v := m.index.valueAt(0)
		for _, place := range way {
			var err error
			if v, err = m.property(p, place.at, place.key, v); err != nil {
				return value{}, err
			}
		}
		if found.kind == kindNull {
			found = v
		}
		if v.kind != kindNull && !(v.kind == kindList && m.size(v) == 0) {
			return v, nil
		}
	}
	return found, nil
}

// property reads a property of v; at is where the source asks for it.
func (m *machine) property(p *path, at span, key []byte, v value) (value, error) {
	switch v.kind {
	case kindNull:
		return null, nil
	case kindObject:
		found, looked := m.index.find(uint32(v.n), key)
		if !m.spend(looked / namesPerStep) {
			return value{}, m.exhausted(at)
		}
		if found == 0 {
			return null, nil
		}
		return m.index.valueAt(found), nil
	}
	if p.inElement && at == p.root.span {
		return value{}, m.fail(at, "an element of the list is %s and has no property %s", v.kind, key)
	}
	return value{}, m.fail(at, "%s is read from %s, which has no properties", m.quote(span{p.from, at.to}), v.kind)
}

// brackets runs a selection or projection on a list. Its outcome lies on m.taken, above what an outer one took.
func (m *machine) brackets(p *path, i int, list value) (value, error) {
	s := &p.steps[i]
	if list.kind != kindList && list.kind != kindNull {
		return value{}, m.fail(s.span, "%s is %s; only a list can be selected from", m.upTo(p, i), list.kind)
	}
	outer := m.element
	from := len(m.taken)
	for at := m.first(list); at.more; at = m.next(list, at) {
		if !m.spend(1) {
			return value{}, m.exhausted(s.span)
		}
		m.element = at.value
		mark := len(m.taken)
		take, keep, err := m.weigh(s)
		if err != nil {
			return value{}, err
		}
		m.taken = m.taken[:mark]
		if keep {
			m.taken = append(m.taken, take)
		}
	}
	m.element = outer
	return value{kind: kindList, taken: true, n: int64(from), to: int64(len(m.taken))}, nil
}

// weigh answers what the brackets of s make of m.element, and whether to keep it.
func (m *machine) weigh(s *step) (take value, keep bool, err error) {
	if s.kind == projection {
		take, err = m.eval(s.inner)
		return take, true, err
	}
	keep, err = m.truth(s.inner)
	return m.element, keep, err
}

// cursor walks the elements of a list.
type cursor struct {
	value value
	more  bool
	at    int64
}

func (m *machine) first(list value) cursor {
	switch {
	case list.kind == kindNull:
		return cursor{}
	case list.taken:
		return m.takenAt(list, list.n)
	}
	return m.entryAt(m.index.entries[list.n].at)
}

func (m *machine) next(list value, c cursor) cursor {
	if list.taken {
		return m.takenAt(list, c.at+1)
	}
	return m.entryAt(m.index.entries[c.at].link)
}

func (m *machine) takenAt(list value, at int64) cursor {
	if at == list.to {
		return cursor{}
	}
	return cursor{value: m.taken[at], more: true, at: at}
}

func (m *machine) entryAt(at uint32) cursor {
	if at == 0 {
		return cursor{}
	}
	return cursor{value: m.index.valueAt(at), more: true, at: int64(at)}
}

func (m *machine) size(list value) int {
	if list.taken {
		return int(list.to - list.n)
	}
	return int(m.index.entries[list.n].size)
}
