package hook

import (
	"testing"
	"time"
)

func TestOwedAndBlocked(t *testing.T) {
	for _, c := range []struct {
		name    string
		hook    EventHook
		owed    bool
		blocked Reason
	}{
		{"ready", EventHook{Status: Active, Verified: true, EverVerified: true}, true, ""},
		{"never verified", EventHook{Status: Active}, false, ReasonUnverified},
		{"verified once", EventHook{Status: Active, EverVerified: true}, true, ReasonUnverified},
		{"inactive", EventHook{Status: Inactive, Verified: true}, true, ReasonInactive},
		{"inactive and unverified", EventHook{Status: Inactive}, false, ReasonInactive},
		{"gone", EventHook{Status: Active, Verified: true, Hold: Hold{Reason: ReasonGone}}, true, ReasonGone},
		{"gone and inactive", EventHook{Status: Inactive, Verified: true, Hold: Hold{Reason: ReasonGone}}, true, ReasonInactive},
		{"no status", EventHook{Verified: true}, true, ReasonInactive},
	} {
		if got := c.hook.Owed(); got != c.owed {
			t.Errorf("%s: owed %v, want %v", c.name, got, c.owed)
		}
		if got := c.hook.Blocked(); got != c.blocked {
			t.Errorf("%s: blocked by %q, want %q", c.name, got, c.blocked)
		}
	}
}

func TestHoldClock(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		hold Hold
		now  time.Time
		want time.Duration
	}{
		{"never blocked", Hold{}, since, 0},
		{"blocked before", Hold{Total: time.Hour}, since, time.Hour},
		{"blocked now", Hold{Since: since}, since.Add(time.Minute), time.Minute},
		{"blocked before and now", Hold{Since: since, Total: time.Hour}, since.Add(time.Minute), time.Hour + time.Minute},
		{"just blocked", Hold{Since: since, Total: time.Hour}, since, time.Hour},
		{"a clock that was set back", Hold{Since: since, Total: time.Hour}, since.Add(-time.Minute), time.Hour},
		{"in another zone", Hold{Since: since.In(time.FixedZone("", 3600))}, since.Add(time.Second), time.Second},
	} {
		if got := c.hold.Clock(c.now); got != c.want {
			t.Errorf("%s: the clock shows %v, want %v", c.name, got, c.want)
		}
	}
}

func TestHookCountCloses(t *testing.T) {
	c := HookCount{Matched: 100, Delivered: 10, Dead: 20, Cancelled: 30, Attempts: 7, FilterErrors: 8}
	if got := c.Waiting(); got != 40 {
		t.Errorf("%d wait, want 40", got)
	}
}
