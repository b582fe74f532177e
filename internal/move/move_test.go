package move

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)

// aLife makes a store that has lived, and whose leases have ended.
func aLife(t rapid.TB, chance *rapid.T, at place, steps int) *world {
	t.Helper()
	w := newWorld(t, at, start)
	w.live(chance, steps)
	closeStore(t, w.s)
	w.clock = w.clock.Add(2 * time.Minute)
	return w
}

// roughly lets attempts begin in the same millisecond: the contract leaves it to
// stores to keep no more of that.
func (d told) roughly() told {
	d.Deliveries = slices.Clone(d.Deliveries)
	for i := range d.Deliveries {
		attempts := slices.Clone(d.Deliveries[i].Attempts)
		for n := range attempts {
			attempts[n].At = attempts[n].At.Truncate(time.Millisecond)
		}
		d.Deliveries[i].Attempts = attempts
	}
	return d
}

// TestCopy copies stores of every past from file to file, and asks both
// everything.
func TestCopy(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		from, to := inDir(dir, "from.db"), inDir(dir, "deep/to.db")
		w := aLife(rt, rt, from, rapid.IntRange(1, 60).Draw(rt, "steps"))
		var before, after told
		w.with(from, func() { before = w.tell() })
		mustCopy(rt, from, to, rapid.SampledFrom([]int{0, 1, 5}).Draw(rt, "batch"))
		var known, alsoKnown, left, right []any
		w.with(from, func() { known, left = w.goOn(false) })
		w.with(to, func() { after = w.tell(); alsoKnown, right = w.goOn(false) })
		same(rt, "what the stores tell", after, before)
		same(rt, "what is known", alsoKnown, known)
		same(rt, "how they go on", right, left)
	})
}

// TestProgress watches a copy, at every item, and one that goes on.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	from, to := inDir(dir, "from.db"), inDir(dir, "to.db")
	w := newWorld(t, from, start)
	w.must(w.s.CreateSource(w.ctx, &hook.Source{Name: "acme"}))
	for i := range 5 {
		e := &store.Event{Event: hook.Event{Source: 1, UUID: fmt.Sprint(i)}}
		_, err := w.s.Commit(w.ctx, &store.Group{Received: start, Events: []*store.Event{e}})
		w.must(err)
	}
	closeStore(t, w.s)
	watch := func(change func(*Options)) (told []string, err error) {
		_, err = try(t, from, to, func(o *Options) {
			o.Batch, o.every = 2, 1
			o.Progress = func(p Progress) {
				told = append(told, fmt.Sprintf("%s %s %d/%d, %d events", p.Phase, p.Kind, p.Items, p.Total, p.Events))
				if p.Elapsed <= 0 || p.Left < 0 || p.Left == 0 && p.Phase == Copying && p.Items < p.Total {
					t.Errorf("%+v", p)
				}
			}
			change(o)
		})
		return told, err
	}
	// Head, source, counter, and two of three batches of blocks.
	told, err := watch(func(o *Options) { o.To = &cut{o.To, 5} })
	same(t, "told", told, []string{
		"copying head 1/1, 0 events", "copying source 1/1, 0 events", "copying counter 1/1, 0 events",
		"copying block 2/5, 2 events", "copying block 4/5, 4 events",
	})
	if !errors.Is(err, errCut) {
		t.Errorf("it ended with %v", err)
	}
	told, err = watch(func(*Options) {})
	w.must(err)
	same(t, "told", told, []string{
		"copying block 5/5, 1 events", "verifying head 1/1, 0 events", "verifying source 1/1, 0 events", "verifying counter 1/1, 0 events",
		"verifying block 1/5, 1 events", "verifying block 2/5, 2 events", "verifying block 3/5, 3 events", "verifying block 4/5, 4 events",
		"verifying block 5/5, 5 events",
	})
}

// TestCopyThroughDatabase copies stores from a file to a database and back.
func TestCopyThroughDatabase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		from, there, back := inDir(dir, "from.db"), database(t), inDir(dir, "back.db")
		w := aLife(rt, rt, from, rapid.IntRange(1, 60).Draw(rt, "steps"))
		batch := rapid.SampledFrom([]int{0, 7}).Draw(rt, "batch")
		var first, second, third told
		var known [3][]any
		var left, right []any
		w.with(from, func() { first = w.tell() })
		mustCopy(rt, from, there, batch)
		mustCopy(rt, there, back, batch)
		w.with(there, func() { second = w.tell(); known[1] = w.knows() })
		w.with(from, func() { known[0], left = w.goOn(false) })
		w.with(back, func() { third = w.tell(); known[2], right = w.goOn(false) })
		same(rt, "what is known there", known[1], known[0])
		same(rt, "what is known", known[2], known[0])
		same(rt, "what the stores tell", third, first)
		same(rt, "how they go on", right, left)
		same(rt, "what the database tells", second.roughly(), first.roughly())
	})
}

// TestCopyFromDatabase copies stores that were born in a database to a file, and
// back into another.
func TestCopyFromDatabase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		from, there, back := database(t), inDir(t.TempDir(), "there.db"), database(t)
		w := aLife(rt, rt, from, rapid.IntRange(1, 60).Draw(rt, "steps"))
		var first, second, third told
		var known [3][]any
		var left, right []any
		w.with(from, func() { first = w.tell() })
		mustCopy(rt, from, there, 0)
		mustCopy(rt, there, back, 7)
		w.with(there, func() { second = w.tell(); known[1] = w.knows() })
		w.with(from, func() { known[0], left = w.goOn(true) })
		w.with(back, func() { third = w.tell(); known[2], right = w.goOn(true) })
		same(rt, "what is known there", known[1], known[0])
		same(rt, "what is known", known[2], known[0])
		same(rt, "what the stores tell", third, first)
		same(rt, "how they go on", right, left)
		same(rt, "what the file tells", second.roughly(), first.roughly())
	})
}
