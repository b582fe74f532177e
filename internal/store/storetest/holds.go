package storetest

import (
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

var holdTests = []test{
	{"a new hook's clock runs while it is blocked", clocksNewHooks},
	{"the clock runs while a hook is inactive or unverified", clocksUpdates},
	{"a hold runs the clock and is lengthened", clocksHolds},
	{"holds that overlap with other blocks run the clock once", clocksOverlaps},
	{"a change may end a hold", updateEndsHold},
}

// clock checks how long a hook was blocked, now and after a restart.
func (k *kit) clock(h hook.EventHook, running bool, total time.Duration) hook.Hold {
	k.t.Helper()
	hold := k.holdOf(h.Number)
	k.check(hold.Since.IsZero() == !running, "the clock runs since %v, want it to run: %v", hold.Since, running)
	if got := hold.Clock(k.now()); got < total || got > total+time.Second {
		k.t.Errorf("the clock shows %v, want %v", got, total)
	}
	return hold
}

func (k *kit) holdOf(number int64) hook.Hold {
	k.t.Helper()
	list, _ := k.hooks()
	for _, h := range list {
		if h.Number == number {
			return h.Hold
		}
	}
	k.t.Fatalf("there is no hook %d", number)
	return hook.Hold{}
}

// hold puts h on hold, or ends its hold, and checks that what is returned is
// what is kept.
func (k *kit) hold(h hook.EventHook, reason hook.Reason, recheck time.Time) hook.Hold {
	k.t.Helper()
	hold, err := k.s.Hold(k.ctx, h.Number, reason, k.now(), recheck)
	k.must(err)
	k.equal("the hold", k.holdOf(h.Number), hold)
	return hold
}

func clocksNewHooks(k *kit) {
	ready := k.hook()
	k.clock(ready, false, 0)
	unverified := k.newHook()
	unverified.Verified = false
	k.must(k.s.CreateEventHook(k.ctx, &unverified, anyone))
	k.equal("since", unverified.Hold.Since, unverified.Created)
	inactive := k.newHook()
	inactive.Status = hook.Inactive
	k.must(k.s.CreateEventHook(k.ctx, &inactive, anyone))
	k.fixture.Advance(time.Hour)
	k.clock(ready, false, 0)
	k.clock(unverified, true, time.Hour)
	k.clock(inactive, true, time.Hour)
	k.update(unverified.ID, func(h *hook.EventHook) { h.Verified = true })
	k.fixture.Advance(time.Hour)
	k.clock(unverified, false, time.Hour)
	k.restart()
	k.clock(unverified, false, time.Hour)
	k.clock(inactive, true, 26*time.Hour)
}

func clocksUpdates(k *kit) {
	h := k.hook()
	blocks := []struct{ block, unblock func(*hook.EventHook) }{
		{func(h *hook.EventHook) { h.Status = hook.Inactive }, func(h *hook.EventHook) { h.Status = hook.Active }},
		{func(h *hook.EventHook) { h.Verified = false }, func(h *hook.EventHook) { h.Verified = true }},
	}
	total := time.Duration(0)
	for _, b := range blocks {
		before := k.now()
		got := k.update(h.ID, b.block)
		k.check(!got.Hold.Since.Before(before) && !got.Hold.Since.After(k.now()), "since %v, want %v", got.Hold.Since, before)
		k.equal("the hold returned", got.Hold, k.holdOf(h.Number))
		k.fixture.Advance(10 * time.Minute)
		k.update(h.ID, func(h *hook.EventHook) { h.Name += "x" }) // which changes nothing of it
		k.clock(h, true, total+10*time.Minute)
		k.restart()
		total += 10*time.Minute + 24*time.Hour
		k.clock(h, true, total)
		k.update(h.ID, b.unblock)
		k.fixture.Advance(time.Hour)
		k.clock(h, false, total)
	}
}

func clocksHolds(k *kit) {
	h := k.hook()
	recheck := k.now().Add(6 * time.Hour)
	hold := k.hold(h, hook.ReasonGone, recheck)
	k.equal("recheck", hold.Recheck, recheck)
	k.check(hold.Reason == hook.ReasonGone && !hold.Since.IsZero() && hold.Total == 0, "the hold is %+v", hold)

	k.fixture.Advance(time.Hour)
	longer := k.hold(h, hook.ReasonGone, recheck.Add(time.Hour))
	k.check(longer.Changes > hold.Changes, "a change of the hold is not counted: %d after %d", longer.Changes, hold.Changes)
	hold.Recheck, hold.Changes = recheck.Add(time.Hour), longer.Changes
	k.equal("the hold, lengthened", longer, hold)
	k.restart()
	k.equal("the hold after a restart", k.holdOf(h.Number), hold)

	over := k.hold(h, "", time.Time{})
	k.check(over.Reason == "" && over.Recheck.IsZero(), "the hold that is over is %+v", over)
	k.clock(h, false, 25*time.Hour)
	k.fixture.Advance(time.Hour)
	k.hold(h, "", time.Time{}) // nothing to end
	k.clock(h, false, 25*time.Hour)
	k.hold(h, hook.ReasonRefused, time.Time{})
	k.fixture.Advance(time.Hour)
	k.clock(h, true, 26*time.Hour)
}

func clocksOverlaps(k *kit) {
	h := k.hook()
	k.hold(h, hook.ReasonGone, time.Time{})
	k.fixture.Advance(time.Minute)
	k.update(h.ID, func(h *hook.EventHook) { h.Status = hook.Inactive })
	k.fixture.Advance(time.Minute)
	k.hold(h, "", time.Time{})
	k.fixture.Advance(time.Minute)
	k.clock(h, true, 3*time.Minute) // inactive still
	k.hold(h, hook.ReasonRefused, time.Time{})
	k.update(h.ID, func(h *hook.EventHook) { h.Verified = false })
	k.update(h.ID, func(h *hook.EventHook) { h.Status = hook.Active })
	k.fixture.Advance(time.Minute)
	k.hold(h, "", time.Time{})
	k.clock(h, true, 4*time.Minute) // unverified still
	k.update(h.ID, func(h *hook.EventHook) { h.Verified = true })
	k.fixture.Advance(time.Minute)
	k.clock(h, false, 4*time.Minute)
	k.hold(h, hook.ReasonGone, time.Time{})
	k.fixture.Advance(time.Minute)
	k.clock(h, true, 5*time.Minute)
}

func updateEndsHold(k *kit) {
	h := k.hook()
	k.hold(h, hook.ReasonGone, k.now().Add(time.Hour))
	k.fixture.Advance(time.Minute)
	got := k.update(h.ID, func(h *hook.EventHook) {
		k.check(h.Hold.Reason == hook.ReasonGone, "change sees the hold %+v", h.Hold)
		h.Hold.Reason = ""
	})
	k.check(got.Hold.Reason == "" && got.Hold.Recheck.IsZero(), "the hold is %+v", got.Hold)
	k.clock(h, false, time.Minute)

	k.hold(h, hook.ReasonGone, time.Time{})
	k.fixture.Advance(time.Minute)
	k.update(h.ID, func(h *hook.EventHook) { h.Hold.Reason, h.Status = "", hook.Inactive })
	k.fixture.Advance(time.Minute)
	k.clock(h, true, 3*time.Minute)
}
