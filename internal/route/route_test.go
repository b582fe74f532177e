package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

const (
	acme  = 1 // numbers of sources
	other = 2
)

var sources = map[string]int64{"acme": acme, "other": other}

// table routes for hooks that are numbered as they come, from 1.
func table(hooks ...hook.EventHook) *Table {
	for i := range hooks {
		hooks[i].Number = int64(i + 1)
	}
	return New(hooks, sources, 7)
}

// wants is a verified hook that wants some types.
func wants(types ...string) hook.EventHook {
	return hook.EventHook{Status: hook.Active, Verified: true, EverVerified: true, Types: types}
}

func filtered(h hook.EventHook, filters ...hook.Filter) hook.EventHook {
	h.Filters = filters
	return h
}

func from(h hook.EventHook, names ...string) hook.EventHook {
	h.Policy.Sources = names
	return h
}

func event(eventType, json string) *hook.Event {
	return &hook.Event{Source: acme, Type: eventType, JSON: []byte(json)}
}

func TestTypes(t *testing.T) {
	for _, test := range []struct {
		items []string
		yes   []string
		no    []string
	}{
		{[]string{"user.session.start"}, []string{"user.session.start"},
			[]string{"user.session.startx", "user.session", "user.session.start.", "User.session.start", "xuser.session.start", "*"}},
		{[]string{"user.session.*"}, []string{"user.session.start", "user.session.end", "user.session.a.b", "user.session."},
			[]string{"user.session", "user.sessions.start", "user.account.lock", "xuser.session.start"}},
		{[]string{"user.*"}, []string{"user.session.start", "user.x"}, []string{"user", "users.x", "group.user.x"}},
		{[]string{"*"}, []string{"user.session.start", "x", "*", "a b"}, nil},
		{[]string{"user.session.start", "user.session.*"}, []string{"user.session.start", "user.session.end"}, []string{"user.x"}},
		{[]string{"*", "user.session.*", "user.session.start", "*"}, []string{"user.session.start", "user.session.end", "group.x"}, nil},
		{[]string{"a.b", "c.*"}, []string{"a.b", "c.d"}, []string{"a.c", "c"}},
		{[]string{"user.session.st*"}, []string{"user.session.st*"}, []string{"user.session.start"}}, // no wildcard
		{nil, nil, []string{"user.session.start", ""}},
	} {
		r := table(wants(test.items...))
		for _, eventType := range test.yes {
			if hooks, failed := r.Match(event(eventType, "{}")); !slices.Equal(hooks, []int64{1}) || failed != nil {
				t.Errorf("%q, event %q: hooks %v, failures %v, want it once", test.items, eventType, hooks, failed)
			}
			if !slices.ContainsFunc(test.items, func(item string) bool { return Covers(item, eventType) }) {
				t.Errorf("%q do not cover %q", test.items, eventType)
			}
		}
		for _, eventType := range test.no {
			if hooks, failed := r.Match(event(eventType, "{}")); hooks != nil || failed != nil {
				t.Errorf("%q, event %q: hooks %v, failures %v, want none", test.items, eventType, hooks, failed)
			}
			if slices.ContainsFunc(test.items, func(item string) bool { return Covers(item, eventType) }) {
				t.Errorf("%q cover %q", test.items, eventType)
			}
		}
	}
}

// Whether anything is owed to a hook depends on its verification alone: what is
// owed waits while it cannot be delivered.
func TestWhomAnythingIsOwed(t *testing.T) {
	for _, test := range []struct {
		name string
		hook hook.EventHook
		owed bool
	}{
		{"active and verified", hook.EventHook{Status: hook.Active, Verified: true, EverVerified: true}, true},
		{"never verified", hook.EventHook{Status: hook.Active}, false},
		{"never verified and inactive", hook.EventHook{Status: hook.Inactive}, false},
		{"inactive", hook.EventHook{Status: hook.Inactive, Verified: true, EverVerified: true}, true},
		{"no longer verified", hook.EventHook{Status: hook.Active, EverVerified: true}, true},
		{"no longer verified and inactive", hook.EventHook{Status: hook.Inactive, EverVerified: true}, true},
		{"on hold", hook.EventHook{Status: hook.Active, Verified: true, EverVerified: true, Hold: hook.Hold{Reason: hook.ReasonGone}}, true},
	} {
		for _, item := range []string{"a.b", "a.*", "*"} {
			h := test.hook
			h.Types = []string{item}
			hooks, _ := table(h).Match(event("a.b", "{}"))
			if got := len(hooks) == 1; got != test.owed {
				t.Errorf("%s, %s: owed %v", test.name, item, got)
			}
		}
	}
}

func TestSources(t *testing.T) {
	r := table(wants("*"), from(wants("*"), "acme"), from(wants("a.b"), "other"), from(wants("*"), "acme", "other"), from(wants("*"), "deleted"), from(wants("a.b"), hook.OwnSource))
	for source, want := range map[int64][]int64{acme: {1, 2, 4}, other: {1, 3, 4}, 3: {1}} {
		hooks, _ := r.Match(&hook.Event{Source: source, Type: "a.b"})
		if slices.Sort(hooks); !slices.Equal(hooks, want) {
			t.Errorf("source %d: hooks %v, want %v", source, hooks, want)
		}
	}
	if r.Revision != 7 || !r.Wants(2, event("a.b", "{}")) || r.Wants(3, event("a.b", "{}")) || r.Wants(99, event("a.b", "{}")) {
		t.Error("Wants differs from Match")
	}
}

func TestTheMostSpecificFilterApplies(t *testing.T) {
	says := func(eventType, who string) hook.Filter {
		return hook.Filter{Type: eventType, Expression: "event.severity eq '" + who + "'"}
	}
	all := []hook.Filter{says("*", "star"), says("user.*", "user"), says("user.session.start", "exact"), says("user.session.*", "session"), says("group.x", "group")}
	for shift := range all { // in whatever order they are given
		filters := append(slices.Clone(all[shift:]), all[:shift]...)
		r := table(filtered(wants("*", "user.*", "user.session.*", "user.session.start", "group.x"), filters...), filtered(wants("*"), filters...))
		for eventType, applies := range map[string]string{
			"user.session.start": "exact", "user.session.end": "session", "user.session.start.x": "session", "user.account.lock": "user", "group.x": "group",
			"group.y": "star", "user": "star", "x": "star",
		} {
			for _, severity := range []string{"star", "user", "session", "exact", "group"} {
				hooks, failed := r.Match(event(eventType, `{"severity":"`+severity+`"}`))
				if got := len(hooks) == 2; got != (severity == applies) || failed != nil || len(hooks) == 1 {
					t.Errorf("%s with severity %s: hooks %v, %v; the filter for %q applies", eventType, severity, hooks, failed, applies)
				}
			}
		}
	}
}

func TestATypeWithoutAFilterIsNotFiltered(t *testing.T) {
	r := table(filtered(wants("a.b", "a.c"), hook.Filter{Type: "a.b", Expression: "event.severity eq 'WARN'"}))
	for eventType, want := range map[string]int{"a.b": 0, "a.c": 1} {
		if hooks, _ := r.Match(event(eventType, `{"severity":"INFO"}`)); len(hooks) != want {
			t.Errorf("%s: hooks %v", eventType, hooks)
		}
	}
}

// A filter that cannot judge counts as no match, and says why; other hooks are
// not concerned.
func TestFilterErrors(t *testing.T) {
	r := table(
		wants("a.b"),
		filtered(wants("*"), hook.Filter{Type: "*", Expression: "event.severity > 5"}),
		filtered(wants("a.b"), hook.Filter{Type: "a.b", Expression: "this is no expression ("}),
		filtered(wants("a.b"), hook.Filter{Type: "a.b", Expression: "event.severity eq 'WARN'"}),
		filtered(from(wants("a.b"), "other"), hook.Filter{Type: "a.b", Expression: "event.severity > 5"}),
	)
	for json, want := range map[string][2]string{
		`{"severity":"WARN"}`: {"[1 4]", "[2 3]"},
		`{"severity":7}`:      {"[1 2]", "[3]"},
		`{"severity":3}`:      {"[1]", "[3]"},
		`{"severity"`:         {"[1]", "[2 3 4]"},
		``:                    {"[1]", "[2 3 4]"},
	} {
		hooks, failures := r.Match(event("a.b", json))
		var failed []int64
		for _, f := range failures {
			failed = append(failed, f.Hook)
			if strings.TrimSpace(f.Detail) == "" {
				t.Errorf("%s: no reason for hook %d", json, f.Hook)
			}
		}
		slices.Sort(hooks)
		slices.Sort(failed)
		if fmt.Sprint(hooks) != want[0] || fmt.Sprint(failed) != want[1] {
			t.Errorf("%s: hooks %v, failures %v, want %v", json, hooks, failures, want)
		}
	}
}
