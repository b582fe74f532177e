package demo

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// closing returns books that close: four events, of which a second copy of one
// was dropped; one hook that wants all of them, and one that wants failed
// sign-ins; one delivery waits and one is dead.
func closing() (*books, []uuid.UUID) {
	ids := []uuid.UUID{{1}, {2}, {3}, {4}}
	b := &books{
		org: orgBook{orgCounts: orgCounts{types: 2, calls: 2, answered: 5}, events: map[uuid.UUID]sentEvent{
			ids[0]: {acknowledged: true}, ids[1]: {acknowledged: true, failedSignIn: true},
			ids[2]: {acknowledged: true}, ids[3]: {acknowledged: true},
		}},
		source: sourceCounters{Name: sourceName, Received: 4, Duplicates: 1},
		listed: map[uuid.UUID]int{ids[0]: 1, ids[1]: 1, ids[2]: 1, ids[3]: 1},
	}
	all := hookBooks{
		name: "all", wants: func(sentEvent) bool { return true },
		counters:    hookCounters{Matched: 4, Delivered: 2, Waiting: 1, Dead: 1, Attempts: 9},
		listed:      ledger{events: make(map[uuid.UUID]owed)},
		destination: destinationBook{got: map[uuid.UUID]uint32{ids[0]: 2, ids[1]: 1}},
	}
	for i, state := range []string{"delivered", "delivered", "waiting", "dead"} {
		all.listed.enter(listedDelivery{Event: ids[i].String(), State: state})
	}
	some := hookBooks{
		name: "some", wants: func(e sentEvent) bool { return e.failedSignIn },
		counters:    hookCounters{Matched: 1, Delivered: 1, Attempts: 1},
		listed:      ledger{events: make(map[uuid.UUID]owed)},
		destination: destinationBook{got: map[uuid.UUID]uint32{ids[1]: 1}},
	}
	some.listed.enter(listedDelivery{Event: ids[1].String(), State: "delivered"})
	b.hooks = []hookBooks{all, some}
	return b, ids
}

func TestBooksThatClose(t *testing.T) {
	b, _ := closing()
	a := b.account()
	if err := a.Err(); err != nil || len(a.notes) > 0 {
		t.Errorf("%v, notes %q", err, a.notes)
	}
	want := []hookAccount{
		{name: "all", matched: 4, delivered: 2, waiting: 1, dead: 1, attempts: 9, got: 2, repeats: 1},
		{name: "some", matched: 1, delivered: 1, attempts: 1, got: 1},
	}
	if !slices.Equal(a.hooks, want) {
		t.Errorf("%+v\nwant %+v", a.hooks, want)
	}
}

// Whatever goes wrong in one place is found, and said of that place.
func TestBooksThatDoNotClose(t *testing.T) {
	stranger := uuid.UUID{9}
	for name, test := range map[string]struct {
		damage func(b *books, ids []uuid.UUID)
		want   string
	}{
		"a destination lost an event":           {func(b *books, ids []uuid.UUID) { delete(b.hooks[0].destination.got, ids[1]) }, "all: 1 events count as delivered and did not arrive"},
		"a destination got what it never ought": {func(b *books, ids []uuid.UUID) { b.hooks[1].destination.got[ids[0]] = 1 }, "some: 1 events arrived that were not for it"},
		"matched is off":                        {func(b *books, _ []uuid.UUID) { b.hooks[0].counters.Matched++ }, "all: 5 matched, but 2 delivered + 1 waiting + 1 dead make 4"},
		"delivered is off":                      {func(b *books, _ []uuid.UUID) { b.hooks[0].counters.Delivered--; b.hooks[0].counters.Matched-- }, "all: 1 counted as delivered, but 2 are listed"},
		"dead is off":                           {func(b *books, _ []uuid.UUID) { b.hooks[0].counters.Dead = 0 }, "all: 0 counted as dead, but 1 are listed"},
		"cancelled is off":                      {func(b *books, _ []uuid.UUID) { b.hooks[0].counters.Cancelled++ }, "all: 1 counted as cancelled, but 0 are listed"},
		"a delivery that waits has vanished": {func(b *books, ids []uuid.UUID) {
			b.hooks[0].listed.waiting--
			delete(b.hooks[0].listed.events, ids[2])
		}, "all: 4 matched, but 2 delivered + 0 waiting + 1 dead make 3"},
		"an event was not routed": {func(b *books, ids []uuid.UUID) {
			b.hooks[1].counters.Matched, b.hooks[1].counters.Delivered, b.hooks[1].listed.delivered = 0, 0, 0
			delete(b.hooks[1].listed.events, ids[1])
			delete(b.hooks[1].destination.got, ids[1])
		}, "some: 1 events have no delivery and should have one"},
		"the filter let an event through": {func(b *books, ids []uuid.UUID) {
			b.hooks[1].listed.enter(listedDelivery{Event: ids[0].String(), State: "delivered"})
			b.hooks[1].counters.Matched, b.hooks[1].counters.Delivered = 2, 2
			b.hooks[1].destination.got[ids[0]] = 1
		}, "some: 1 events have a delivery and should have none"},
		"an event is owed twice": {func(b *books, ids []uuid.UUID) {
			b.hooks[1].listed.enter(listedDelivery{Event: ids[1].String(), State: "delivered"})
			b.hooks[1].counters.Matched, b.hooks[1].counters.Delivered = 2, 2
			b.hooks[1].destination.got[ids[1]] = 2
		}, "some: 1 events have more than one delivery"},
		"delivered twice, arrived once": {func(b *books, ids []uuid.UUID) {
			b.hooks[1].listed.enter(listedDelivery{Event: ids[1].String(), State: "delivered", ReplayOf: "dlv"})
			b.hooks[1].counters.Matched, b.hooks[1].counters.Delivered = 2, 2
		}, "some: 1 events count as delivered and did not arrive"},
		"an acknowledged event is gone": {func(b *books, ids []uuid.UUID) {
			delete(b.listed, ids[3])
			b.source.Received--
		}, "1 events were acknowledged to the org and are not there"},
		"received is off":             {func(b *books, _ []uuid.UUID) { b.source.Received++ }, "6 events came in (5 received + 1 duplicates + 0 rejected), but the org sent 5"},
		"duplicates is off":           {func(b *books, _ []uuid.UUID) { b.source.Duplicates = 0 }, "4 events came in (4 received + 0 duplicates + 0 rejected), but the org sent 5"},
		"rejected instead of dropped": {func(b *books, _ []uuid.UUID) { b.source.Duplicates, b.source.Rejected = 0, 1 }, "1 events were rejected"},
		"kept twice": {func(b *books, ids []uuid.UUID) {
			b.listed[ids[0]] = 2
		}, "1 events are there more than once"},
		"an event nobody sent": {func(b *books, _ []uuid.UUID) {
			b.listed[stranger] = 1
			b.source.Received, b.source.Duplicates = 5, 0
		}, "1 events are there that the org never sent"},
	} {
		t.Run(name, func(t *testing.T) {
			b, ids := closing()
			test.damage(b, ids)
			a := b.account()
			if a.Err() == nil || !slices.Contains(a.wrong, test.want) {
				t.Errorf("%q\nlacks %q", a.wrong, test.want)
			}
		})
	}
}

// What is unusual and may happen to a sound gateway is told, and no failure.
func TestUnusualBooksThatClose(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *books, ids []uuid.UUID)
		want   string
	}{
		"an answer to the org was lost, the events were kept": {func(b *books, ids []uuid.UUID) {
			b.org.answered, b.org.unanswered = 4, 1
		}, "no answer to calls with 1 events"},
		"an answer to the org was lost, the events were not kept": {func(b *books, ids []uuid.UUID) {
			b.org.unanswered = 3
			b.org.events[uuid.UUID{5}] = sentEvent{}
		}, "no answer to calls with 3 events"},
		"the gateway was busy": {func(b *books, ids []uuid.UUID) { b.org.refused = 2 }, "refused 2 events"},
		"an answer of a destination was lost": {func(b *books, ids []uuid.UUID) {
			b.hooks[0].destination.got[ids[2]] = 1
		}, "all: 1 events arrived and still count as waiting or dead"},
		"a dead letter was sent again": {func(b *books, ids []uuid.UUID) {
			b.hooks[0].listed.enter(listedDelivery{Event: ids[3].String(), State: "delivered", ReplayOf: "dlv"})
			b.hooks[0].counters.Matched, b.hooks[0].counters.Delivered = 5, 3
			b.hooks[0].destination.got[ids[3]] = 1
		}, "all: 1 of the matched were sent again on request"},
		"someone has changed the filter": {func(b *books, ids []uuid.UUID) {
			b.hooks[1].changed = true
			b.hooks[1].listed.enter(listedDelivery{Event: ids[0].String(), State: "delivered"})
			b.hooks[1].counters.Matched, b.hooks[1].counters.Delivered = 2, 2
			b.hooks[1].destination.got[ids[0]] = 1
		}, "some: someone changed it"},
		"someone has deleted the hook": {func(b *books, ids []uuid.UUID) {
			b.hooks[0].changed = true
			b.hooks[0].listed.waiting, b.hooks[0].listed.cancelled = 0, 1
			b.hooks[0].counters.Cancelled = 1
		}, "all: 1 more matched, and were cancelled"},
		"a stranger called a destination": {func(b *books, ids []uuid.UUID) {
			b.hooks[0].destination.strange = 1
		}, "all: 1 calls arrived that were refused"},
	} {
		t.Run(name, func(t *testing.T) {
			b, ids := closing()
			test.change(b, ids)
			a := b.account()
			if err := a.Err(); err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(a.notes, func(note string) bool { return strings.Contains(note, test.want) }) {
				t.Errorf("notes %q\nlack %q", a.notes, test.want)
			}
		})
	}
}
