package deliver

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"golang.org/x/time/rate"
)

// leaseMargin is how much longer than an attempt may take its lease must last.
const leaseMargin = 10 * time.Second

// While a destination is refused, one delivery is tried after each of these
// waits, doubled up to the longest.
const (
	firstRecheck = time.Minute
	lastRecheck  = 15 * time.Minute
)

// attempt tries a delivery once and says what becomes of it.
func (l *lane) attempt(c *store.Claim) store.Outcome {
	e := l.engine
	back := store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Waiting}
	if !l.admit() || !e.settler.ready(e.stop) {
		return back
	}
	// The hook may have changed while we waited.
	h, ok := l.current()
	if !ok || !l.holds(c, time.Duration(h.Policy.Timeout)) {
		return back
	}
	start := time.Now()
	result := e.Channel.Send(e.attempts, h, c)
	if e.attempts.Err() != nil && result.Status == 0 {
		return back // broken off because we stop
	}
	if result.Reason == hook.ReasonRefused {
		l.refused(h, result)
		return back
	}
	if h.Hold.Reason == hook.ReasonRefused {
		l.hold(h, "", time.Time{})
	}
	if result.Reason == hook.ReasonGone {
		l.hold(h, hook.ReasonGone, time.Time{})
	}
	a := hook.Attempt{At: start, Duration: time.Since(start), Status: result.Status, Reason: result.Reason}
	return decide(h, c, a, result, rand.Float64())
}

// admit waits for the hook's rate limit. It returns false when nothing can be
// sent to the hook, or the engine ends. A limit that is replaced is not waited
// for any more: it may have put attempts off for hours.
func (l *lane) admit() bool {
	for {
		select {
		case <-l.engine.stop:
			return false
		default:
		}
		l.mu.Lock()
		limiter, limited, over := l.limiter, l.limited, l.closed || !l.deliverable(time.Now())
		l.mu.Unlock()
		if over {
			return false
		}
		if limiter == nil {
			return true
		}
		// One at a time: of several reservations only the last can be given back.
		select {
		case l.turn <- struct{}{}:
			admitted := wait(limiter.Reserve(), limited, l.engine.stop)
			<-l.turn
			if admitted {
				return true
			}
		case <-limited:
		case <-l.engine.stop:
			return false
		}
	}
}

// wait waits for a reservation's time, and gives it back if either channel is
// closed before.
func wait(r *rate.Reservation, limited, stop <-chan struct{}) bool {
	delay := r.Delay()
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-limited:
	case <-stop:
	}
	r.Cancel()
	return false
}

// holds makes sure that the lease of a delivery lasts longer than an attempt.
func (l *lane) holds(c *store.Claim, timeout time.Duration) bool {
	now := time.Now()
	l.mu.Lock()
	until, lease := c.Until, l.lease()
	l.mu.Unlock()
	if until.Sub(now) > timeout+leaseMargin {
		return true
	}
	until, lost, err := l.engine.Store.Renew(context.Background(), []store.Claim{*c}, now, lease)
	if err != nil || len(lost) > 0 {
		return false
	}
	l.mu.Lock()
	c.Until = until
	l.mu.Unlock()
	return true
}

// decide says what becomes of a delivery after an attempt. random is drawn
// evenly from [0, 1).
func decide(h *hook.EventHook, c *store.Claim, a hook.Attempt, r Result, random float64) store.Outcome {
	now := a.At.Add(a.Duration)
	o := store.Outcome{
		Key: c.Key, Epoch: c.Epoch, Attempt: &a,
		Reason: a.Reason, Response: r.Response, HeldAtFirst: c.HeldAtFirst,
	}
	first := c.First
	if first.IsZero() {
		first, o.HeldAtFirst = a.At, h.Hold.Clock(a.At)
	}
	switch retry := &h.Policy.Retry; {
	case a.Reason == "":
		o.State, o.Response = hook.Delivered, nil
	case a.Reason == hook.ReasonGone:
		o.State, o.Due = hook.Waiting, now
	case !retry.Retries(a.Status):
		o.State, o.Reason = hook.Dead, hook.ReasonNotRetryable
	default:
		elapsed := now.Sub(first) - (h.Hold.Clock(now) - o.HeldAtFirst)
		wait, again := retry.Next(c.Attempts+1, elapsed, r.RetryAfter, random)
		if !again {
			o.State, o.Reason = hook.Dead, hook.ReasonExhausted
			break
		}
		o.State, o.Due = hook.Waiting, now.Add(wait)
	}
	return o
}

// refused puts the hook on hold because of where its address leads, until a
// later look shows that it leads elsewhere.
func (l *lane) refused(h *hook.EventHook, r Result) {
	wait := firstRecheck
	if before := h.Hold; before.Reason == hook.ReasonRefused && !before.Recheck.IsZero() {
		wait = min(2*max(firstRecheck, time.Since(before.Since)), lastRecheck)
	}
	l.engine.Log.Warn("destination refused; its deliveries wait",
		"hook", h.ID, "reason", hook.ReasonRefused, "detail", r.Response.Error, "recheck", wait)
	l.hold(h, hook.ReasonRefused, time.Now().Add(wait))
}

// hold begins or ends a hold, here and in the store. What an attempt has shown
// of the hook as it was says nothing of one that a person has changed since.
func (l *lane) hold(h *hook.EventHook, reason hook.Reason, recheck time.Time) {
	if now, _ := l.current(); now.Revision != h.Revision {
		return
	}
	switch reason {
	case hook.ReasonGone:
		l.engine.Log.Warn("destination answered 410 Gone; its deliveries wait until the hook is activated or verified again", "hook", h.ID, "reason", reason)
	case "":
		l.engine.Log.Info("destination can be reached again; its deliveries go on", "hook", h.ID)
	}
	now := time.Now()
	hold, err := l.engine.Store.Hold(context.Background(), h.Number, reason, now, recheck)
	if err != nil {
		l.engine.Log.Error("the hook's hold could not be stored", "hook", h.ID, "reason", reason, "error", err)
		hold = h.Hold
		hold.Reason, hold.Recheck = reason, recheck
		if reason != "" && hold.Since.IsZero() {
			hold.Since = now
		}
	}
	l.setHold(hold)
}
