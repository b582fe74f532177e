package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// Stats are the counters since the store was made.
type Stats struct {
	Totals  Totals        `json:"totals"`
	Hooks   []HookStats   `json:"hooks" nullable:"false" doc:"Deleted event hooks, too, since matched = delivered + waiting + dead + cancelled must add up."`
	Sources []SourceStats `json:"sources" nullable:"false"`
	// Unknown are calls for sources that do not exist.
	Unknown hook.SourceCount `json:"unknownSources" doc:"Calls for sources that do not exist; each may be a lost event."`
	Store   StoreStats       `json:"store"`
}

// Totals are sums over all sources and all hooks.
type Totals struct {
	hook.SourceCount
	HookCounts
}

// HookCounts say what became of deliveries.
type HookCounts struct {
	hook.HookCount
	Waiting int64 `json:"waiting" doc:"Waiting, or being sent."`
}

// HookStats are the counters of one event hook.
type HookStats struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	HookCounts
	OldestOwed *Time `json:"oldestOwed,omitempty" doc:"Since when the oldest delivery that waits is owed."`
	Hold       *Hold `json:"hold,omitempty" doc:"Present while nothing can be delivered to the hook."`
}

// Hold says why deliveries of a hook wait.
type Hold struct {
	Reason  hook.Reason `json:"reason" doc:"hook_inactive and hook_unverified are a person's to end; of the others see recheck."`
	Since   Time        `json:"since,omitzero"`
	Recheck *Time       `json:"recheck,omitempty" doc:"When one delivery is tried in spite of the hold."`
}

// SourceStats are the counters of one source.
type SourceStats struct {
	Name string `json:"name"`
	hook.SourceCount
}

// StoreStats tell of the store itself.
type StoreStats struct {
	Bytes int64 `json:"bytes" doc:"Used on disk."`
}

type statsAnswer struct{ Body Stats }

func (a *api) stats(h huma.API) {
	register(h, a, operation("get-stats", http.MethodGet, "/v1/stats", "stats", "Show the counters of sources and event hooks"), a.getStats)
}

func (a *api) getStats(ctx context.Context, _ *struct{}) (*statsAnswer, error) {
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	hooks, _, err := a.Store.EventHooks(ctx)
	if err != nil {
		return nil, err
	}
	s, err := a.Store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	out := Stats{Hooks: []HookStats{}, Sources: []SourceStats{}, Unknown: s.Sources[0], Store: StoreStats{s.Bytes}}
	for number, name := range n.source {
		out.Sources = append(out.Sources, SourceStats{name, s.Sources[number]})
	}
	for _, count := range s.Sources {
		out.Totals.SourceCount.Add(count)
	}
	live := map[int64]*hook.EventHook{}
	for i := range hooks {
		live[hooks[i].Number] = &hooks[i]
	}
	for number, id := range n.hookID {
		count := HookCounts{s.Hooks[number], s.Hooks[number].Waiting()}
		out.Totals.add(count)
		out.Hooks = append(out.Hooks, hookStats(id, live[number], count, s.OldestOwed[number]))
	}
	slices.SortFunc(out.Hooks, func(x, y HookStats) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) })
	slices.SortFunc(out.Sources, func(x, y SourceStats) int { return cmp.Compare(x.Name, y.Name) })
	return &statsAnswer{out}, nil
}

// hookStats tells of one hook; h is nil when it is deleted.
func hookStats(id string, h *hook.EventHook, count HookCounts, oldest time.Time) HookStats {
	s := HookStats{ID: id, HookCounts: count}
	if !oldest.IsZero() {
		s.OldestOwed = &Time{oldest}
	}
	if h == nil {
		s.Deleted = true
		return s
	}
	s.Name = h.Name
	if why := h.Blocked(); why != "" {
		s.Hold = &Hold{Reason: why, Since: Time{h.Hold.Since}}
		if !h.Hold.Recheck.IsZero() {
			s.Hold.Recheck = &Time{h.Hold.Recheck}
		}
	}
	return s
}

func (t *Totals) add(c HookCounts) {
	t.Matched += c.Matched
	t.Delivered += c.Delivered
	t.Dead += c.Dead
	t.Cancelled += c.Cancelled
	t.Attempts += c.Attempts
	t.FilterErrors += c.FilterErrors
	t.Waiting += c.Waiting
}
