package storetest

import (
	"errors"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var pruneTests = []test{
	{"old events go, with all that belongs to them", prunes},
	{"nothing that is owed goes", prunesNothingOwed},
	{"what was owed goes later", prunesWhatWasOwed},
	{"a bounded piece of work in each call", prunesInSteps},
	{"no time removes nothing", prunesNothingBeforeNothing},
	{"dedupe keys outlive their events", pruneKeepsKeys},
	{"the oldest go first, however young", prunesOldest},
	{"the newest is no exception, and no number is used again", prunesAll},
}

// prune calls Prune until there is no more.
func (k *kit) prune(before time.Time, limit int) (total int) {
	k.t.Helper()
	for calls := 0; ; calls++ {
		n, more, err := k.s.Prune(k.ctx, before, limit)
		k.must(err)
		if total += n; !more {
			return total
		}
		if calls > 10_000 {
			k.t.Fatalf("Prune does not end")
		}
	}
}

// goneEvents checks that nothing is left of events but their dedupe keys.
func (k *kit) goneEvents(events ...*store.Event) {
	k.t.Helper()
	gone := make(map[hook.Seq]bool)
	for _, e := range events {
		gone[e.Seq] = true
		_, err := k.s.Event(k.ctx, e.Seq)
		k.check(errors.Is(err, store.ErrNotFound), "Event(%d): %v, want ErrNotFound", e.Seq, err)
		found, err := k.s.FindEvents(k.ctx, e.UUID)
		k.must(err)
		k.check(len(found) == 0, "%s is found", e.UUID)
		failures, err := k.s.FilterErrors(k.ctx, e.Seq)
		k.must(err)
		k.check(len(failures) == 0, "filter errors are left of event %d", e.Seq)
		for _, number := range e.Hooks {
			_, err := k.s.Delivery(k.ctx, hook.Key{Hook: number, Seq: e.Seq}, k.now())
			k.check(errors.Is(err, store.ErrNotFound), "a delivery is left of event %d: %v", e.Seq, err)
		}
	}
	for _, e := range k.listEvents(store.EventQuery{}, 1000) {
		k.check(!gone[e.Seq], "event %d is listed", e.Seq)
	}
	for _, states := range [][]hook.State{nil, {hook.Dead}} {
		for _, d := range k.list(store.DeliveryQuery{States: states}, 1000) {
			k.check(!gone[d.Seq], "a delivery of event %d is listed", d.Seq)
		}
	}
}

func prunes(k *kit) {
	source, h := k.source(), k.hook()
	old := k.events(80, source, h.Number)
	old[3].FilterErrors = []store.FilterError{{Hook: h.Number, Detail: "x"}}
	k.commit(old...)
	claims, _ := k.claim(h.Number, 80)
	for i, c := range claims {
		if i%2 == 0 {
			k.settle(k.delivered(c))
		} else {
			k.settle(k.dead(c))
		}
	}
	unowed := k.events(2, source)
	k.commit(unowed...)
	k.age(time.Hour)
	edge := k.now()
	young := k.event(source)
	k.commit(young)
	counted := k.stats()

	k.check(k.prune(edge, 100) == 82, "not all of the old were pruned")
	for range 2 {
		k.goneEvents(append(old, unowed...)...)
		k.sameEvent(young)
		stats := k.stats()
		k.equal("counters of sources", stats.Sources, counted.Sources)
		k.equal("counters of hooks", stats.Hooks, counted.Hooks)
		k.restart()
	}
	k.check(k.prune(edge, 100) == 0, "pruned twice")
}

func prunesNothingOwed(k *kit) {
	source, h := k.source(), k.hook()
	waiting, sending, retried, replayed := k.event(source, h.Number), k.event(source, h.Number), k.event(source, h.Number), k.event(source)
	for _, e := range []*store.Event{sending, retried} {
		k.commit(e)
	}
	claims, _, err := k.s.Claim(k.ctx, h.Number, k.now(), 2, 1<<20, lease+2*k.fixture.Grain)
	k.must(err)
	k.settle(k.failed(claims[1], k.now().Add(time.Hour)))
	k.commit(waiting)
	k.commit(replayed)
	r := k.replay(h.Number, replayed)
	k.commit(k.event(source)) // owed to nobody
	k.age(lease / 2)
	k.stands(claims[0].Key, hook.Sending, "")

	k.check(k.prune(k.now(), 2) == 1, "not only what is owed to nobody was pruned")
	n, err := k.s.PruneOldest(k.ctx, 100)
	k.must(err)
	k.check(n == 0, "PruneOldest removed %d owed events", n)
	for _, e := range []*store.Event{waiting, sending, retried, replayed} {
		k.sameEvent(e)
	}
	k.settle(k.delivered(claims[0]))
	k.stands(hook.Key{Hook: h.Number, Seq: waiting.Seq}, hook.Waiting, "")
	k.stands(hook.Key{Hook: h.Number, Seq: retried.Seq}, hook.Waiting, hook.ReasonStatus)
	k.stands(hook.Key{Hook: h.Number, Seq: replayed.Seq, Replay: r.Number}, hook.Waiting, "")
}

func prunesWhatWasOwed(k *kit) {
	source, a, b := k.source(), k.hook(), k.hook()
	events := k.events(3, source, a.Number, b.Number)
	k.commit(events...)
	k.age(time.Second)
	for _, h := range []hook.EventHook{a, b} {
		claims, _ := k.claim(h.Number, 3)
		for i, c := range claims {
			k.check(k.prune(k.now(), 100) == 0, "pruned while %d of hook %d were owed", 3-i, h.Number)
			if i == 1 {
				k.settle(k.failed(c, k.now()))
				k.check(k.prune(k.now(), 100) == 0, "pruned what is to be retried")
				c = k.one(h.Number)
			}
			k.settle(k.delivered(c))
		}
	}
	k.check(k.prune(k.now(), 100) == 3, "not pruned although settled")
	k.goneEvents(events...)
}

func prunesInSteps(k *kit) {
	source, h := k.source(), k.hook()
	var owed, free []*store.Event
	for i := range 20 {
		events := k.events(2, source)
		if i%3 == 0 {
			events = k.events(2, source, h.Number)
			owed = append(owed, events...)
		} else {
			free = append(free, events...)
		}
		k.commit(events...)
	}
	k.age(time.Second)
	for limit := 1; len(free) > 0; limit++ {
		total := k.prune(k.now(), limit)
		k.check(total == len(free), "pruned %d with limit %d, want %d", total, limit, len(free))
		k.goneEvents(free...)
		free = nil
		for range min(4, len(owed)/2) {
			claims, _ := k.claim(h.Number, 2)
			k.settle(k.delivered(claims[0]), k.dead(claims[1]))
			free = append(free, owed[:2]...)
			owed = owed[2:]
		}
	}
}

func prunesNothingBeforeNothing(k *kit) {
	source := k.source()
	k.commit(k.events(2, source)...)
	k.commit(k.events(2, source)...)
	k.reject(source, "x")
	before := k.dump()
	k.check(k.prune(time.Time{}, 10) == 0, "pruned events from before the beginning")
	more, err := k.s.Forget(k.ctx, time.Time{}, 10)
	k.must(err)
	k.check(!more, "there is more to forget")
	k.equal("the store", k.dump(), before)
}

func pruneKeepsKeys(k *kit) {
	source, h := k.source(), k.hook()
	old := k.events(3, source)
	k.commit(old...)
	k.age(time.Second)
	edge := k.now()
	k.commit(k.event(source))
	k.check(k.prune(edge, 100) == 3, "not pruned")
	for range 2 {
		for _, e := range old {
			e.Hooks = []int64{h.Number}
		}
		k.again(old...)
		k.restart()
	}
}

func prunesOldest(k *kit) {
	source, h := k.source(), k.hook()
	var groups [][]*store.Event
	for i := range 12 {
		events := k.events(2, source)
		if i%4 == 1 {
			events = k.events(2, source, h.Number)
		}
		k.commit(events...)
		groups = append(groups, events)
	}
	var gone []*store.Event
	for range 4 {
		n, err := k.s.PruneOldest(k.ctx, 1)
		k.must(err)
		k.check(n > 0, "nothing pruned although there is something")
		for i, events := range groups {
			if i%4 != 1 && n > 0 {
				if _, err := k.s.Event(k.ctx, events[0].Seq); err != nil && !contains(gone, events[0]) {
					gone = append(gone, events...)
					n -= len(events)
				}
			}
		}
		k.check(n == 0, "%d more were pruned than the oldest", n)
	}
	k.goneEvents(gone...)
	oldest := hook.Seq(1 << 62)
	for i, events := range groups {
		if !contains(gone, events[0]) {
			if i%4 != 1 {
				oldest = min(oldest, events[0].Seq)
			}
			k.sameEvent(events[0])
		}
	}
	for _, e := range gone {
		k.check(e.Seq < oldest, "event %d went before %d", e.Seq, oldest)
	}
	for {
		n, err := k.s.PruneOldest(k.ctx, 3)
		k.must(err)
		if n == 0 {
			break
		}
	}
	k.check(len(k.listEvents(store.EventQuery{}, 100)) == 6, "not just the owed are left")
}

func contains(list []*store.Event, e *store.Event) bool {
	for _, other := range list {
		if other == e {
			return true
		}
	}
	return false
}

// prunesAll empties the store, in both ways and with restarts between, and
// checks that numbers go on.
func prunesAll(k *kit) {
	source := k.source()
	var last hook.Seq
	for round := range 6 {
		e := k.event(source)
		k.commit(e)
		k.check(e.Seq > last, "round %d: number %d after %d", round, e.Seq, last)
		last = e.Seq
		k.age(time.Second)
		if round%2 == 0 {
			k.check(k.prune(k.now(), 1) == 1, "round %d: the last event was not pruned", round)
		} else {
			n, err := k.s.PruneOldest(k.ctx, 1)
			k.must(err)
			k.check(n == 1, "round %d: the last event was not pruned", round)
		}
		k.goneEvents(e)
		if round > 1 {
			k.restart()
		}
		if round > 3 {
			k.forget(k.now(), 10)
			k.restart()
		}
	}
}

var forgetTests = []test{
	{"old keys of events that are gone", forgets},
	{"no key of an event that is there", forgetsNothingThere},
	{"keys that others share", forgetsAmongOthers},
}

func (k *kit) forget(before time.Time, limit int) {
	k.t.Helper()
	for calls := 0; ; calls++ {
		more, err := k.s.Forget(k.ctx, before, limit)
		k.must(err)
		if !more {
			return
		}
		if calls > 10_000 {
			k.t.Fatalf("Forget does not end")
		}
	}
}

// isNew commits copies and checks that each is taken for a new event.
func (k *kit) isNew(events ...*store.Event) {
	k.t.Helper()
	again := copies(events)
	k.commit(again...)
	for _, e := range again {
		k.check(!e.Duplicate, "%s is a duplicate of %d", e.UUID, e.Seq)
		k.sameEvent(e)
	}
}

func forgets(k *kit) {
	source := k.source()
	old := k.events(70, source)
	k.commit(old...)
	k.age(time.Hour)
	edge := k.now()
	young := k.events(70, source)
	k.commit(young...)
	k.age(time.Hour)
	k.check(k.prune(k.now(), 100) == 140, "not pruned")
	k.forget(edge, 1)
	for range 2 {
		k.again(young...)
		k.restart()
	}
	k.isNew(old...)
	k.again(young[:3]...)
	k.forget(k.now(), 100)
	k.isNew(young...)
}

func forgetsNothingThere(k *kit) {
	source, h := k.source(), k.hook()
	events := k.events(3, source, h.Number)
	k.commit(events...)
	k.age(time.Hour)
	k.forget(k.now(), 100)
	k.prune(k.now(), 100)
	k.forget(k.now(), 100)
	k.again(events...)
}

// forgetsAmongOthers forgets some of many uuids of one instant, and of one
// uuid that two sources sent.
func forgetsAmongOthers(k *kit) {
	a, b := k.source(), k.source()
	clash := k.events(1000, a)
	for i, e := range clash {
		e.UUID = instant(i)
	}
	shared := k.event(a)
	k.commit(append(clash[:500:500], shared)...)
	k.age(time.Hour)
	edge := k.now()
	other := copies([]*store.Event{shared})[0]
	other.Source = b
	k.commit(append(clash[500:], other)...)
	k.check(k.prune(edge, 100) == 501, "not pruned")
	k.forget(edge, 100)
	k.again(append(clash[500:], other)...)
	k.isNew(append(clash[:500:500], shared)...)
	k.again(append(clash[500:], other)...)
}
