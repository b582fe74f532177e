package storetest

import (
	"errors"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var retryTests = []test{
	{"what waits becomes due", retryWaiting},
	{"what does not wait is left alone", retryOthers},
	{"what is not there is not found", retryMissing},
}

func (k *kit) retry(key hook.Key, want bool) {
	k.t.Helper()
	before, err := k.s.Delivery(k.ctx, key, k.now())
	k.must(err)
	now := k.now()
	changed, err := k.s.Retry(k.ctx, key, now)
	k.must(err)
	k.check(changed == want, "Retry of a %v delivery: changed %v", before.State, changed)
	if want && before.Due.After(now) {
		before.Due = now
	}
	after := k.delivery(key)
	if want {
		k.check(!after.Due.After(now), "due at %v, after Retry at %v", after.Due, now)
		before.Due = after.Due
	}
	k.equal("the delivery after Retry", after, before)
}

func retryWaiting(k *kit) {
	c := k.owed()
	k.settle(k.failed(c, k.now().Add(time.Hour)))
	k.retry(c.Key, true)
	k.restart()
	k.stands(c.Key, hook.Waiting, hook.ReasonStatus)
	k.retry(c.Key, true) // it is due already
	c = k.one(c.Hook)
	k.settle(store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Waiting, Reason: hook.ReasonRefused, Due: k.now().Add(time.Hour)})
	k.retry(c.Key, true)
	k.settle(k.delivered(k.one(c.Hook)))

	fresh := k.owed()
	k.settle(givenBack(fresh))
	k.retry(fresh.Key, true)
	k.one(fresh.Hook)
	k.fixture.Advance(lease)
	k.retry(fresh.Key, true) // its lease has ended
	k.one(fresh.Hook)
}

func retryOthers(k *kit) {
	sending := k.owed()
	k.retry(sending.Key, false)
	k.settle(k.failed(sending, k.now()))
	sending = k.one(sending.Hook)
	k.retry(sending.Key, false)
	k.settle(k.delivered(sending))
	k.retry(sending.Key, false)

	dead := k.owed()
	k.settle(k.dead(dead))
	k.retry(dead.Key, false)

	delivered := k.owed()
	k.settle(k.delivered(delivered))
	k.retry(delivered.Key, false)
}

func retryMissing(k *kit) {
	c := k.owed()
	for _, key := range []hook.Key{
		{},
		{Hook: c.Hook, Seq: c.Seq + 1},
		{Hook: c.Hook, Seq: c.Seq + hook.BlockSlots},
		{Hook: c.Hook, Seq: -1},
		{Hook: c.Hook + 1000, Seq: c.Seq},
		{Hook: c.Hook, Seq: c.Seq, Replay: 7},
	} {
		_, err := k.s.Retry(k.ctx, key, k.now())
		k.check(errors.Is(err, store.ErrNotFound), "Retry of %v: %v, want ErrNotFound", key, err)
		_, err = k.s.Delivery(k.ctx, key, k.now())
		k.check(errors.Is(err, store.ErrNotFound), "Delivery of %v: %v, want ErrNotFound", key, err)
	}
}

var expireTests = []test{
	{"what waits for long dies, fresh or retried", expires},
	{"what is leased is left alone", expiresNoLeased},
	{"a bounded number in each call, and all in the end", expiresInSteps},
	{"leased ones do not hide the others", expiresBehindLeases},
	{"only of one hook", expiresOneHook},
}

// expire calls Expire until there is no more, at most limit each time.
func (k *kit) expire(number int64, before time.Time, limit int) (total int) {
	k.t.Helper()
	for calls := 0; ; calls++ {
		n, more, err := k.s.Expire(k.ctx, number, before, k.now(), hook.ReasonExpired, limit)
		k.must(err)
		k.check(n <= limit, "expired %d, limit %d", n, limit)
		if total += n; !more {
			return total
		}
		if calls > 1000 {
			k.t.Fatalf("Expire does not end")
		}
	}
}

// claimOf claims what is due and gives all back but the delivery of e.
func (k *kit) claimOf(number int64, e *store.Event) (claim store.Claim) {
	k.t.Helper()
	claims, _ := k.claim(number, 100)
	for _, c := range claims {
		if c.Seq == e.Seq {
			claim = c
		} else {
			k.settle(givenBack(c))
		}
	}
	return claim
}

func expires(k *kit) {
	source, h := k.source(), k.hook()
	old := k.events(4, source, h.Number)
	k.commit(old...)
	claims, _ := k.claim(h.Number, 3)
	failed := k.failed(claims[0], k.now().Add(time.Hour))
	k.settle(failed, k.delivered(claims[1]), k.dead(claims[2]))
	k.fixture.Advance(time.Hour)
	edge := k.now()
	g := k.group(k.events(2, source, h.Number)...) // created at the edge, not before it
	g.Received = edge
	_, err := k.s.Commit(k.ctx, g)
	k.must(err)
	young := g.Events[0]
	k.settle(k.failed(k.claimOf(h.Number, g.Events[1]), k.now().Add(time.Hour)))

	k.check(k.expire(h.Number, edge, 10) == 2, "not two expired")
	want := hook.Delivery{
		Key: claims[0].Key, UUID: old[0].UUID, Type: old[0].Type, Source: source, Created: old[0].Received,
		State: hook.Dead, Reason: hook.ReasonExpired,
		AttemptCount: 1, Attempts: []hook.Attempt{*failed.Attempt}, Response: failed.Response,
	}
	fresh := hook.Delivery{
		Key: hook.Key{Hook: h.Number, Seq: old[3].Seq}, UUID: old[3].UUID, Type: old[3].Type, Source: source,
		Created: old[3].Received, State: hook.Dead, Reason: hook.ReasonExpired,
	}
	for range 2 {
		k.equal("a retried one", k.delivery(want.Key), want)
		k.equal("a fresh one", k.delivery(fresh.Key), fresh)
		k.stands(claims[1].Key, hook.Delivered, "")
		k.stands(claims[2].Key, hook.Dead, hook.ReasonExhausted)
		k.counts(h.Number, hook.HookCount{Matched: 6, Delivered: 1, Dead: 3, Attempts: 4})
		k.restart()
	}
	left, _ := k.claim(h.Number, 10)
	k.equal("left", claimSeqs(left), []hook.Seq{young.Seq, g.Events[1].Seq})
	k.check(k.expire(h.Number+1000, k.now(), 10) == 0, "expired what is owed to nobody")
}

func expiresNoLeased(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(4, source, h.Number)...)
	claims, _ := k.claim(h.Number, 2)
	k.settle(k.failed(claims[1], k.now()))
	claims, _ = k.claim(h.Number, 4)
	k.check(len(claims) == 3, "%d claims, want 3", len(claims))
	k.settle(givenBack(claims[0]))
	k.fixture.Advance(lease / 2)
	k.check(k.expire(h.Number, k.now(), 10) == 1, "not only the one given back expired")
	k.settle(k.delivered(claims[1]), k.delivered(claims[2]))
	k.stands(claims[0].Key, hook.Dead, hook.ReasonExpired)
}

func expiresInSteps(k *kit) {
	source, h := k.source(), k.hook()
	for range 3 {
		k.commit(k.events(70, source, h.Number)...)
	}
	claims, _ := k.claim(h.Number, 30)
	for _, c := range claims {
		k.settle(k.failed(c, k.now()))
	}
	k.fixture.Advance(time.Second)
	total := k.expire(h.Number, k.now(), 7)
	k.check(total == 210, "expired %d, want 210", total)
	k.counts(h.Number, hook.HookCount{Matched: 210, Dead: 210, Attempts: 30})
	left, next := k.claim(h.Number, 1)
	k.check(len(left) == 0 && next.IsZero(), "left: %v, next %v", left, next)
}

// expiresBehindLeases has the oldest leased, more of them than one call looks
// for.
func expiresBehindLeases(k *kit) {
	source, h := k.source(), k.hook()
	for range 6 {
		k.commit(k.events(3, source, h.Number)...)
	}
	failing, _ := k.claim(h.Number, 9)
	for _, c := range failing {
		k.settle(k.failed(c, k.now()))
		k.fixture.Advance(time.Millisecond)
	}
	k.fixture.Advance(time.Second)
	all, _ := k.claim(h.Number, 18)
	k.check(len(all) == 18, "%d claims, want 18", len(all))
	var held []store.Claim
	young := map[hook.Key]bool{}
	for _, c := range all {
		if c.Seq == failing[8].Seq || c.Seq.Block() > failing[8].Seq.Block()+1 {
			k.settle(givenBack(c))
			young[c.Key] = true
		} else {
			held = append(held, c)
		}
	}
	total := k.expire(h.Number, k.now(), 2)
	k.check(total == len(young), "expired %d, want %d", total, len(young))
	for _, c := range held {
		k.settle(k.delivered(c))
	}
}

func expiresOneHook(k *kit) {
	source, a, b := k.source(), k.hook(), k.hook()
	k.commit(k.events(3, source, a.Number, b.Number)...)
	k.fixture.Advance(time.Second)
	k.check(k.expire(a.Number, k.now(), 100) == 3, "not three expired")
	claims, _ := k.claim(b.Number, 100)
	k.check(len(claims) == 3, "%d left of the other hook, want 3", len(claims))
}
