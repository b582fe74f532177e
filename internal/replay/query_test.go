package replay_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/replay"
)

func TestByQuerySelects(t *testing.T) {
	w := newWorld(t)
	h1, h2, fresh := w.hook("1"), w.hook("2"), w.hook("3")
	w.commit(1, []int64{h1}, `type.1 {"n":1}`, `type.2 {"n":2}`, `type.3 {"n":3}`)
	w.settle(h1, hook.Dead)
	middle := time.Now()
	w.commit(2, []int64{h1, h2}, `type.1 {"n":4}`, `type.3 {"n":5}`)
	w.settle(h1, hook.Delivered)
	w.settle(h2, hook.Waiting)

	for name, test := range map[string]struct {
		query    replay.Query
		selected int
	}{
		"events":                   {replay.Query{From: "events"}, 5},
		"events of a type":         {replay.Query{From: "events", Type: "type.1"}, 2},
		"events of a source":       {replay.Query{From: "events", Source: 2}, 2},
		"events since":             {replay.Query{From: "events", Since: middle}, 2},
		"events until":             {replay.Query{From: "events", Until: middle}, 3},
		"events by expression":     {replay.Query{From: "events", Expression: `"n":4`}, 1},
		"what the hook takes":      {replay.Query{From: "events", Filter: true}, 2},
		"ended deliveries":         {replay.Query{From: "deliveries"}, 5},
		"deliveries of a hook":     {replay.Query{From: "deliveries", Hook: h1}, 5},
		"ended, of a hook":         {replay.Query{From: "deliveries", Hook: h2}, 0},
		"waiting":                  {replay.Query{From: "deliveries", States: []hook.State{hook.Waiting}}, 2},
		"dead":                     {replay.Query{From: "deliveries", States: []hook.State{hook.Dead}}, 3},
		"dead since":               {replay.Query{From: "deliveries", States: []hook.State{hook.Dead}, Since: middle}, 0},
		"dead of a type":           {replay.Query{From: "deliveries", States: []hook.State{hook.Dead}, Type: "type.2"}, 1},
		"deliveries by expression": {replay.Query{From: "deliveries", Expression: `"n":2`}, 1},
		"deliveries it takes":      {replay.Query{From: "deliveries", Filter: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			q := test.query
			q.To, q.DryRun = fresh, true
			got, err := w.ByQuery(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			want := replay.Result{Hook: fresh, Selected: test.selected}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if owed := w.owed(fresh); len(owed) != 0 || len(w.woken) != 0 {
		t.Errorf("dry runs left %v, woke %v", owed, w.woken)
	}
}

func TestByQueryOwesEachEventOnce(t *testing.T) {
	w := newWorld(t)
	h1, h2, to := w.hook("1"), w.hook("2"), w.hook("3")
	texts := slices.Repeat([]string{"type.1 {}"}, 700) // several pages
	seqs := w.commit(1, []int64{h1, h2}, texts...)
	w.settle(h1, hook.Dead)
	w.settle(h2, hook.Dead)

	got, err := w.ByQuery(t.Context(), replay.Query{From: "deliveries", To: to})
	w.must(err)
	if got.Selected != 700 || got.Created != 700 || !strings.HasPrefix(got.ID, "rpl") {
		t.Errorf("got %+v", got)
	}
	var owed []hook.Seq
	for _, d := range w.owed(to) {
		owed = append(owed, d.Seq)
		if d.ReplayOf == nil || d.ReplayOf.Seq != d.Seq || d.ReplayOf.Replay != 0 {
			t.Fatalf("%v sends %v again", d.Key, d.ReplayOf)
		}
	}
	slices.Sort(owed)
	if diff := cmp.Diff(seqs, owed); diff != "" {
		t.Error(diff)
	}
	if w.woken[to] == 0 {
		t.Error("nobody was woken")
	}

	again, err := w.ByQuery(t.Context(), replay.Query{From: "events", To: to})
	w.must(err)
	if again.Created != 700 || again.ID == got.ID {
		t.Errorf("a second replay: %+v", again)
	}
	if d := w.owed(to)[0]; d.ReplayOf != nil {
		t.Errorf("a replay of events points back to %v", d.ReplayOf)
	}
}

// What a replay makes while it reads must not be read as if it had been there.
func TestByQueryDoesNotChaseItself(t *testing.T) {
	w := newWorld(t)
	h := w.hook("1")
	w.commit(1, []int64{h}, slices.Repeat([]string{"type.1 {}"}, 600)...)
	got, err := w.ByQuery(t.Context(), replay.Query{From: "deliveries", Hook: h, States: []hook.State{hook.Waiting}})
	w.must(err)
	if got.Created != 600 || len(w.owed(h)) != 1200 {
		t.Errorf("got %+v, %d owed", got, len(w.owed(h)))
	}
}

// A replay of replays keeps for each delivery which one it sends again.
func TestByQueryKeepsOrigins(t *testing.T) {
	w := newWorld(t)
	h, to := w.hook("1"), w.hook("2")
	seqs := w.commit(1, []int64{h}, "type.1 {}", "type.1 {}")
	w.settle(h, hook.Dead)
	again, _, err := w.Retry(t.Context(), hook.Key{Hook: h, Seq: seqs[0]})
	w.must(err)
	w.settle(h, hook.Delivered)

	want := map[hook.Seq]hook.Key{seqs[0]: again.Key, seqs[1]: {Hook: h, Seq: seqs[1]}}
	got, err := w.ByQuery(t.Context(), replay.Query{From: "deliveries", Hook: h, To: to})
	w.must(err)
	if got.Created != 2 {
		t.Errorf("got %+v", got)
	}
	for _, d := range w.owed(to) {
		if d.ReplayOf == nil || *d.ReplayOf != want[d.Seq] {
			t.Errorf("%v sends %v again, want %v", d.Seq, d.ReplayOf, want[d.Seq])
		}
	}
}

func TestByQueryShowsWhatItCannotJudge(t *testing.T) {
	w := newWorld(t)
	h := w.hook("1")
	w.commit(1, nil, "type.1 odd", "type.1 {}", "type.1 odd")
	got, err := w.ByQuery(t.Context(), replay.Query{From: "events", To: h, Expression: "{"})
	w.must(err)
	if got.Selected != 1 || got.Created != 1 || got.Unjudged != 2 || got.Why != "odd is not a number" {
		t.Errorf("got %+v", got)
	}
}

func TestByQueryRefused(t *testing.T) {
	w := newWorld(t)
	h := w.hook("1")
	never := hook.EventHook{ID: "whonever", Status: hook.Active}
	w.must(w.store.CreateEventHook(t.Context(), &never, func([]hook.EventHook) error { return nil }))
	now := time.Now()
	for field, q := range map[string]replay.Query{
		"select.from":       {From: "hooks", To: h},
		"to":                {From: "deliveries"},
		"select.state":      {From: "events", To: h, States: []hook.State{hook.Dead}},
		"select.hook":       {From: "events", To: h, Hook: never.Number},
		"select.until":      {From: "events", To: h, Since: now, Until: now},
		"select.expression": {From: "events", To: h, Expression: "("},
	} {
		var invalid *replay.Invalid
		_, err := w.ByQuery(t.Context(), q)
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for name, to := range map[string]int64{"never verified": never.Number, "no such hook": 77} {
		_, err := w.ByQuery(t.Context(), replay.Query{From: "events", To: to})
		if !errors.As(err, new(*replay.Conflict)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestByQueryEndsWithItsCaller(t *testing.T) {
	w := newWorld(t)
	h := w.hook("1")
	w.commit(1, nil, slices.Repeat([]string{"type.1 {}"}, 600)...)
	ctx, cancel := context.WithCancel(t.Context())
	r := *w.Replayer
	r.Wake = func(int64) { cancel() } // after the first page
	got, err := r.ByQuery(ctx, replay.Query{From: "events", To: h})
	if !errors.Is(err, context.Canceled) || got.Created != 250 || len(w.owed(h)) != 250 {
		t.Errorf("got %+v, %v; %d owed", got, err, len(w.owed(h)))
	}
}
