package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var wholeTests = []test{
	{"a store keeps its identity", keepsIdentity},
	{"the canary is set once", keepsCanary},
	{"all is there after a restart", survivesRestart},
	{"stats tell what is owed for how long", tellsStats},
	{"a closed store refuses", refusesWhenClosed},
	{"closing waits for the calls under way", closesOrderly},
	{"reads end with their context", endsReads},
	{"everything at once", everythingAtOnce},
}

func keepsIdentity(k *kit) {
	id := k.s.Identity()
	k.check(id.UUID != [16]byte{} && id.Tag != 0, "the identity is %v", id)
	k.restart()
	k.equal("the identity", k.s.Identity(), id)
}

func keepsCanary(k *kit) {
	sealed, err := k.s.Canary(k.ctx)
	k.must(err)
	k.check(sealed == nil, "a new store has the canary %q", sealed)
	k.must(k.s.SetCanary(k.ctx, []byte("\x00canary")))
	for range 2 {
		err = k.s.SetCanary(k.ctx, []byte("another"))
		k.check(errors.Is(err, store.ErrExists), "SetCanary again: %v, want ErrExists", err)
		sealed, err = k.s.Canary(k.ctx)
		k.must(err)
		k.equal("the canary", sealed, []byte("\x00canary"))
		k.restart()
	}
}

func survivesRestart(k *kit) {
	k.varied()
	k.reject(1, "x")
	k.must(k.s.SetCanary(k.ctx, []byte("canary")))
	k.fixture.Advance(2 * lease)
	k.prune(k.now().Add(-time.Hour), 3)
	before := k.dump()
	for range 2 {
		k.restart()
		k.equal("the store after a restart", k.dump(), before)
	}
}

func tellsStats(k *kit) {
	empty := k.stats()
	k.check(len(empty.Sources) == 0 && len(empty.Hooks) == 0 && len(empty.OldestOwed) == 0, "a new store counts %+v", empty)
	source, a, b := k.source(), k.hook(), k.hook()
	oldest := k.event(source, a.Number)
	k.commit(oldest)
	k.fixture.Advance(time.Minute)
	e := k.event(source, a.Number, b.Number)
	e.JSON = noise(1, 1<<20)
	k.commit(e)
	stats := k.stats()
	k.equal("oldest owed", stats.OldestOwed, map[int64]time.Time{a.Number: oldest.Received, b.Number: e.Received})
	k.check(stats.Bytes > empty.Bytes+1<<19, "%d bytes before and %d after an event of 1 MiB", empty.Bytes, stats.Bytes)

	claims, _ := k.claim(a.Number, 1)
	k.settle(k.failed(claims[0], k.now().Add(time.Hour)))
	k.equal("oldest owed, retried", k.stats().OldestOwed[a.Number], oldest.Received)
	k.restart()
	k.equal("oldest owed, after a restart", k.stats().OldestOwed[a.Number], oldest.Received)
	claims, _ = k.claim(a.Number, 2)
	for _, c := range claims {
		if c.Seq == oldest.Seq {
			k.settle(k.delivered(c))
		} else {
			k.settle(givenBack(c))
		}
	}
	k.settle(k.dead(k.one(b.Number)))
	k.equal("oldest owed", k.stats().OldestOwed, map[int64]time.Time{a.Number: e.Received})
}

// calls are one call of every method that can fail. They change nothing on a
// store that is as the caller says, or fail.
func (k *kit) calls(ctx context.Context) map[string]func() error {
	return map[string]func() error{
		"Sources":      func() error { _, err := k.s.Sources(ctx); return err },
		"EventHooks":   func() error { _, _, err := k.s.EventHooks(ctx); return err },
		"HookIDs":      func() error { _, err := k.s.HookIDs(ctx); return err },
		"Canary":       func() error { _, err := k.s.Canary(ctx); return err },
		"Events":       func() error { _, _, _, err := k.s.Events(ctx, store.EventQuery{Limit: 1}); return err },
		"Event":        func() error { _, err := k.s.Event(ctx, 64); return err },
		"FindEvents":   func() error { _, err := k.s.FindEvents(ctx, "x"); return err },
		"FilterErrors": func() error { _, err := k.s.FilterErrors(ctx, 64); return err },
		"Deliveries":   func() error { _, _, err := k.s.Deliveries(ctx, store.DeliveryQuery{Limit: 1}, k.now()); return err },
		"Delivery":     func() error { _, err := k.s.Delivery(ctx, hook.Key{Hook: 1, Seq: 64}, k.now()); return err },
		"RejectedList": func() error { _, err := k.s.RejectedList(ctx, 0, 0, 1); return err },
		"Rejected":     func() error { _, err := k.s.Rejected(ctx, 1); return err },
		"Stats":        func() error { _, err := k.s.Stats(ctx); return err },
		"Claim":        func() error { _, _, err := k.s.Claim(ctx, 1, k.now(), 1, 1, lease); return err },
		"CreateSource": func() error { return k.s.CreateSource(ctx, &hook.Source{Name: "late"}) },
		"UpdateSource": func() error {
			_, err := k.s.UpdateSource(ctx, "x", func(*hook.Source) error { return nil })
			return err
		},
		"DeleteSource":    func() error { return k.s.DeleteSource(ctx, "x") },
		"CreateEventHook": func() error { h := k.newHook(); return k.s.CreateEventHook(ctx, &h, anyone) },
		"UpdateEventHook": func() error {
			_, err := k.s.UpdateEventHook(ctx, "x", k.now(), func(*hook.EventHook, []hook.EventHook) error { return nil })
			return err
		},
		"DeleteEventHook": func() error {
			return k.s.DeleteEventHook(ctx, "x", k.now(), func(hook.EventHook) error { return nil })
		},
		"Hold":         func() error { _, err := k.s.Hold(ctx, 1, "", k.now(), time.Time{}); return err },
		"SetCanary":    func() error { return k.s.SetCanary(ctx, []byte("late")) },
		"Commit":       func() error { _, err := k.s.Commit(ctx, &store.Group{Received: k.now()}); return err },
		"Count":        func() error { return k.s.Count(ctx, map[int64]hook.SourceCount{0: {Deliveries: 1}}) },
		"Renew":        func() error { _, _, err := k.s.Renew(ctx, nil, k.now(), lease); return err },
		"Settle":       func() error { _, err := k.s.Settle(ctx, nil); return err },
		"Retry":        func() error { _, err := k.s.Retry(ctx, hook.Key{Hook: 1, Seq: 64}, k.now()); return err },
		"Expire":       func() error { _, _, err := k.s.Expire(ctx, 1, k.now(), k.now(), hook.ReasonExpired, 1); return err },
		"CreateReplay": func() error { return k.s.CreateReplay(ctx, &store.Replay{ID: "late", Hook: 1}) },
		"AddToReplay": func() error {
			_, err := k.s.AddToReplay(ctx, &store.Replay{Number: 1, Hook: 1}, nil, k.now())
			return err
		},
		"Prune":       func() error { _, _, err := k.s.Prune(ctx, k.now(), 1); return err },
		"PruneOldest": func() error { _, err := k.s.PruneOldest(ctx, 1); return err },
		"Forget":      func() error { _, err := k.s.Forget(ctx, k.now(), 1); return err },
		"Beat":        func() error { _, err := k.s.Beat(ctx); return err },
	}
}

func refusesWhenClosed(k *kit) {
	k.commit(k.event(k.source(), k.hook().Number))
	before := k.dump()
	k.must(k.s.Close())
	for name, call := range k.calls(k.ctx) {
		err := call()
		k.check(err != nil, "%s of a closed store succeeds", name)
		k.check(!errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrRevision),
			"%s of a closed store says %v", name, err)
	}
	k.open()
	k.equal("the store opened again", k.dump(), before)
}

// closesOrderly closes the store under load: what a call said is true then.
func closesOrderly(k *kit) {
	source, h := k.source(), k.hook()
	_, revision := k.hooks()
	const callers = 8
	kept := make([][]*store.Event, callers)
	started := make(chan struct{}, callers)
	var wait sync.WaitGroup
	for caller := range callers {
		events := k.events(500, source, h.Number)
		now := k.now()
		wait.Go(func() {
			for i, e := range events {
				if _, err := k.s.Commit(k.ctx, &store.Group{Received: now, Revision: revision, Events: []*store.Event{e}}); err != nil {
					break
				}
				kept[caller] = append(kept[caller], e)
				if i == 0 {
					started <- struct{}{}
				}
				if _, err := k.s.Event(k.ctx, e.Seq); err != nil {
					break
				}
			}
		})
	}
	for range callers {
		<-started
	}
	k.must(k.s.Close())
	wait.Wait()
	k.open()
	total := 0
	for _, events := range kept {
		for _, e := range events {
			k.sameEvent(e)
		}
		total += len(events)
	}
	k.check(len(k.listEvents(store.EventQuery{}, 1000)) == total, "not just the %d acknowledged events are there", total)
	k.counts(h.Number, hook.HookCount{Matched: int64(total)})
}

func endsReads(k *kit) {
	k.varied()
	before := k.dump()
	ended, cancel := context.WithCancel(k.ctx)
	cancel()
	reads := []string{
		"Sources", "EventHooks", "HookIDs", "Canary", "Events", "Event", "FindEvents", "FilterErrors",
		"Deliveries", "Delivery", "RejectedList", "Rejected", "Stats",
	}
	for range 3 { // an interrupted read leaves nothing behind for the next
		calls := k.calls(ended)
		for _, name := range reads {
			err := calls[name]()
			k.check(errors.Is(err, context.Canceled), "%s with an ended context: %v, want context.Canceled", name, err)
		}
	}
	k.equal("the store", k.dump(), before)

	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithTimeout(k.ctx, time.Duration(i)*20*time.Microsecond)
				if _, _, err := k.s.Deliveries(ctx, store.DeliveryQuery{Limit: 1000}, k.now()); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					k.t.Errorf("Deliveries: %v, want context.DeadlineExceeded", err)
				}
				cancel()
			}
		})
	}
	wait.Wait()
	k.equal("the store", k.dump(), before)
}

// everythingAtOnce has all roles work at the same time and then closes the sums.
func everythingAtOnce(k *kit) {
	const groups, size = 30, 5
	source := k.source()
	hooks := []hook.EventHook{k.hook(), k.hook(), k.hook()}
	_, revision := k.hooks()
	var work [][]*store.Event
	for range groups {
		work = append(work, k.events(size, source, hooks[0].Number, hooks[1].Number, hooks[2].Number))
	}
	now := k.now()
	ctx, cancel := context.WithCancel(k.ctx)
	fail := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			k.t.Errorf("%s: %v", what, err)
		}
	}
	var intake, rest sync.WaitGroup
	for worker := range 3 {
		intake.Go(func() {
			for i := worker; i < groups; i += 3 {
				_, err := k.s.Commit(k.ctx, &store.Group{Received: now, Revision: revision, Events: work[i]})
				fail("Commit", err)
			}
		})
	}
	done := make([]int, len(hooks))
	for worker, h := range hooks {
		rest.Go(func() {
			for round := 0; done[worker] < groups*size; round++ {
				claims, _, err := k.s.Claim(k.ctx, h.Number, now, 7, 1<<20, time.Hour)
				fail("Claim", err)
				var outcomes []store.Outcome
				for i, c := range claims {
					switch (round + i) % 4 {
					case 0:
						outcomes = append(outcomes, k.failed(c, now))
					case 1:
						outcomes = append(outcomes, givenBack(c))
					default:
						outcomes = append(outcomes, k.delivered(c))
						done[worker]++
					}
				}
				lost, err := k.s.Settle(k.ctx, outcomes)
				fail("Settle", err)
				if len(lost) > 0 {
					k.t.Errorf("Settle lost %v", lost)
				}
			}
		})
	}
	var readers sync.WaitGroup
	for reader := range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, _, err := k.s.Deliveries(ctx, store.DeliveryQuery{Limit: 20, Hook: hooks[reader].Number}, now)
				fail("Deliveries", err)
				_, _, _, err = k.s.Events(ctx, store.EventQuery{Limit: 20})
				fail("Events", err)
				_, err = k.s.Stats(ctx)
				fail("Stats", err)
				_, _, err = k.s.Prune(k.ctx, now.Add(-time.Hour), 2)
				fail("Prune", err)
				_, err = k.s.Hold(k.ctx, hooks[reader].Number, hook.ReasonGone, now, time.Time{})
				fail("Hold", err)
			}
		})
	}
	intake.Wait()
	rest.Wait()
	cancel()
	readers.Wait()
	for _, h := range hooks {
		c := k.stats().Hooks[h.Number]
		k.check(c.Matched == groups*size && c.Delivered == groups*size && c.Waiting() == 0, "hook %d counts %+v", h.Number, c)
		k.check(len(k.list(store.DeliveryQuery{Hook: h.Number, States: []hook.State{hook.Delivered}}, 100)) == groups*size,
			"not all deliveries of hook %d are listed as delivered", h.Number)
	}
	k.check(len(k.listEvents(store.EventQuery{}, 100)) == groups*size, "not all events are listed")
	k.check(fmt.Sprint(done) == fmt.Sprint([]int{groups * size, groups * size, groups * size}), "delivered %v", done)
}
