package storetest

import (
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var grantTests = []test{
	{"every new delivery is offered, in order", offersInOrder},
	{"what is taken is leased as Claim would", grantsLeases},
	{"a lease taken at commit ends", grantEnds},
	{"a taken delivery settles", grantSettles},
}

func offersInOrder(k *kit) {
	source, a, b := k.source(), k.hook(), k.hook()
	old := k.event(source, a.Number)
	k.commit(old)
	events := k.events(100, source, b.Number, a.Number)
	events = append(events[:50:50], append(copies([]*store.Event{old, events[3]}), events[50:]...)...)
	g := k.group(events...)
	type offer struct {
		hook  int64
		event *store.Event
	}
	var got, want []offer
	g.LeaseFor = lease
	g.Lease = func(number int64, e *store.Event) bool {
		got = append(got, offer{number, e})
		return true
	}
	claims, err := k.s.Commit(k.ctx, g)
	k.must(err)
	var keys []hook.Key
	for _, e := range events {
		if !e.Duplicate {
			want = append(want, offer{b.Number, e}, offer{a.Number, e})
			keys = append(keys, hook.Key{Hook: b.Number, Seq: e.Seq}, hook.Key{Hook: a.Number, Seq: e.Seq})
		}
	}
	// Whether duplicates are offered too is up to the store.
	got = slices.DeleteFunc(got, func(o offer) bool { return o.event.Duplicate })
	k.check(len(got) == 200 && len(want) == 200, "%d offers, want 200", len(got))
	for i := range min(len(got), len(want)) {
		k.check(got[i] == want[i], "offer %d is of hook %d and event %d", i, got[i].hook, got[i].event.Seq)
	}
	var claimed []hook.Key
	for _, c := range claims {
		claimed = append(claimed, c.Key)
	}
	k.equal("claims", claimed, keys)
}

// grant commits events and takes those deliveries that take names.
func (k *kit) grant(take func(number int64, e *store.Event) bool, events ...*store.Event) []store.Claim {
	k.t.Helper()
	g := k.group(events...)
	g.Lease, g.LeaseFor = take, lease
	claims, err := k.s.Commit(k.ctx, g)
	k.must(err)
	return claims
}

func takeAll(int64, *store.Event) bool { return true }

func grantsLeases(k *kit) {
	source, a, b := k.source(), k.hook(), k.hook()
	events := k.events(3, source, a.Number, b.Number)
	before := k.fixture.Now()
	claims := k.grant(func(number int64, e *store.Event) bool { return number == a.Number && e != events[1] }, events...)
	k.equal("taken", claimSeqs(claims), []hook.Seq{events[0].Seq, events[2].Seq})
	for i, c := range claims {
		e := events[2*i]
		k.equal("the claim's event", *c.Event, e.Event)
		k.equal("the claim", c, store.Claim{
			Key: hook.Key{Hook: a.Number, Seq: e.Seq}, Epoch: c.Epoch, Until: c.Until, Event: &e.Event, Created: e.Received,
		})
		k.untilIsRight(c.Until, before, lease)
		k.stands(c.Key, hook.Sending, "")
	}
	k.check(claims[0].Epoch != claims[1].Epoch, "two leases of the epoch %d", claims[0].Epoch)

	left, _ := k.claim(a.Number, 10)
	k.equal("left to claim", claimSeqs(left), []hook.Seq{events[1].Seq})
	left, _ = k.claim(b.Number, 10)
	k.equal("left to claim of the other hook", claimSeqs(left), eventSeqs(events))
	// Duplicates of what is being sent grant nothing.
	k.check(len(k.grant(takeAll, copies(events)...)) == 0, "a duplicate was leased")
}

// untilIsRight checks the end of a lease of length that was given after before
// by the fixture's clock; that clock may tick, and be kept to the microsecond.
func (k *kit) untilIsRight(until, before time.Time, length time.Duration) {
	k.t.Helper()
	earliest, latest := before.Add(length).Truncate(time.Millisecond), k.fixture.Now().Add(length)
	k.check(!until.Before(earliest) && !until.After(latest), "the lease ends at %v, want %v to %v", until, earliest, latest)
}

func grantEnds(k *kit) {
	source, h := k.source(), k.hook()
	e := k.event(source, h.Number)
	stale := k.grant(takeAll, e)[0]
	k.fixture.Advance(lease)
	k.stands(stale.Key, hook.Waiting, "")
	c := k.one(h.Number)
	k.check(c.Epoch != stale.Epoch, "the epoch %d again", c.Epoch)
	k.lost(k.delivered(stale))
	k.settle(k.delivered(c))
	k.stands(c.Key, hook.Delivered, "")
}

func grantSettles(k *kit) {
	source, h := k.source(), k.hook()
	claims := k.grant(takeAll, k.events(4, source, h.Number)...)
	due := k.now().Add(time.Hour)
	k.settle(k.delivered(claims[0]), k.failed(claims[1], due), k.dead(claims[2]), givenBack(claims[3]))
	for i, want := range []hook.State{hook.Delivered, hook.Waiting, hook.Dead, hook.Waiting} {
		k.check(k.delivery(claims[i].Key).State == want, "delivery %d is not %v", i, want)
	}
	c, next := k.claim(h.Number, 10)
	k.equal("given back", claimSeqs(c), []hook.Seq{claims[3].Seq})
	k.equal("next", next, due)
	k.counts(h.Number, hook.HookCount{Matched: 4, Delivered: 1, Dead: 1, Attempts: 3})
}
