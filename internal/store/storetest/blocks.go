package storetest

import (
	"bytes"
	"math/rand/v2"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// How many events one commit takes, and how large they are, is up to the
// caller; an implementation may store them together or apart.
var blockTests = []test{
	{"as many events as a block holds, one less, one more", blockEdges},
	{"more JSON than belongs together", largeGroup},
	{"one event of 5 MiB among small ones", largeEvent},
	{"ten thousand events at once", hugeGroup},
	{"every slot of a block settles alone", everySlot},
}

func blockEdges(k *kit) {
	source, h := k.source(), k.hook()
	var all []*store.Event
	for _, n := range []int{hook.BlockSlots - 1, hook.BlockSlots, hook.BlockSlots + 1, 2 * hook.BlockSlots} {
		events := k.events(n, source, h.Number)
		k.commit(events...)
		all = append(all, events...)
	}
	k.check(increasing(eventSeqs(all)), "numbers do not grow: %v", eventSeqs(all))
	for _, e := range all {
		k.sameEvent(e)
	}
	k.counts(h.Number, hook.HookCount{Matched: int64(len(all))})
}

func largeGroup(k *kit) {
	source, h := k.source(), k.hook()
	events := k.events(60, source, h.Number)
	for i, e := range events {
		e.JSON = noise(uint64(i), 20<<10)
	}
	k.commit(events...)
	k.check(increasing(eventSeqs(events)), "numbers do not grow: %v", eventSeqs(events))
	for _, e := range events {
		k.sameEvent(e)
	}
	claims, _ := k.claim(h.Number, 100)
	for i, c := range claims {
		k.check(bytes.Equal(c.Event.JSON, events[i].JSON), "claim %d has other bytes", i)
	}
	k.check(len(claims) == len(events), "%d claims, want %d", len(claims), len(events))
}

func largeEvent(k *kit) {
	source, h := k.source(), k.hook()
	events := k.events(5, source, h.Number)
	events[1].JSON = noise(1, 5<<20)
	events[3].JSON = bytes.Repeat([]byte("well compressed "), 5<<16)
	k.commit(events...)
	for _, e := range events {
		k.sameEvent(e)
	}
	claims, _ := k.claim(h.Number, 100)
	k.equal("claims", claimSeqs(claims), eventSeqs(events))
	k.check(bytes.Equal(claims[1].Event.JSON, events[1].JSON), "the large event has other bytes")
}

// noise is JSON of n bytes that does not compress.
func noise(seed uint64, n int) []byte {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	random := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[random.IntN(len(digits))]
	}
	b[0], b[n-1] = '"', '"'
	return b
}

func hugeGroup(k *kit) {
	const n = 10_000
	source, a, b := k.source(), k.hook(), k.hook()
	events := k.events(n, source, a.Number)
	for i, e := range events {
		if i%10 == 0 {
			e.Hooks = append(e.Hooks, b.Number)
		}
	}
	k.commit(events...)
	numbers := eventSeqs(events)
	k.check(increasing(numbers), "numbers do not grow")
	for i := 0; i < n; i += 997 {
		k.sameEvent(events[i])
	}
	k.check(len(k.listEvents(store.EventQuery{}, 1000)) == n, "not every event is listed")
	k.counts(a.Number, hook.HookCount{Matched: n})
	k.counts(b.Number, hook.HookCount{Matched: n / 10})

	again := copies(events)
	k.commit(again...)
	for i, e := range again {
		if !e.Duplicate || e.Seq != numbers[i] {
			k.t.Fatalf("event %d comes again: duplicate %v of %d, want of %d", i, e.Duplicate, e.Seq, numbers[i])
		}
	}
	k.counts(a.Number, hook.HookCount{Matched: n})
	claims, _ := k.claim(b.Number, n)
	k.check(len(claims) == n/10, "%d claims, want %d", len(claims), n/10)
}

// everySlot settles each event of a full block on its own, each in another way.
func everySlot(k *kit) {
	source, h := k.source(), k.hook()
	events := k.events(hook.BlockSlots, source, h.Number)
	k.commit(events...)
	claims, _ := k.claim(h.Number, 100)
	k.equal("claims", claimSeqs(claims), eventSeqs(events))
	want := make([]hook.State, len(claims))
	due := k.now().Add(1000 * lease)
	for i := range claims {
		c := claims[len(claims)-1-i]
		switch i % 4 {
		case 0:
			k.settle(k.delivered(c))
			want[len(claims)-1-i] = hook.Delivered
		case 1:
			k.settle(k.dead(c))
			want[len(claims)-1-i] = hook.Dead
		case 2:
			k.settle(k.failed(c, due))
			want[len(claims)-1-i] = hook.Waiting
		case 3:
			k.settle(givenBack(c))
			want[len(claims)-1-i] = hook.Waiting
		}
	}
	for i, c := range claims {
		if d := k.delivery(c.Key); d.State != want[i] {
			k.t.Errorf("slot %d is %v, want %v", i, d.State, want[i])
		}
	}
	n := int64(len(claims) / 4)
	k.counts(h.Number, hook.HookCount{Matched: 4 * n, Delivered: n, Dead: n, Attempts: 3 * n})
	again, next := k.claim(h.Number, 100)
	k.check(len(again) == int(n), "%d deliveries can be claimed again, want the %d given back", len(again), n)
	k.equal("next", next, due)
}
