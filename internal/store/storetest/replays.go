package storetest

import (
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var replayTests = []test{
	{"a replay owes old events again", replays},
	{"adding twice adds once", replaysOnce},
	{"events that are gone are left out", replaysNotTheGone},
	{"the last event of a group of any size is replayed", replaysTheLast},
	{"a replay points at what it sends again", replaysOf},
	{"a replay's deliveries are deliveries like others", replaysSettle},
	{"replays are numbered for ever", numbersReplays},
}

// replay makes a replay of events to a hook.
func (k *kit) replay(number int64, events ...*store.Event) *store.Replay {
	k.t.Helper()
	k.made++
	r := &store.Replay{ID: fmt.Sprintf("rpl%d", k.made), Hook: number, Created: k.now()}
	k.must(k.s.CreateReplay(k.ctx, r))
	k.addTo(r, len(events), events...)
	return r
}

func (k *kit) addTo(r *store.Replay, want int, events ...*store.Event) {
	k.t.Helper()
	added, err := k.s.AddToReplay(k.ctx, r, eventSeqs(events), k.now())
	k.must(err)
	k.check(added == want, "added %d of %d to the replay, want %d", added, len(events), want)
}

func replays(k *kit) {
	source, old, h := k.source(), k.hook(), k.hook()
	events := k.events(70, source, old.Number)
	k.commit(events...)
	k.fixture.Advance(time.Hour)
	r := k.replay(h.Number, events[69], events[2], events[3])
	for range 2 {
		created := k.delivery(hook.Key{Hook: h.Number, Seq: events[2].Seq, Replay: r.Number}).Created
		k.check(created.After(events[2].Received), "created %v, the event came %v", created, events[2].Received)
		for _, e := range []*store.Event{events[2], events[3], events[69]} {
			key := hook.Key{Hook: h.Number, Seq: e.Seq, Replay: r.Number}
			k.equal("the delivery", k.delivery(key), hook.Delivery{
				Key: key, UUID: e.UUID, Type: e.Type, Source: source, State: hook.Waiting, Created: created, Due: created,
			})
		}
		k.counts(h.Number, hook.HookCount{Matched: 3})
		k.counts(old.Number, hook.HookCount{Matched: 70})
		k.restart()
	}
	claims, _ := k.claim(h.Number, 10)
	k.equal("claims", claimSeqs(claims), []hook.Seq{events[2].Seq, events[3].Seq, events[69].Seq})
	for _, c := range claims {
		k.check(c.Replay == r.Number && len(c.Event.JSON) > 0, "claimed %+v", c)
	}
}

func replaysTheLast(k *kit) {
	source, h := k.source(), k.hook()
	for size := 1; size <= hook.BlockSlots+1; size++ {
		events := k.events(size, source)
		k.commit(events...)
		last := events[size-1]
		r := k.replay(h.Number, last)
		added, err := k.s.AddToReplay(k.ctx, r, []hook.Seq{last.Seq, last.Seq + 1}, k.now())
		k.must(err)
		k.check(added == 0, "added %d: what is there already, and what is not there", added)
	}
}

func replaysOnce(k *kit) {
	source, h := k.source(), k.hook()
	events := k.events(6, source, h.Number)
	k.commit(events...)
	r := k.replay(h.Number, events[:3]...)
	k.addTo(r, 0, events[:3]...)
	claims, _ := k.claim(h.Number, 100)
	for _, c := range claims {
		k.settle(k.delivered(c))
	}
	k.addTo(r, 0, events[:3]...) // delivered ones too
	k.addTo(r, 2, events[1], events[4], events[5], events[4])
	k.addTo(r, 0)
	k.counts(h.Number, hook.HookCount{Matched: 11, Delivered: 9, Attempts: 9})
	second := k.replay(h.Number, events[:3]...)
	k.check(second.Number != r.Number, "two replays of the number %d", r.Number)
	claims, _ = k.claim(h.Number, 100)
	k.check(len(claims) == 5, "%d claims, want 5", len(claims))
}

func replaysNotTheGone(k *kit) {
	source, h := k.source(), k.hook()
	gone := k.events(3, source)
	k.commit(gone...)
	k.age(time.Second)
	edge := k.now()
	there := k.events(2, source)
	k.commit(there...)
	k.check(k.prune(edge, 100) == 3, "not pruned")
	r := k.replay(h.Number)
	k.addTo(r, 1, gone[0], there[1], gone[2])
	added, err := k.s.AddToReplay(k.ctx, r, []hook.Seq{0, -1, there[1].Seq + 1, there[1].Seq + 1000, 1 << 60}, k.now())
	k.must(err)
	k.check(added == 0, "added %d events that never were", added)
	k.counts(h.Number, hook.HookCount{Matched: 1})
	got := k.list(store.DeliveryQuery{Hook: h.Number}, 10)
	k.check(len(got) == 1 && got[0].Seq == there[1].Seq, "owed: %v", got)
}

func replaysOf(k *kit) {
	source, a, b := k.source(), k.hook(), k.hook()
	e := k.event(source, a.Number)
	k.commit(e)
	k.settle(k.dead(k.one(a.Number)))
	first := &store.Replay{ID: "first", Hook: b.Number, Created: k.now(), OriginHook: a.Number}
	k.must(k.s.CreateReplay(k.ctx, first))
	k.addTo(first, 1, e)
	second := &store.Replay{ID: "second", Hook: b.Number, Created: k.now(), OriginHook: b.Number, OriginReplay: first.Number}
	k.must(k.s.CreateReplay(k.ctx, second))
	k.addTo(second, 1, e)
	third := k.replay(b.Number, e)

	origins := map[int64]*hook.Key{
		0:             nil,
		first.Number:  {Hook: a.Number, Seq: e.Seq},
		second.Number: {Hook: b.Number, Seq: e.Seq, Replay: first.Number},
		third.Number:  nil,
	}
	for range 2 {
		list := k.list(store.DeliveryQuery{}, 2)
		k.check(len(list) == 4, "%d deliveries, want 4", len(list))
		for _, d := range list {
			k.equal("replayOf, listed", d.ReplayOf, origins[d.Replay])
			k.equal("replayOf, alone", k.delivery(d.Key).ReplayOf, origins[d.Replay])
		}
		k.stands(hook.Key{Hook: a.Number, Seq: e.Seq}, hook.Dead, hook.ReasonExhausted)
		k.restart()
	}
}

func replaysSettle(k *kit) {
	source, h := k.source(), k.hook()
	events := k.events(5, source, h.Number)
	k.commit(events...)
	originals, _ := k.claim(h.Number, 5)
	for _, c := range originals {
		k.settle(k.dead(c))
	}
	r := k.replay(h.Number, events...)
	claims, _ := k.claim(h.Number, 5)
	k.check(len(claims) == 5 && claims[0].Epoch != originals[0].Epoch, "claims %v", claims)
	due := k.now().Add(time.Hour)
	k.settle(k.delivered(claims[0]), k.dead(claims[1]), k.failed(claims[2], due), givenBack(claims[3]), givenBack(claims[4]))
	k.retry(claims[2].Key, true)
	k.fixture.Advance(time.Second)
	again := k.events(1, source)[0]
	k.commit(again)
	more := k.replay(h.Number, again)
	k.check(k.expire(h.Number, more.Created, 1) == 3, "not three expired")
	for i, want := range []hook.State{hook.Delivered, hook.Dead, hook.Dead, hook.Dead, hook.Dead} {
		d := k.delivery(claims[i].Key)
		k.check(d.State == want && d.Replay == r.Number, "delivery %d is %v", i, d.State)
		k.stands(originals[i].Key, hook.Dead, hook.ReasonExhausted)
	}
	k.age(time.Second)
	k.check(k.prune(k.now(), 100) == 5, "not the five events owed to nobody were pruned")
	k.counts(h.Number, hook.HookCount{Matched: 11, Delivered: 1, Dead: 9, Attempts: 8})
}

func numbersReplays(k *kit) {
	h := k.hook()
	var numbers []int64
	for range 3 {
		r := k.replay(h.Number)
		numbers = append(numbers, r.Number)
		k.restart()
	}
	k.check(0 < numbers[0] && numbers[0] < numbers[1] && numbers[1] < numbers[2], "numbers %v", numbers)
}
