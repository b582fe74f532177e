package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"pgregory.net/rapid"
)

// naive says whether a hook gets an event, and if not whether its filter
// failed, as the design says it, with no index and no sorting.
func naive(h *hook.EventHook, e *hook.Event, severity string) (match, failed bool) {
	if !h.Verified && !h.EverVerified {
		return false, false
	}
	listed := false
	for _, item := range h.Types {
		listed = listed || stands(item, e.Type)
	}
	ours := len(h.Policy.Sources) == 0
	for _, name := range h.Policy.Sources {
		ours = ours || sources[name] == e.Source
	}
	if !listed || !ours {
		return false, false
	}
	best := -1
	for i, f := range h.Filters {
		if stands(f.Type, e.Type) && (best < 0 || specific(f.Type) > specific(h.Filters[best].Type)) {
			best = i
		}
	}
	if best < 0 {
		return true, false
	}
	switch expression := h.Filters[best].Expression; {
	case strings.HasPrefix(expression, "event.severity eq "):
		return expression == "event.severity eq '"+severity+"'", false
	default: // event.severity > 1: it is a string
		return false, true
	}
}

// stands reports whether an item stands for a type.
func stands(item, eventType string) bool {
	if item == eventType || item == "*" {
		return true
	}
	parts, of := strings.Split(item, "."), strings.Split(eventType, ".")
	if last := len(parts) - 1; parts[last] == "*" && len(of) > last {
		return slices.Equal(parts[:last], of[:last])
	}
	return false
}

// specific ranks an item: a type before every wildcard, a longer wildcard
// before a shorter one.
func specific(item string) int {
	if strings.HasSuffix(item, "*") {
		return strings.Count(item, ".")
	}
	return 1000
}

func TestMatchIsWhatTheDesignSays(t *testing.T) {
	types := []string{"user.session.start", "user.session.end", "user.account.lock", "user", "group.add", "user.session"}
	items := append([]string{"*", "user.*", "user.session.*", "group.*"}, types...)
	severities := []string{"INFO", "WARN"}
	rapid.Check(t, func(t *rapid.T) {
		var hooks []hook.EventHook
		for i := range rapid.IntRange(0, 6).Draw(t, "hooks") {
			h := hook.EventHook{
				Number: int64(i + 1), Status: hook.Active,
				Verified: rapid.Bool().Draw(t, "verified"), EverVerified: rapid.Bool().Draw(t, "everVerified"),
				Types: rapid.SliceOfNDistinct(rapid.SampledFrom(items), 1, 4, rapid.ID).Draw(t, "types"),
			}
			h.Policy.Sources = rapid.SampledFrom([][]string{nil, nil, {"acme"}, {"other"}, {"acme", "other"}}).Draw(t, "sources")
			for _, item := range rapid.SliceOfNDistinct(rapid.SampledFrom(items), 0, 4, rapid.ID).Draw(t, "filters") {
				h.Filters = append(h.Filters, hook.Filter{Type: item, Expression: rapid.SampledFrom([]string{
					"event.severity eq 'INFO'", "event.severity eq 'WARN'", "event.severity > 1",
				}).Draw(t, "expression")})
			}
			hooks = append(hooks, h)
		}
		r := New(hooks, sources, 1)
		for _, eventType := range types {
			for _, severity := range severities {
				for source := int64(1); source <= 2; source++ {
					e := &hook.Event{Source: source, Type: eventType, JSON: fmt.Appendf(nil, `{"severity":%q}`, severity)}
					var wantHooks, wantFailed, failed []int64
					for i := range hooks {
						match, fails := naive(&hooks[i], e, severity)
						if match {
							wantHooks = append(wantHooks, hooks[i].Number)
						}
						if fails {
							wantFailed = append(wantFailed, hooks[i].Number)
						}
					}
					got, failures := r.Match(e)
					for _, f := range failures {
						failed = append(failed, f.Hook)
					}
					slices.Sort(got)
					slices.Sort(failed)
					if !slices.Equal(got, wantHooks) || !slices.Equal(failed, wantFailed) {
						t.Fatalf("%s, %s, source %d: hooks %v, failed %v; want %v, %v", eventType, severity, source, got, failed, wantHooks, wantFailed)
					}
				}
			}
		}
	})
}
