package storetest

import (
	"fmt"
	"sync"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var dedupeTests = []test{
	{"twice in one group", dedupesInGroup},
	{"in a later group and after a restart", dedupesLater},
	{"from many at once", dedupesConcurrently},
	{"two sources make two events", dedupesBySource},
	{"any text is a uuid", dedupesAnyText},
	{"uuids of one instant", dedupesInstant},
}

// again commits copies and checks that each is taken for a copy.
func (k *kit) again(originals ...*store.Event) {
	k.t.Helper()
	before := k.dump()
	copied := copies(originals)
	for i, e := range copied {
		e.JSON = []byte(`{"another":"body"}`)
		e.Type = "another.type"
		e.Hooks = originals[i].Hooks
	}
	k.commit(copied...)
	for i, e := range copied {
		if !e.Duplicate || e.Seq != originals[i].Seq {
			k.t.Errorf("%q comes again: duplicate %v of %d, want of %d", e.UUID, e.Duplicate, e.Seq, originals[i].Seq)
		}
		c := before.Stats.Sources[e.Source]
		c.Duplicates++
		before.Stats.Sources[e.Source] = c
	}
	k.equal("the store after duplicates", k.dump(), before)
}

func dedupesInGroup(k *kit) {
	source, h := k.source(), k.hook()
	first, other := k.event(source, h.Number), k.event(source, h.Number)
	group := []*store.Event{first, other}
	group = append(group, copies(group)...)
	group = append(group, copies(group[:1])...)
	k.commit(group...)
	for i, e := range group {
		k.check(e.Duplicate == (i > 1), "event %d of the group is a duplicate: %v", i, e.Duplicate)
		k.check(e.Seq == group[i%2].Seq, "event %d of the group is number %d, want %d", i, e.Seq, group[i%2].Seq)
	}
	k.sameEvent(first)
	k.check(len(k.listEvents(store.EventQuery{}, 10)) == 2, "not two events")
	k.counts(h.Number, hook.HookCount{Matched: 2})
	k.equal("counters", k.stats().Sources[source], hook.SourceCount{Received: 2, Duplicates: 3})
}

func dedupesLater(k *kit) {
	source, h := k.source(), k.hook()
	events := k.events(5, source, h.Number)
	k.commit(events...)
	k.again(events...)
	k.restart()
	k.again(events...)
	mixed := append(copies(events[:2]), k.event(source, h.Number))
	k.commit(mixed...)
	k.check(mixed[0].Duplicate && mixed[1].Duplicate && !mixed[2].Duplicate, "one new event among duplicates")
	k.sameEvent(mixed[2])
}

// dedupesConcurrently has many callers commit the same events in groups of
// different cuts.
func dedupesConcurrently(k *kit) {
	const callers, n = 16, 120
	source, h := k.source(), k.hook()
	events := k.events(n, source, h.Number)
	groups := make([][]*store.Event, callers)
	var wait sync.WaitGroup
	for caller := range callers {
		groups[caller] = copies(events)
		g := k.group()
		wait.Go(func() {
			for size, left := 1+caller*3, groups[caller]; len(left) > 0; {
				cut := *g
				cut.Events = left[:min(size, len(left))]
				left = left[len(cut.Events):]
				if _, err := k.s.Commit(k.ctx, &cut); err != nil {
					k.t.Errorf("Commit: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
	for i := range n {
		kept := 0
		for _, group := range groups {
			if !group[i].Duplicate {
				kept++
			}
			k.check(group[i].Seq == groups[0][i].Seq, "event %d has the numbers %d and %d", i, group[i].Seq, groups[0][i].Seq)
		}
		k.check(kept == 1, "event %d was new %d times", i, kept)
	}
	k.counts(h.Number, hook.HookCount{Matched: n})
	k.equal("counters", k.stats().Sources[source], hook.SourceCount{Received: n, Duplicates: (callers - 1) * n})
	k.check(len(k.listEvents(store.EventQuery{}, 50)) == n, "not every event is listed once")
	claims, _ := k.claim(h.Number, 2*n)
	k.check(len(claims) == n, "%d deliveries, want %d", len(claims), n)
}

func dedupesBySource(k *kit) {
	a, b, c := k.source(), k.source(), k.source()
	first := k.event(a)
	second, third := copies([]*store.Event{first})[0], copies([]*store.Event{first})[0]
	second.Source, second.JSON = b, []byte(`"b"`)
	third.Source, third.JSON = c, []byte(`"c"`)
	k.commit(first, second)
	k.commit(third)
	for _, e := range []*store.Event{first, second, third} {
		k.check(!e.Duplicate, "source %d's event is a duplicate", e.Source)
		k.sameEvent(e)
	}
	k.again(second, third, first)

	found, err := k.s.FindEvents(k.ctx, first.UUID)
	k.must(err)
	got := make(map[hook.Seq]int64)
	for _, e := range found {
		got[e.Seq] = e.Source
	}
	k.equal("found by uuid", got, map[hook.Seq]int64{first.Seq: a, second.Seq: b, third.Seq: c})
	found, err = k.s.FindEvents(k.ctx, "no such uuid")
	k.must(err)
	k.check(len(found) == 0, "found by a uuid nobody sent: %v", found)
}

func dedupesAnyText(k *kit) {
	source := k.source()
	texts := []string{
		"a2e3d1f0-5dd2-11f0-9c1a-0242ac120002",  // version 1
		"7c9e6679-7425-40de-944b-e07fc1f90ae7",  // version 4
		"01890a5d-ac96-774b-bcce-b302099a8057",  // version 7
		"00000000-0000-0000-0000-000000000000",  // nil
		"ffffffff-ffff-ffff-ffff-ffffffffffff",  // max
		"A2E3D1F0-5DD2-11F0-9C1A-0242AC120002",  // another text than in lower case
		"a2e3d1f05dd211f09c1a0242ac120002",      // without hyphens
		"a2e3d1f-05dd2-11f0-9c1a-0242ac120002",  // with hyphens elsewhere
		"a2e3d1f0-5dd2-11f0-9c1a-0242ac12000-",  // too many of them
		"a2e3d1f0-5dd2-11f0-9c1a-0242ac12000g",  // no hexadecimal digit
		"a2e3d1f0-5dd2-11f0-9c1a-0242ac120002 ", // longer
		"a2e3d1f0-5dd2-11f0-9c1a-0242ac12000\x00", "", "\x00", "a", "łódź", "\xff\xfe",
		string(noise(3, 100_000)),
	}
	var events []*store.Event
	for _, text := range texts {
		e := k.event(source)
		e.UUID = text
		events = append(events, e)
	}
	k.commit(events...)
	for i, e := range events {
		k.check(!e.Duplicate, "%.40q is taken for another", texts[i])
		k.sameEvent(e)
		found, err := k.s.FindEvents(k.ctx, texts[i])
		k.must(err)
		k.check(len(found) == 1 && found[0].Seq == e.Seq, "%.40q finds %v", texts[i], found)
	}
	k.restart()
	k.again(events...)
}

// dedupesInstant commits so many uuids of the same version, time and clock
// sequence that an implementation that shortens uuids to keys has collisions.
func dedupesInstant(k *kit) {
	const n = 2000
	source := k.source()
	for version, uuid := range map[int]func(i int) string{
		1: instant,
		7: func(i int) string { return fmt.Sprintf("01890a5d-ac96-7001-bcce-%012x", i) },
	} {
		events := k.events(n, source)
		for i, e := range events {
			e.UUID = uuid(i)
		}
		k.commit(events[:n/2]...)
		k.commit(events[n/2:]...)
		for _, e := range events {
			k.check(!e.Duplicate, "version %d: %s is taken for another", version, e.UUID)
		}
		k.restart()
		again := copies(events)
		k.commit(again...)
		for i, e := range again {
			k.check(e.Duplicate && e.Seq == events[i].Seq, "%s comes again as %d, was %d", e.UUID, e.Seq, events[i].Seq)
		}
	}
}

// instant is one of many version 1 uuids of the same time.
func instant(i int) string { return fmt.Sprintf("a2e3d1f0-5dd2-11f0-9c1a-%012x", i) }
