package storetest

import (
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var deletedTests = []test{
	{"what waits is cancelled, at once for every reader", deleteCancels},
	{"an attempt under way still settles", deleteSettles},
	{"a lease that had ended is cancelled too", deleteEndedLease},
	{"an attempt lost in a restart is cancelled too", deleteLostAttempt},
	{"nothing is claimed, retried or expired any more", deleteEnds},
	{"events no longer owed are pruned", deleteUnowes},
}

func deleteCancels(k *kit) {
	source, h, other := k.source(), k.hook(), k.hook()
	events := k.events(4, source, h.Number, other.Number)
	k.commit(events...)
	claims, _ := k.claim(h.Number, 3)
	k.settle(k.delivered(claims[0]), k.dead(claims[1]), k.failed(claims[2], k.now().Add(time.Hour)))
	k.deleteHook(h)
	want := map[hook.Key]hook.State{
		claims[0].Key:                        hook.Delivered,
		claims[1].Key:                        hook.Dead,
		claims[2].Key:                        hook.Cancelled,
		{Hook: h.Number, Seq: events[3].Seq}: hook.Cancelled,
	}
	for range 2 {
		for key, state := range want {
			d := k.delivery(key)
			k.check(d.State == state, "%v is %v, want %v", key, d.State, state)
			if state == hook.Cancelled {
				k.check(d.Reason == hook.ReasonHookDeleted && d.Due.IsZero(), "cancelled because of %q, due %v", d.Reason, d.Due)
			}
		}
		got := make(map[hook.Key]hook.State)
		for _, d := range k.list(store.DeliveryQuery{Hook: h.Number}, 3) {
			got[d.Key] = d.State
		}
		k.equal("listed", got, want)
		k.check(len(k.list(store.DeliveryQuery{States: []hook.State{hook.Cancelled}}, 1)) == 2, "not two are listed as cancelled")
		k.check(len(k.list(store.DeliveryQuery{Hook: h.Number, States: []hook.State{hook.Waiting, hook.Sending}}, 1)) == 0, "some are listed as waiting")
		k.counts(h.Number, hook.HookCount{Matched: 4, Delivered: 1, Dead: 1, Cancelled: 2, Attempts: 3})
		k.counts(other.Number, hook.HookCount{Matched: 4})
		_, owed := k.stats().OldestOwed[h.Number]
		k.check(!owed, "something is owed to the deleted hook")
		list, _ := k.hooks()
		k.equal("hooks", hookIDs(list), []string{other.ID})
		k.restart()
	}
	ids, err := k.s.HookIDs(k.ctx)
	k.must(err)
	k.equal("ids", ids, map[int64]string{h.Number: h.ID, other.Number: other.ID})
}

func deleteSettles(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(7, source, h.Number)...)
	claims, _ := k.claim(h.Number, 3)
	for _, c := range claims {
		k.settle(k.failed(c, k.now()))
	}
	claims, _ = k.claim(h.Number, 7)
	k.deleteHook(h)
	k.counts(h.Number, hook.HookCount{Matched: 7, Attempts: 3})
	for _, c := range claims {
		k.stands(c.Key, hook.Sending, "")
	}
	_, lost, err := k.s.Renew(k.ctx, claims[:1], k.now(), lease)
	k.must(err)
	k.check(len(lost) == 0, "the lease of what is being sent is lost")

	due := k.now().Add(time.Hour)
	k.settle(k.delivered(claims[0]), k.dead(claims[1]), k.failed(claims[2], due), givenBack(claims[3]))
	k.settle(k.delivered(claims[4]), k.failed(claims[5], due), givenBack(claims[6]))
	want := []hook.State{
		hook.Delivered, hook.Dead, hook.Cancelled, hook.Cancelled,
		hook.Delivered, hook.Cancelled, hook.Cancelled,
	}
	for range 2 {
		for i, c := range claims {
			d := k.delivery(c.Key)
			k.check(d.State == want[i], "delivery %d is %v, want %v", i, d.State, want[i])
		}
		k.counts(h.Number, hook.HookCount{Matched: 7, Delivered: 2, Dead: 1, Cancelled: 4, Attempts: 8})
		k.restart()
	}
}

func deleteEndedLease(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(3, source, h.Number)...)
	claims, _ := k.claim(h.Number, 1)
	k.fixture.Advance(lease)
	k.deleteHook(h)
	k.stands(claims[0].Key, hook.Cancelled, hook.ReasonHookDeleted)
	k.counts(h.Number, hook.HookCount{Matched: 3, Cancelled: 3})
	k.lost(k.delivered(claims[0]))
	k.stands(claims[0].Key, hook.Cancelled, hook.ReasonHookDeleted)
	k.counts(h.Number, hook.HookCount{Matched: 3, Cancelled: 3})
}

func deleteLostAttempt(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(3, source, h.Number)...)
	claims, _ := k.claim(h.Number, 2)
	k.settle(k.failed(claims[1], k.now()))
	claims, _ = k.claim(h.Number, 2)
	k.check(len(claims) == 2, "%d claims, want 2", len(claims))
	k.deleteHook(h)
	k.counts(h.Number, hook.HookCount{Matched: 3, Attempts: 1})
	for range 2 {
		k.restart()
		for _, c := range claims {
			k.stands(c.Key, hook.Cancelled, hook.ReasonHookDeleted)
			k.lost(k.delivered(c))
		}
		k.counts(h.Number, hook.HookCount{Matched: 3, Cancelled: 3, Attempts: 1})
	}
}

func deleteEnds(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(3, source, h.Number)...)
	claims, _ := k.claim(h.Number, 1)
	k.settle(k.failed(claims[0], k.now()))
	k.deleteHook(h)
	for range 2 {
		k.fixture.Advance(time.Hour)
		got, next := k.claim(h.Number, 10)
		k.check(len(got) == 0 && next.IsZero(), "claimed %v, next %v", got, next)
		k.retry(claims[0].Key, false)
		k.check(k.expire(h.Number, k.now(), 10) == 0, "expired for a deleted hook")
		k.restart()
	}
}

func deleteUnowes(k *kit) {
	source, h, other := k.source(), k.hook(), k.hook()
	mine, shared := k.events(3, source, h.Number), k.events(3, source, h.Number, other.Number)
	k.commit(mine...)
	k.commit(shared...)
	claims, _ := k.claim(h.Number, 1)
	k.settle(k.failed(claims[0], k.now()))
	k.age(time.Second)
	k.check(k.prune(k.now(), 100) == 0, "pruned what is owed")
	k.deleteHook(h)
	k.check(k.prune(k.now(), 100) == 3, "not the three that are owed to nobody were pruned")
	k.goneEvents(mine...)
	k.counts(h.Number, hook.HookCount{Matched: 6, Cancelled: 6, Attempts: 1})
	got, _ := k.claim(other.Number, 10)
	k.equal("left", claimSeqs(got), eventSeqs(shared))
}
