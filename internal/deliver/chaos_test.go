package deliver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// dice may be thrown by many.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) roll(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

// fate is what destinations do while all is in disorder.
type fate struct {
	dice  *dice
	mu    sync.Mutex
	calm  bool
	taken map[hook.Key]int // how often each delivery was answered 200
}

func (f *fate) answer(ctx context.Context, _ *hook.EventHook, c *store.Claim) Result {
	f.mu.Lock()
	calm := f.calm
	f.mu.Unlock()
	roll := f.dice.roll(20)
	if calm {
		roll = 19
	}
	select {
	case <-time.After(time.Duration(f.dice.roll(3000)) * time.Millisecond):
	case <-ctx.Done():
		return Result{Reason: hook.ReasonTimeout, Response: &hook.Response{Error: "timeout"}}
	}
	switch roll {
	case 0:
		return Result{Status: 410, Reason: hook.ReasonGone, Response: &hook.Response{Status: 410}}
	case 1:
		return Result{Reason: hook.ReasonRefused, Response: &hook.Response{Error: "refused"}}
	case 2, 3, 4, 5:
		return Result{Status: 500, Reason: hook.ReasonStatus, Response: &hook.Response{Status: 500}}
	case 6:
		return Result{Status: 503, Reason: hook.ReasonStatus, RetryAfter: 20 * time.Second, Response: &hook.Response{Status: 503}}
	case 7:
		<-ctx.Done()
		return Result{Reason: hook.ReasonTimeout, Response: &hook.Response{Error: "timeout"}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken[c.Key]++
	return Result{Status: 200}
}

// shuffle changes a hook somehow.
func (y *yard) shuffle(d *dice, id string) {
	y.change(id, func(h *hook.EventHook) {
		switch d.roll(6) {
		case 0:
			h.Status = hook.Inactive
		case 1:
			h.Verified = false
		case 2:
			h.Policy.Concurrency = 1 + d.roll(20)
		case 3:
			h.Policy.RateLimit = hook.RateLimit{Count: 1 + d.roll(20), Per: time.Second}
		case 4:
			h.Policy.RateLimit = hook.RateLimit{}
		}
		if d.roll(3) > 0 {
			h.Status, h.Verified, h.Hold.Reason = hook.Active, true, ""
		}
	})
}

// Destinations fail in every way, hooks change, the store fails for a while:
// in the end everything was delivered, and nothing that a destination had taken
// was sent to it again.
func TestNothingIsLostOrRepeated(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inYard(t, func(y *yard) {
				d := &dice{random: rand.New(rand.NewPCG(seed, 1))}
				f := &fate{dice: d, taken: map[hook.Key]int{}}
				y.post.answer = f.answer
				var hooks []string
				for i := range 3 {
					hooks = append(hooks, fmt.Sprint("who", i))
					y.addHook(hooks[i], func(p *hook.Policy) {
						p.Timeout = hook.Duration(5 * time.Second)
						p.Retry.Initial, p.Retry.Max, p.Retry.For = hook.Duration(time.Second), hook.Duration(30*time.Second), hook.Duration(720*time.Hour)
					})
				}
				const events = 60
				for i := range events {
					y.take(fmt.Sprint("event-", i), 1)
					y.wait(time.Duration(d.roll(4000)) * time.Millisecond)
					switch d.roll(5) {
					case 0:
						y.shuffle(d, hooks[d.roll(len(hooks))])
					case 1:
						y.store.fail(errFull)
					case 2, 3:
						y.store.fail(nil)
					}
				}
				y.store.fail(nil)
				f.mu.Lock()
				f.calm = true
				f.mu.Unlock()
				for _, id := range hooks {
					y.change(id, func(h *hook.EventHook) {
						h.Status, h.Verified, h.Hold.Reason, h.Policy.RateLimit = hook.Active, true, "", hook.RateLimit{}
					})
				}
				y.wait(30 * time.Minute)
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.taken) != events*len(hooks) {
					t.Errorf("%d deliveries were taken, want %d", len(f.taken), events*len(hooks))
				}
				for key, n := range f.taken {
					if n != 1 {
						t.Errorf("a delivery of hook %d was taken %d times", key.Hook, n)
					}
				}
				for number := range int64(len(hooks)) {
					if c := y.counts(number + 1); c.Matched != events || c.Delivered != events || c.Waiting() != 0 {
						t.Errorf("hook %d: %+v", number+1, c)
					}
				}
			})
		})
	}
}
