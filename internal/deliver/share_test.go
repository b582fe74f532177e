package deliver

import (
	"slices"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"pgregory.net/rapid"
)

// TestSharesAddUp divides hooks among any members: what all may send at once is
// the hook's concurrency, neither more nor less, and no rate is exceeded by more
// than it may be.
func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.Int64Range(1, 1<<40), 1, 12, rapid.ID[int64]).Draw(t, "members")
		slices.Sort(members)
		h := hook.EventHook{Number: rapid.Int64Range(1, 1<<20).Draw(t, "hook")}
		h.Policy.Concurrency = rapid.IntRange(1, 256).Draw(t, "concurrency")
		if rapid.Bool().Draw(t, "limited") {
			h.Policy.RateLimit = hook.RateLimit{
				Count: rapid.IntRange(1, 100_000).Draw(t, "count"),
				Per:   rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(t, "per"),
			}
		}
		concurrency, senders, ahead := 0, 0, 0
		rate := 0.0
		for _, self := range members {
			s := shareOf(&h, &store.Members{Self: self, All: members, Joined: true})
			if (s.senders == 0) != (s.concurrency == 0) {
				t.Fatalf("%+v", s)
			}
			concurrency += s.concurrency
			if s.senders > 0 {
				senders++
			}
			if limiter := newLimiter(h.Policy.RateLimit, s.senders); limiter != nil && s.senders > 0 {
				rate += float64(limiter.Limit())
				ahead += limiter.Burst()
			}
		}
		if concurrency != h.Policy.Concurrency {
			t.Errorf("all together may send %d at once, not %d", concurrency, h.Policy.Concurrency)
		}
		if senders == 0 || senders > len(members) {
			t.Errorf("%d of %d send", senders, len(members))
		}
		if limit := h.Policy.RateLimit; limit.Count > 0 {
			if want := limit.PerSecond(); rate > want*1.000001 || rate < want*0.999999 {
				t.Errorf("all together send %v a second, not %v", rate, want)
			}
			if float64(ahead) > max(1, limit.PerSecond()/perSender) {
				t.Errorf("all together may be %d attempts ahead of %s", ahead, limit)
			}
		}
	})
}

// TestFewSendersAreSpread has hooks of concurrency 1 sent to by all members alike.
func TestFewSendersAreSpread(t *testing.T) {
	members := []int64{3, 4, 9}
	sends := map[int64]int{}
	moved := 0
	for number := range int64(3000) {
		h := hook.EventHook{Number: number + 1, Policy: hook.Policy{Concurrency: 1}}
		sender := func(members []int64) (by int64) {
			for _, self := range members {
				if shareOf(&h, &store.Members{Self: self, All: members, Joined: true}).senders == 1 {
					by = self
				}
			}
			return by
		}
		by := sender(members)
		sends[by]++
		if by != 4 && sender([]int64{3, 9}) != by {
			moved++
		}
	}
	for _, m := range members {
		if n := sends[m]; n < 850 || n > 1150 {
			t.Errorf("member %d sends to %d of 3000 hooks", m, n)
		}
	}
	if moved > 0 {
		t.Errorf("%d hooks moved although their sender stayed", moved)
	}
}

func TestWhoIsNoMemberHasNoShare(t *testing.T) {
	h := hook.EventHook{Number: 1, Policy: hook.DefaultPolicy()}
	for name, m := range map[string]store.Members{
		"nobody":         {},
		"not joined yet": {Self: 1, All: []int64{1, 2}},
	} {
		if s := shareOf(&h, &m); s != (share{}) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestMembersAreAskedForTheirTime has a process stop sending when nobody has
// said for a while who shares the store, and go on when somebody does.
func TestMembersAreAskedForTheirTime(t *testing.T) {
	inYard(t, func(y *yard) {
		y.addHook("who1", nil)
		y.SetMembers(store.Members{Self: 1, All: []int64{1}, Joined: true, Until: time.Now().Add(6 * time.Second)})
		y.take("one", 1)
		y.wait(time.Second)
		y.wait(6 * time.Second)
		y.take("two", 2)
		y.wait(time.Hour)
		if n := y.post.count(); n != 1 {
			t.Fatalf("%d deliveries were sent, one of them in time", n)
		}
		y.join()
		y.wait(time.Second)
		if n := y.post.count(); n != 3 {
			t.Errorf("%d of 3 deliveries were sent", n)
		}
	})
}

// TestOthersSendTheirShare has a hook that only another process may send to:
// its deliveries wait in the store, and the other is told.
func TestOthersSendTheirShare(t *testing.T) {
	inYard(t, func(y *yard) {
		number := y.addHook("who1", func(p *hook.Policy) { p.Concurrency = 1 })
		h := hook.EventHook{Number: number, Policy: hook.Policy{Concurrency: 1}}
		other := store.Members{Joined: true, Until: time.Now().Add(24 * time.Hour)}
		for other.Self = 1; ; other.Self++ {
			other.All = []int64{other.Self, other.Self + 1}
			if shareOf(&h, &other).senders == 0 {
				break
			}
		}
		y.SetMembers(other)
		y.take("one", 1)
		y.wait(time.Minute)
		if n := y.post.count(); n != 0 {
			t.Fatalf("%d deliveries were sent by one who has no share", n)
		}
		if woken := y.store.wokenHooks(); !slices.Contains(woken, number) {
			t.Errorf("nobody was told of hook %d: %v", number, woken)
		}
		y.join()
		y.wait(time.Second)
		if n := y.post.count(); n != 1 {
			t.Errorf("%d of 1 deliveries were sent", n)
		}
	})
}

// TestANewerHoldWins has another process put a hook on hold: this one learns of
// it with the hooks, and does not undo it with what it knew before.
func TestANewerHoldWins(t *testing.T) {
	inYard(t, func(y *yard) {
		number := y.addHook("who1", nil)
		before, _, err := y.store.EventHooks(y.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := y.store.Hold(y.Context(), number, hook.ReasonGone, time.Now(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		y.reload()
		y.SetHooks(before) // read before, handed over late
		y.take("one", 3)
		y.wait(time.Minute)
		if n := y.post.count(); n != 0 {
			t.Errorf("%d deliveries were sent to a hook on hold", n)
		}
	})
}

// Members come and go, as in a rolling restart: what a rate limit has admitted
// before counts on.
func TestRateLimitWhenMembersChange(t *testing.T) {
	inYard(t, func(y *yard) {
		y.addHook("who1", nil)
		y.change("who1", func(h *hook.EventHook) { h.Policy.RateLimit = hook.RateLimit{Count: 1, Per: time.Hour} })
		y.take("one", 50)
		y.wait(time.Second)
		for range 10 {
			y.SetMembers(store.Members{Self: 1, All: []int64{1}, Until: time.Now().Add(time.Hour)}) // as after a hang: not joined
			y.wait(2 * store.BeatEvery)
			y.SetMembers(store.Members{Self: 1, All: []int64{1}, Joined: true, Until: time.Now().Add(time.Hour)})
			y.wait(2 * store.BeatEvery)
		}
		if n := y.post.count(); n > 2 {
			t.Errorf("%d attempts in %v, with a rate limit of 1/h", n, 40*store.BeatEvery)
		}
	})
}
