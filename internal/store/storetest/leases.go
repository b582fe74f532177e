package storetest

import (
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var leaseTests = []test{
	{"a lease ends", leaseEnds},
	{"a stale outcome is skipped and reported, its neighbours are kept", skipsStale},
	{"one lease settles once", settlesOnce},
	{"a lease does not outlive what it is of", leaseOfTheDead},
	{"renewing lengthens", renews},
	{"what is lost cannot be renewed", renewsNotTheLost},
	{"a claim from before a restart is stale", staleAfterRestart},
}

func leaseEnds(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.event(source, h.Number))
	var epochs []int64
	for range 3 {
		c := k.one(h.Number)
		k.stands(c.Key, hook.Sending, "")
		k.check(k.delivery(c.Key).Due.IsZero(), "what is being sent is due at %v", k.delivery(c.Key).Due)
		k.fixture.Advance(lease - time.Second)
		none, _ := k.claim(h.Number, 10)
		k.check(len(none) == 0, "claimed while it was leased")
		k.fixture.Advance(time.Second)
		k.stands(c.Key, hook.Waiting, "")
		epochs = append(epochs, c.Epoch)
	}
	k.check(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != epochs[2], "epochs %v", epochs)
	k.counts(h.Number, hook.HookCount{Matched: 1})
}

func skipsStale(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(3, source, h.Number)...)
	first, _ := k.claim(h.Number, 3)
	k.settle(k.failed(first[2], k.now()))
	k.fixture.Advance(lease)
	second, _ := k.claim(h.Number, 3)
	k.check(len(second) == 3, "%d claims after the leases ended, want 3", len(second))

	lost, err := k.s.Settle(k.ctx, []store.Outcome{
		k.dead(first[0]), k.delivered(second[1]), k.delivered(first[1]), k.dead(first[2]),
		{Key: hook.Key{Hook: h.Number, Seq: 1 << 40}, Epoch: 1, State: hook.Dead},
	})
	k.must(err)
	k.equal("lost", lost, []hook.Key{first[0].Key, first[1].Key, first[2].Key, {Hook: h.Number, Seq: 1 << 40}})
	k.stands(first[0].Key, hook.Sending, "")
	k.stands(first[1].Key, hook.Delivered, "")
	k.stands(first[2].Key, hook.Sending, "")
	k.counts(h.Number, hook.HookCount{Matched: 3, Delivered: 1, Attempts: 2})
	for _, c := range second {
		if c.Key == first[0].Key || c.Key == first[2].Key {
			k.settle(k.delivered(c))
		}
	}
	k.counts(h.Number, hook.HookCount{Matched: 3, Delivered: 3, Attempts: 4})
	k.lost(k.dead(first[0]), givenBack(second[0]), k.failed(second[1], k.now()))
	k.counts(h.Number, hook.HookCount{Matched: 3, Delivered: 3, Attempts: 4})
}

// settlesOnce settles one claim twice: in one call, and in a second.
func settlesOnce(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(4, source, h.Number)...)
	claims, _ := k.claim(h.Number, 4)
	due := k.now()
	ends := []func(c store.Claim) store.Outcome{
		k.delivered, k.dead, givenBack, func(c store.Claim) store.Outcome { return k.failed(c, due) },
	}
	for i, c := range claims {
		lost, err := k.s.Settle(k.ctx, []store.Outcome{ends[i](c), k.delivered(c), k.dead(c)})
		k.must(err)
		k.equal("lost", lost, []hook.Key{c.Key, c.Key})
		k.lost(k.delivered(c))
	}
	k.counts(h.Number, hook.HookCount{Matched: 4, Delivered: 1, Dead: 1, Attempts: 3})
	left, _ := k.claim(h.Number, 10)
	k.check(len(left) == 2, "%d left to claim, want 2", len(left))
}

// leaseOfTheDead expires a delivery after its lease has ended, and settles the
// lease then.
func leaseOfTheDead(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(2, source, h.Number)...)
	claims, _ := k.claim(h.Number, 2)
	k.settle(k.failed(claims[1], k.now()))
	claims[1] = k.one(h.Number)
	k.fixture.Advance(lease)
	n, more, err := k.s.Expire(k.ctx, h.Number, k.now(), k.now(), hook.ReasonExpired, 10)
	k.must(err)
	k.check(n == 2 && !more, "expired %d, more %v", n, more)
	k.lost(k.delivered(claims[0]), k.delivered(claims[1]))
	k.stands(claims[0].Key, hook.Dead, hook.ReasonExpired)
	k.stands(claims[1].Key, hook.Dead, hook.ReasonExpired)
	k.counts(h.Number, hook.HookCount{Matched: 2, Dead: 2, Attempts: 1})
}

func renews(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(2, source, h.Number)...)
	claims, _ := k.claim(h.Number, 2)
	for range 3 {
		k.fixture.Advance(lease - time.Second)
		before := k.fixture.Now()
		until, lost, err := k.s.Renew(k.ctx, claims, k.now(), lease)
		k.must(err)
		k.check(len(lost) == 0, "Renew lost %v", lost)
		k.untilIsRight(until, before, lease)
		none, next := k.claim(h.Number, 2)
		k.check(len(none) == 0, "claimed although the lease was renewed")
		k.equal("next", next, until)
	}
	k.settle(k.delivered(claims[0]), k.failed(claims[1], k.now()))
}

func renewsNotTheLost(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(4, source, h.Number)...)
	claims, _ := k.claim(h.Number, 4)
	k.settle(k.delivered(claims[0]))
	_, _, err := k.s.Renew(k.ctx, claims[3:], k.now(), 3*lease)
	k.must(err)
	k.fixture.Advance(lease)
	again, _ := k.claim(h.Number, 1) // takes claims[1]; the lease of claims[2] has ended too
	k.equal("claimed again", claimSeqs(again), claimSeqs(claims[1:2]))
	_, lost, err := k.s.Renew(k.ctx, claims, k.now(), lease)
	k.must(err)
	k.equal("lost", lost, []hook.Key{claims[0].Key, claims[1].Key, claims[2].Key})
	k.settle(k.delivered(again[0]), k.delivered(claims[3]))
	_, lost, err = k.s.Renew(k.ctx, nil, k.now(), lease)
	k.must(err)
	k.check(len(lost) == 0, "lost %v of nothing", lost)
}

func staleAfterRestart(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(2, source, h.Number)...)
	before, _ := k.claim(h.Number, 2)
	k.restart()
	k.stands(before[0].Key, hook.Waiting, "")
	after, _ := k.claim(h.Number, 2)
	k.equal("claimed again", claimSeqs(after), claimSeqs(before))
	_, lost, err := k.s.Renew(k.ctx, before, k.now(), lease)
	k.must(err)
	k.equal("lost", lost, []hook.Key{before[0].Key, before[1].Key})
	k.lost(k.dead(before[0]), k.delivered(before[1]))
	k.settle(k.delivered(after[0]), k.delivered(after[1]))
	k.counts(h.Number, hook.HookCount{Matched: 2, Delivered: 2, Attempts: 2})
}
