package storetest

import (
	"bytes"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var settleTests = []test{
	{"delivered at the first attempt", settleDelivered},
	{"waiting for another attempt", settleWaiting},
	{"delivered after retries", settleDeliveredLater},
	{"dead", settleDead},
	{"given back as it was", settleGivenBack},
	{"waiting, dead or delivered without an attempt", settleWithoutAttempt},
	{"the first attempt's time and hold clock stay", keepsFirst},
	{"the log of attempts is bounded, their count exact", boundsAttempts},
	{"many at once", settlesConcurrently},
}

// owed commits one event owed to a new hook.
func (k *kit) owed() store.Claim {
	k.t.Helper()
	source, h := k.source(), k.hook()
	k.commit(k.event(source, h.Number))
	return k.one(h.Number)
}

// shows checks a delivery now and after a restart. want is filled up with what
// follows from the claim.
func (k *kit) shows(c store.Claim, want hook.Delivery) {
	k.t.Helper()
	want.Key, want.Created = c.Key, c.Created
	want.UUID, want.Type, want.Source = c.Event.UUID, c.Event.Type, c.Event.Source
	k.equal("the delivery", k.delivery(c.Key), want)
	k.restart()
	k.equal("the delivery after a restart", k.delivery(c.Key), want)
}

func settleDelivered(k *kit) {
	c := k.owed()
	o := k.delivered(c)
	o.Attempt.At = c.Created.Add(2500 * time.Millisecond)
	o.Attempt.Status = 204
	o.Response = &hook.Response{Status: 204} // kept only while it is not delivered
	k.settle(o)
	k.shows(c, hook.Delivery{State: hook.Delivered, AttemptCount: 1, Attempts: []hook.Attempt{*o.Attempt}})
	k.counts(c.Hook, hook.HookCount{Matched: 1, Delivered: 1, Attempts: 1})
	claims, next := k.claim(c.Hook, 1)
	k.check(len(claims) == 0 && next.IsZero(), "a delivered one waits: %v, next %v", claims, next)

	early := k.owed() // by a clock that was set back before the attempt
	o = k.delivered(early)
	o.Attempt.At, o.Attempt.Duration, o.Attempt.Status = early.Created.Add(-time.Hour), 0, 0
	k.settle(o)
	k.shows(early, hook.Delivery{State: hook.Delivered, AttemptCount: 1, Attempts: []hook.Attempt{*o.Attempt}})
}

func settleWaiting(k *kit) {
	c := k.owed()
	o := k.failed(c, k.now().Add(time.Hour))
	k.settle(o)
	want := hook.Delivery{
		State: hook.Waiting, Reason: hook.ReasonStatus, Due: o.Due, AttemptCount: 1,
		Attempts: []hook.Attempt{*o.Attempt}, Response: o.Response,
	}
	k.equal("given", k.delivery(c.Key).State, hook.Waiting)
	none, next := k.claim(c.Hook, 1)
	k.check(len(none) == 0, "claimed before due")
	k.equal("next", next, o.Due)
	k.shows(c, want)
	k.counts(c.Hook, hook.HookCount{Matched: 1, Attempts: 1})
}

func settleDeliveredLater(k *kit) {
	c := k.owed()
	var attempts []hook.Attempt
	for i := range 3 {
		o := k.failed(c, k.now().Add(time.Minute))
		o.Attempt.Status, o.Attempt.Duration = 500+i, time.Duration(i)*time.Millisecond
		o.Reason = hook.ReasonTimeout
		attempts = append(attempts, *o.Attempt)
		k.settle(o)
		k.fixture.Advance(time.Minute)
		c = k.one(c.Hook)
		k.check(c.Attempts == i+1, "claimed after %d attempts, want %d", c.Attempts, i+1)
	}
	k.stands(c.Key, hook.Sending, "")
	o := k.delivered(c)
	attempts = append(attempts, *o.Attempt)
	k.settle(o)
	k.shows(c, hook.Delivery{State: hook.Delivered, AttemptCount: 4, Attempts: attempts})
	k.counts(c.Hook, hook.HookCount{Matched: 1, Delivered: 1, Attempts: 4})
}

func settleDead(k *kit) {
	for _, retries := range []int{0, 1} {
		c := k.owed()
		var attempts []hook.Attempt
		for range retries {
			o := k.failed(c, k.now())
			attempts = append(attempts, *o.Attempt)
			k.settle(o)
			c = k.one(c.Hook)
		}
		o := k.dead(c)
		attempts = append(attempts, *o.Attempt)
		k.settle(o)
		claims, next := k.claim(c.Hook, 1)
		k.check(len(claims) == 0 && next.IsZero(), "a dead one waits: %v, next %v", claims, next)
		k.shows(c, hook.Delivery{
			State: hook.Dead, Reason: hook.ReasonExhausted, AttemptCount: len(attempts), Attempts: attempts, Response: o.Response,
		})
		k.counts(c.Hook, hook.HookCount{Matched: 1, Dead: 1, Attempts: int64(len(attempts))})
	}
}

func settleGivenBack(k *kit) {
	c := k.owed()
	k.settle(givenBack(c))
	k.equal("fresh, given back", k.delivery(c.Key), hook.Delivery{
		Key: c.Key, UUID: c.Event.UUID, Type: c.Event.Type, Source: c.Event.Source,
		State: hook.Waiting, Created: c.Created, Due: c.Created,
	})
	c = k.one(c.Hook)
	k.settle(k.failed(c, k.now()))
	before := k.delivery(c.Key)
	c = k.one(c.Hook)
	k.settle(givenBack(c))
	k.equal("retried, given back", k.delivery(c.Key), before)
	again := k.one(c.Hook)
	again.Epoch, again.Until = c.Epoch, c.Until
	k.equal("claimed again", again, c)
	k.counts(c.Hook, hook.HookCount{Matched: 1, Attempts: 1})
}

// settleWithoutAttempt is what a hold does, and what ends a delivery that could
// not be attempted.
func settleWithoutAttempt(k *kit) {
	due := k.now().Add(time.Hour)
	for _, o := range []store.Outcome{
		{State: hook.Waiting, Reason: hook.ReasonRefused, Due: due},
		{State: hook.Dead, Reason: hook.ReasonExpired},
		{State: hook.Delivered},
	} {
		c := k.owed()
		o.Key, o.Epoch = c.Key, c.Epoch
		k.settle(o)
		k.shows(c, hook.Delivery{State: o.State, Reason: o.Reason, Due: o.Due})
		want := hook.HookCount{Matched: 1}
		switch o.State {
		case hook.Delivered:
			want.Delivered = 1
		case hook.Dead:
			want.Dead = 1
		case hook.Waiting: // and its first attempt is yet to come
			k.fixture.Advance(time.Hour)
			again := k.one(c.Hook)
			k.check(again.Attempts == 0 && again.First.IsZero() && again.HeldAtFirst == 0, "claimed as %+v", again)
			last := k.delivered(again)
			k.settle(last)
			k.shows(again, hook.Delivery{State: hook.Delivered, AttemptCount: 1, Attempts: []hook.Attempt{*last.Attempt}})
			want.Delivered, want.Attempts = 1, 1
		}
		k.counts(c.Hook, want)
	}
}

func keepsFirst(k *kit) {
	c := k.owed()
	k.settle(store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Waiting, Reason: hook.ReasonGone, Due: k.now()})
	c = k.one(c.Hook)
	first := k.failed(c, k.now())
	first.HeldAtFirst = 7*time.Hour + 5*time.Microsecond
	k.settle(first)
	for i := range 3 {
		k.fixture.Advance(time.Second)
		c = k.one(c.Hook)
		k.equal("the first attempt", c.First, first.Attempt.At)
		k.equal("the hold clock then", c.HeldAtFirst, first.HeldAtFirst)
		o := k.failed(c, k.now())
		if o.HeldAtFirst = 0; i == 1 {
			o.Attempt = nil
		}
		k.settle(o)
	}
}

func boundsAttempts(k *kit) {
	const n = hook.MaxAttemptsKept + 25
	c := k.owed()
	var all []hook.Attempt
	for i := range n {
		o := k.failed(c, k.now())
		o.Attempt.Status, o.Attempt.Reason = 500+i%100, hook.ReasonTimeout
		o.Attempt.Duration = time.Duration(i) * time.Microsecond
		all = append(all, *o.Attempt)
		k.settle(o)
		want := all
		if len(all) > hook.MaxAttemptsKept {
			want = append(all[:hook.FirstAttemptsKept:hook.FirstAttemptsKept],
				all[len(all)-hook.MaxAttemptsKept+hook.FirstAttemptsKept:]...)
		}
		got := k.delivery(c.Key)
		k.equal("attempts kept", got.Attempts, want)
		k.check(got.AttemptCount == i+1, "attempt count %d, want %d", got.AttemptCount, i+1)
		k.fixture.Advance(time.Second)
		c = k.one(c.Hook)
	}
	k.check(c.Attempts == n, "claimed after %d attempts, want %d", c.Attempts, n)
	k.counts(c.Hook, hook.HookCount{Matched: 1, Attempts: n})
}

func settlesConcurrently(k *kit) {
	const n, callers = 320, 8
	source, h := k.source(), k.hook()
	k.commit(k.events(n, source, h.Number)...)
	claims, _ := k.claim(h.Number, n)
	now := k.now()
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			for i := caller; i < n; i += callers {
				o := k.delivered(claims[i])
				if i%5 == 0 {
					o = k.failed(claims[i], now)
				}
				if lost, err := k.s.Settle(k.ctx, []store.Outcome{o}); err != nil || len(lost) > 0 {
					k.t.Errorf("Settle lost %v: %v", lost, err)
				}
			}
		})
	}
	wait.Wait()
	k.counts(h.Number, hook.HookCount{Matched: n, Delivered: n - n/5, Attempts: n})
	left, _ := k.claim(h.Number, n)
	k.check(len(left) == n/5, "%d left to claim, want %d", len(left), n/5)
}

var responseTests = []test{
	{"the last response comes back", keepsResponse},
	{"a long body keeps its beginning", trimsResponse},
	{"a response lasts until the next outcome", replacesResponse},
}

func keepsResponse(k *kit) {
	for _, r := range []*hook.Response{
		nil,
		{},
		{Error: "dial tcp 192.0.2.1:443: connection refused"},
		{Status: 503, Headers: []hook.Header{{Key: "Retry-After", Value: "120"}, {Key: "X", Value: ""}}, Body: []byte("\x00\xff{}")},
		{Status: 500, Headers: []hook.Header{{Key: "X-Long", Value: string(noise(4, 4000))}}},
	} {
		for _, end := range []func(c store.Claim) store.Outcome{k.dead, func(c store.Claim) store.Outcome { return k.failed(c, k.now()) }} {
			c := k.owed()
			o := end(c)
			o.Response = r
			k.settle(o)
			k.equal("the response", k.delivery(c.Key).Response, r)
			k.restart()
			k.equal("the response after a restart", k.delivery(c.Key).Response, r)
		}
	}
}

func trimsResponse(k *kit) {
	for _, size := range []int{hook.MaxWaitingBody, hook.MaxWaitingBody + 1, hook.MaxDeadBody, hook.MaxDeadBody + 1, 1 << 20} {
		body := noise(uint64(size), size)
		given := bytes.Clone(body)
		c := k.owed()
		waiting := k.failed(c, k.now())
		waiting.Response = &hook.Response{Status: 500, Body: given}
		k.settle(waiting)
		got := k.delivery(c.Key).Response.Body
		k.check(bytes.Equal(got, body[:min(size, hook.MaxWaitingBody)]), "waiting: %d bytes of %d are kept", len(got), size)
		k.check(bytes.Equal(given, body) && len(waiting.Response.Body) == size, "the caller's response was changed")

		dead := k.dead(k.one(c.Hook))
		dead.Response = waiting.Response
		k.settle(dead)
		got = k.delivery(c.Key).Response.Body
		k.check(bytes.Equal(got, body[:min(size, hook.MaxDeadBody)]), "dead: %d bytes of %d are kept", len(got), size)
	}
}

func replacesResponse(k *kit) {
	c := k.owed()
	first := k.failed(c, k.now())
	k.settle(first)
	c = k.one(c.Hook)
	k.equal("while it is sent again", k.delivery(c.Key).Response, first.Response)
	k.settle(givenBack(c))
	k.equal("after it was given back", k.delivery(c.Key).Response, first.Response)
	second := k.failed(k.one(c.Hook), k.now())
	second.Response = &hook.Response{Status: 502}
	k.settle(second)
	k.equal("after another failure", k.delivery(c.Key).Response, second.Response)
	k.settle(k.delivered(k.one(c.Hook)))
	k.check(k.delivery(c.Key).Response == nil, "kept after it was delivered")
}
