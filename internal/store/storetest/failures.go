package storetest

import (
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var failureTests = []test{
	{"what fails has changed nothing", failsWhole},
	{"a commit that failed succeeds later", commitsAfterFailure},
	{"a settle that failed succeeds later", settlesAfterFailure},
	{"a callback that panics leaves the store usable", survivesPanics},
}

// failsWhole breaks the store, tries everything that writes, and compares what
// can be asked of it before, while broken, mended, and after a restart.
func failsWhole(k *kit) {
	source := k.source()
	k.commit(k.events(2, source)...)
	k.age(time.Second)
	k.check(k.prune(k.now(), 100) == 2, "not pruned, so that there is something to forget")
	k.varied()
	h := k.hook()
	k.must(k.s.CreateSource(k.ctx, &hook.Source{Name: "acme"}))
	k.commit(k.events(3, source, h.Number)...)
	old := k.events(2, source)
	k.commit(old...)
	claims, _ := k.claim(h.Number, 2)
	k.settle(k.failed(claims[1], k.now().Add(time.Hour)))
	retried := claims[1].Key
	k.age(2 * lease)
	r := k.replay(h.Number)
	before := k.dump()

	k.fixture.Break(k.s, true)
	fails := func(what string, err error) {
		k.t.Helper()
		k.check(err != nil, "%s succeeds on a broken store", what)
	}
	g := k.group(append(k.events(100, source, h.Number), copies(old)...)...)
	g.Rejected = []*store.Rejected{{Source: source, Raw: []byte("x")}}
	g.Counts = map[int64]hook.SourceCount{source: {Deliveries: 1}, 0: {Deliveries: 1}}
	g.Events[0].FilterErrors = []store.FilterError{{Hook: h.Number}}
	g.LeaseFor, g.Lease = time.Hour, takeAll
	committed, err := k.s.Commit(k.ctx, g)
	fails("Commit", err)
	k.check(len(committed) == 0, "claims of a commit that failed: %v", committed)
	fails("Count", k.s.Count(k.ctx, map[int64]hook.SourceCount{source: {Deliveries: 1}}))
	fails("CreateSource", k.s.CreateSource(k.ctx, &hook.Source{Name: "late"}))
	_, err = k.s.UpdateSource(k.ctx, "acme", func(s *hook.Source) error { s.Host = "x"; return nil })
	fails("UpdateSource", err)
	fails("DeleteSource", k.s.DeleteSource(k.ctx, "acme"))
	late := k.newHook()
	fails("CreateEventHook", k.s.CreateEventHook(k.ctx, &late, anyone))
	k.check(late.Number == 0 && late.Revision == 0, "a hook that is not kept has the number %d", late.Number)
	_, err = k.s.UpdateEventHook(k.ctx, h.ID, k.now(), func(h *hook.EventHook, _ []hook.EventHook) error { h.Name = "x"; return nil })
	fails("UpdateEventHook", err)
	fails("DeleteEventHook", k.s.DeleteEventHook(k.ctx, h.ID, k.now(), func(hook.EventHook) error { return nil }))
	_, err = k.s.Hold(k.ctx, h.Number, hook.ReasonGone, k.now(), time.Time{})
	fails("Hold", err)
	fails("SetCanary", k.s.SetCanary(k.ctx, []byte("x")))
	_, err = k.s.Retry(k.ctx, retried, k.now())
	fails("Retry", err)
	_, _, err = k.s.Expire(k.ctx, h.Number, k.now(), k.now(), hook.ReasonExpired, 10)
	fails("Expire", err)
	again := store.Replay{ID: "late", Hook: h.Number}
	fails("CreateReplay", k.s.CreateReplay(k.ctx, &again))
	k.check(again.Number == 0, "a replay that is not kept has the number %d", again.Number)
	_, err = k.s.AddToReplay(k.ctx, r, eventSeqs(old), k.now())
	fails("AddToReplay", err)
	_, _, err = k.s.Prune(k.ctx, k.now(), 100)
	fails("Prune", err)
	_, err = k.s.PruneOldest(k.ctx, 100)
	fails("PruneOldest", err)
	_, err = k.s.Forget(k.ctx, k.now(), 100)
	fails("Forget", err)

	k.equal("the store while broken", k.dump(), before)
	k.fixture.Break(k.s, false)
	k.equal("the store when mended", k.dump(), before)
	k.restart()
	k.equal("the store after a restart", k.dump(), before)
}

// commitsAfterFailure commits a group that failed again, as the caller of a
// group commit would not; and in between others take the numbers it was given.
func commitsAfterFailure(k *kit) {
	source, h := k.source(), k.hook()
	first := k.events(70, source, h.Number)
	first = append(first, copies(first[:1])...)
	g := k.group(first...)
	g.Rejected = []*store.Rejected{{Source: source, Raw: []byte("x")}}
	offered := 0
	g.LeaseFor, g.Lease = time.Hour, func(int64, *store.Event) bool { offered++; return true }
	k.fixture.Break(k.s, true)
	for range 3 {
		claims, err := k.s.Commit(k.ctx, g)
		k.check(err != nil && len(claims) == 0, "a broken store commits: %v", claims)
	}
	k.fixture.Break(k.s, false)
	k.check(offered == 210, "offered %d times, want 210", offered)
	other := k.event(source, h.Number)
	k.commit(other)
	claims, _ := k.claim(h.Number, 1000)
	k.equal("claims", claimSeqs(claims), []hook.Seq{other.Seq})

	claims, err := k.s.Commit(k.ctx, g)
	k.must(err)
	k.check(len(claims) == 70, "%d claims, want 70", len(claims))
	k.check(increasing(append([]hook.Seq{other.Seq}, eventSeqs(first[:70])...)), "numbers do not grow")
	for _, e := range first[:70] {
		k.check(!e.Duplicate, "%s is a duplicate of itself", e.UUID)
		k.sameEvent(e)
	}
	k.check(first[70].Duplicate && first[70].Seq == first[0].Seq, "the copy is no duplicate")
	k.counts(h.Number, hook.HookCount{Matched: 71})
	k.equal("counters", k.stats().Sources[source], hook.SourceCount{Received: 71, Duplicates: 1, Rejected: 1})
	k.check(len(k.listEvents(store.EventQuery{}, 100)) == 71, "not 71 events are listed")
	for _, c := range claims {
		k.settle(k.delivered(c))
	}
}

func settlesAfterFailure(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(4, source, h.Number)...)
	claims, _ := k.claim(h.Number, 3)
	k.settle(k.failed(claims[2], k.now()))
	claims, _ = k.claim(h.Number, 2)
	first, _ := k.claim(h.Number, 1)
	claims = append(claims, first...)
	due := k.now().Add(time.Hour)
	before := k.dump()
	outcomes := []store.Outcome{k.delivered(claims[0]), k.failed(claims[1], due)}
	outcomes = append(outcomes, store.Outcome{Key: claims[0].Key, Epoch: -1, State: hook.Dead})
	k.fixture.Break(k.s, true)
	for range 2 {
		lost, err := k.s.Settle(k.ctx, outcomes)
		k.check(err != nil && len(lost) == 0, "a broken store settles, and lost %v", lost)
	}
	k.fixture.Break(k.s, false)
	k.equal("the store", k.dump(), before)
	none, _ := k.claim(h.Number, 10)
	k.check(len(none) == 0, "claimed what is leased")
	lost, err := k.s.Settle(k.ctx, outcomes)
	k.must(err)
	k.equal("lost", lost, []hook.Key{claims[0].Key})
	k.stands(claims[0].Key, hook.Delivered, "")
	k.stands(claims[1].Key, hook.Waiting, hook.ReasonStatus)
}

func survivesPanics(k *kit) {
	source, h := k.source(), k.hook()
	e := k.event(source, h.Number)
	before := k.dump()
	panics := func(what string, call func()) {
		k.t.Helper()
		func() {
			defer func() { k.check(recover() == "the test", "%s swallows the panic of its callback", what) }()
			call()
		}()
		k.equal("the store after a panic in "+what, k.dump(), before)
	}
	panics("Commit", func() {
		g := k.group(e)
		g.Lease = func(int64, *store.Event) bool { panic("the test") }
		_, _ = k.s.Commit(k.ctx, g)
	})
	panics("UpdateSource", func() {
		_, _ = k.s.UpdateSource(k.ctx, "source-1", func(*hook.Source) error { panic("the test") })
	})
	panics("CreateEventHook", func() {
		late := k.newHook()
		_ = k.s.CreateEventHook(k.ctx, &late, func([]hook.EventHook) error { panic("the test") })
	})
	panics("UpdateEventHook", func() {
		_, _ = k.s.UpdateEventHook(k.ctx, h.ID, k.now(), func(*hook.EventHook, []hook.EventHook) error { panic("the test") })
	})
	panics("DeleteEventHook", func() {
		_ = k.s.DeleteEventHook(k.ctx, h.ID, k.now(), func(hook.EventHook) error { panic("the test") })
	})
	k.commit(e)
	k.settle(k.delivered(k.one(h.Number)))
}
