package deliver

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"pgregory.net/rapid"
)

// follow follows one delivery through attempts that all end the same, until
// it is settled for good, and returns how long that took.
func follow(t *rapid.T, h *hook.EventHook, result Result, draw func() float64) (attempts int, last store.Outcome, took time.Duration) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	c := &store.Claim{Key: hook.Key{Hook: 1, Seq: 64}}
	for {
		attempts++
		if attempts > 100_000 {
			t.Fatal("the delivery never ends")
		}
		a := hook.Attempt{At: now, Duration: 10 * time.Millisecond, Status: result.Status, Reason: result.Reason}
		last = decide(h, c, a, result, draw())
		if last.State != hook.Waiting {
			return attempts, last, now.Sub(start)
		}
		if last.Due.Before(now) {
			t.Fatalf("due %v before the attempt at %v", last.Due, now)
		}
		if c.First.IsZero() {
			c.First, c.HeldAtFirst = a.At, last.HeldAtFirst
		}
		c.Attempts++
		now = last.Due
	}
}

func TestAttemptsStayWithinThePolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &hook.EventHook{Policy: hook.DefaultPolicy()}
		retry := &h.Policy.Retry
		scheduled := rapid.Bool().Draw(t, "scheduled")
		if scheduled {
			waits := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 0, 10).Draw(t, "schedule")
			*retry = hook.Retry{On: retry.On, Schedule: []hook.Duration{}}
			for _, wait := range waits {
				retry.Schedule = append(retry.Schedule, hook.Duration(wait))
			}
		} else {
			retry.Initial = hook.Duration(rapid.Int64Range(int64(time.Second), int64(time.Minute)).Draw(t, "initial"))
			retry.Max = hook.Duration(rapid.Int64Range(int64(retry.Initial), int64(time.Hour)).Draw(t, "max"))
			retry.For = hook.Duration(rapid.Int64Range(0, int64(6*time.Hour)).Draw(t, "for"))
		}
		result := Result{Status: 500, Reason: hook.ReasonStatus}
		if rapid.Bool().Draw(t, "asks") {
			result.RetryAfter = time.Duration(rapid.Int64Range(1, int64(48*time.Hour)).Draw(t, "retryAfter"))
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		attempts, last, took := follow(t, h, result, random.Float64)
		if last.State != hook.Dead || last.Reason != hook.ReasonExhausted {
			t.Fatalf("ended as %v, %v", last.State, last.Reason)
		}
		if scheduled && attempts != len(retry.Schedule)+1 {
			t.Fatalf("%d attempts for a schedule of %d", attempts, len(retry.Schedule))
		}
		if !scheduled && took > time.Duration(retry.For) {
			t.Fatalf("the last attempt began %v after the first, the policy says %v", took, time.Duration(retry.For))
		}
	})
}

func TestTimeOnHoldDoesNotCount(t *testing.T) {
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := &hook.EventHook{Policy: hook.DefaultPolicy()}
	c := &store.Claim{Attempts: 5, First: first, HeldAtFirst: time.Hour}
	a := hook.Attempt{At: first.Add(80 * time.Hour), Status: 503, Reason: hook.ReasonStatus}
	if o := decide(h, c, a, Result{}, 0.5); o.State != hook.Dead {
		t.Errorf("after 80 h of a policy of 72 h: %v", o.State)
	}
	h.Hold.Total = 21 * time.Hour // 20 of them since the first attempt
	if o := decide(h, c, a, Result{}, 0.5); o.State != hook.Waiting {
		t.Errorf("after 80 h, 20 of them on hold: %v", o.State)
	}
}

func TestDecide(t *testing.T) {
	h := &hook.EventHook{Policy: hook.DefaultPolicy()}
	for _, test := range []struct {
		status int
		reason hook.Reason
		state  hook.State
		why    hook.Reason
	}{
		{200, "", hook.Delivered, ""},
		{204, "", hook.Delivered, ""},
		{0, hook.ReasonTimeout, hook.Waiting, hook.ReasonTimeout},
		{0, hook.ReasonConnection, hook.Waiting, hook.ReasonConnection},
		{0, hook.ReasonTLS, hook.Waiting, hook.ReasonTLS},
		{302, hook.ReasonRedirect, hook.Dead, hook.ReasonNotRetryable},
		{400, hook.ReasonStatus, hook.Dead, hook.ReasonNotRetryable},
		{408, hook.ReasonStatus, hook.Waiting, hook.ReasonStatus},
		{410, hook.ReasonGone, hook.Waiting, hook.ReasonGone},
		{425, hook.ReasonStatus, hook.Waiting, hook.ReasonStatus},
		{429, hook.ReasonStatus, hook.Waiting, hook.ReasonStatus},
		{500, hook.ReasonStatus, hook.Waiting, hook.ReasonStatus},
		{599, hook.ReasonStatus, hook.Waiting, hook.ReasonStatus},
	} {
		a := hook.Attempt{At: time.Unix(1e9, 0), Status: test.status, Reason: test.reason}
		o := decide(h, &store.Claim{}, a, Result{Status: test.status, Reason: test.reason}, 0.5)
		if o.State != test.state || o.Reason != test.why {
			t.Errorf("%d %s: %v %s, want %v %s", test.status, test.reason, o.State, o.Reason, test.state, test.why)
		}
	}
}
