// Package route decides which event hooks an event is owed to: by its source,
// its type, and the filter of each hook, all in memory. It decides, and keeps
// nothing; intake commits what it decides.
package route

import (
	"cmp"
	"slices"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/expression"
	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// Table is what the event hooks of one revision want. It never changes.
type Table struct {
	Revision int64
	exact    map[string][]*subscription // by event type
	patterns []*subscription            // those with at least one wildcard
}

// subscription is what one event hook wants.
type subscription struct {
	hook     int64
	exact    map[string]bool
	prefixes []string       // "user.session." for "user.session.*", "" for "*"
	sources  map[int64]bool // nil for all but Grapnel's own
	filters  []filter       // the most specific first
}

type filter struct {
	exact   string // a type, or
	prefix  string // what a wildcard begins with
	program *expression.Program
	broken  string // why there is no program
}

// Failure says why a hook's filter could not judge an event. It counts as no match.
type Failure struct {
	Hook   int64
	Detail string
}

// New compiles the hooks of a revision. sources gives the numbers of the
// sources by name.
func New(hooks []hook.EventHook, sources map[string]int64, revision int64) *Table {
	t := &Table{Revision: revision, exact: make(map[string][]*subscription)}
	for i := range hooks {
		h := &hooks[i]
		if !h.Owed() {
			continue
		}
		s := subscribe(h, sources)
		for kind := range s.exact {
			t.exact[kind] = append(t.exact[kind], s)
		}
		if len(s.prefixes) > 0 {
			t.patterns = append(t.patterns, s)
		}
	}
	return t
}

func subscribe(h *hook.EventHook, sources map[string]int64) *subscription {
	s := &subscription{hook: h.Number, exact: make(map[string]bool)}
	for _, item := range h.Types {
		if prefix, ok := wildcard(item); ok {
			s.prefixes = append(s.prefixes, prefix)
		} else {
			s.exact[item] = true
		}
	}
	if len(h.Policy.Sources) > 0 {
		s.sources = make(map[int64]bool)
		for _, name := range h.Policy.Sources {
			s.sources[sources[name]] = true
		}
	}
	for _, f := range h.Filters {
		s.filters = append(s.filters, compile(f))
	}
	slices.SortFunc(s.filters, func(a, b filter) int {
		return cmp.Or(-cmp.Compare(len(a.exact), len(b.exact)), -cmp.Compare(len(a.prefix), len(b.prefix)))
	})
	return s
}

func compile(f hook.Filter) filter {
	c := filter{exact: f.Type}
	if prefix, ok := wildcard(f.Type); ok {
		c.exact, c.prefix = "", prefix
	}
	program, err := expression.Compile(f.Expression, expression.Gateway)
	if err != nil {
		c.broken = err.Error()
	}
	c.program = program
	return c
}

// wildcard returns what the types that "user.session.*" or "*" stands for
// begin with.
func wildcard(item string) (prefix string, ok bool) {
	if item == "*" {
		return "", true
	}
	prefix, ok = strings.CutSuffix(item, "*")
	return prefix, ok && strings.HasSuffix(prefix, ".")
}

// Covers reports whether an item of a hook, an event type or a wildcard,
// stands for an event type.
func Covers(item, eventType string) bool {
	if prefix, ok := wildcard(item); ok {
		return strings.HasPrefix(eventType, prefix)
	}
	return item == eventType
}

// Match returns the numbers of the hooks that an event is owed to, and of
// those whose filter could not judge it.
func (t *Table) Match(e *hook.Event) (hooks []int64, failures []Failure) {
	m := matcher{event: e}
	for _, s := range t.exact[e.Type] {
		m.judge(s)
	}
	for _, s := range t.patterns {
		if !s.exact[e.Type] && s.wildcards(e.Type) {
			m.judge(s)
		}
	}
	return m.hooks, m.failures
}

// Wants reports whether one hook wants an event.
func (t *Table) Wants(number int64, e *hook.Event) bool {
	hooks, _ := t.Match(e)
	return slices.Contains(hooks, number)
}

func (s *subscription) wildcards(eventType string) bool {
	return slices.ContainsFunc(s.prefixes, func(prefix string) bool { return strings.HasPrefix(eventType, prefix) })
}

// filter returns the most specific filter for a type, nil when there is none.
func (s *subscription) filter(eventType string) *filter {
	for i := range s.filters {
		f := &s.filters[i]
		if f.exact == eventType || f.exact == "" && strings.HasPrefix(eventType, f.prefix) {
			return f
		}
	}
	return nil
}

// matcher judges one event. Its JSON is read once, if any filter asks.
type matcher struct {
	event    *hook.Event
	document *expression.Document
	hooks    []int64
	failures []Failure
}

func (m *matcher) judge(s *subscription) {
	if s.sources != nil && !s.sources[m.event.Source] {
		return
	}
	f := s.filter(m.event.Type)
	if f == nil {
		m.hooks = append(m.hooks, s.hook)
		return
	}
	if f.program == nil {
		m.failures = append(m.failures, Failure{s.hook, f.broken})
		return
	}
	if m.document == nil {
		m.document = expression.NewDocument(m.event.JSON)
	}
	match, err := f.program.Match(m.document)
	switch {
	case err != nil:
		m.failures = append(m.failures, Failure{s.hook, err.Error()})
	case match:
		m.hooks = append(m.hooks, s.hook)
	}
}
