// Package deliver turns due deliveries into attempts and attempts into
// outcomes: when to try, how many at once, how often, when to give up. How one
// attempt is made is the business of a Channel; deliver/webhook is one.
//
// Each event hook has a lane of its own, with its own bounds, so that one that
// hangs or fails slows no other. New deliveries come to a lane in memory while
// it keeps up; otherwise they wait in the store, and the lane claims them there
// when it has room. A first attempt and a retry take the same way.
package deliver

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Store is what deliver needs of a store.
type Store interface {
	store.Outbox
	Hold(ctx context.Context, number int64, reason hook.Reason, now, recheck time.Time) (hook.Hold, error)
	Wake(hooks ...int64)
}

// Channel makes one attempt.
type Channel interface {
	// Send hands one delivery to its destination, within the hook's
	// Policy.Timeout. It also ends when ctx does, which is the same for all.
	Send(ctx context.Context, h *hook.EventHook, c *store.Claim) Result
}

// Result is how one attempt went.
type Result struct {
	Status     int         // the HTTP status, 0 when there was no answer
	Reason     hook.Reason // why it failed, "" when it succeeded
	RetryAfter time.Duration
	Response   *hook.Response
}

// Options are what an Engine is made of.
type Options struct {
	Store   Store
	Channel Channel
	Log     *slog.Logger
}

// Bounds of what lanes hold in memory.
const (
	laneRoom    = 1024     // deliveries of one hook
	memoryRoom  = 64 << 20 // bytes of event JSON, all hooks together, but for leastBytes each
	claimBytes  = 4 << 20  // bytes of event JSON in one claim
	leastBytes  = 32 << 10 // the same where memory has no room: nobody starves
	leaseLength = time.Minute
	renewEvery  = 15 * time.Second
)

// Engine delivers. Make one with New, Start it, tell it who shares the store with
// SetMembers, and give it hooks with SetHooks.
type Engine struct {
	Options
	settler *settler
	bytes   atomic.Int64 // of event JSON in memory
	members atomic.Pointer[store.Members]

	// attempts is done when the attempts under way are to be broken off.
	attempts context.Context
	breakOff context.CancelFunc
	stop     chan struct{}  // closed when no further attempt may begin
	work     sync.WaitGroup // workers and claims
	renewal  sync.WaitGroup

	mu      sync.Mutex
	lanes   map[int64]*lane
	stopped bool
}

// New makes an Engine.
func New(opts Options) *Engine {
	e := &Engine{Options: opts, lanes: make(map[int64]*lane), stop: make(chan struct{})}
	e.members.Store(&store.Members{})
	e.attempts, e.breakOff = context.WithCancel(context.Background())
	e.settler = newSettler(opts.Store, opts.Log, e.kept, e.attempts.Done())
	return e
}

// Start begins to deliver.
func (e *Engine) Start() {
	e.settler.start()
	e.renewal.Go(e.renew)
}

// Stop ends delivering: no further attempt begins, those under way have until
// ctx ends, and what was not attempted goes back to the store. It returns when
// every outcome is kept, or when ctx has ended and the store still fails.
func (e *Engine) Stop(ctx context.Context) {
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		return
	}
	e.stopped = true
	e.mu.Unlock()
	close(e.stop)
	for _, l := range e.all() {
		l.close()
	}
	finished := make(chan struct{})
	go func() {
		e.work.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		e.breakOff()
		<-finished
	}
	e.renewal.Wait()
	settled := make(chan struct{})
	go func() {
		e.settler.stop()
		close(settled)
	}()
	select {
	case <-settled:
	case <-ctx.Done():
		e.breakOff()
		<-settled
	}
	e.breakOff()
}

// SetHooks tells the engine what hooks there are, opened. Hooks that are no
// longer among them end.
func (e *Engine) SetHooks(hooks []hook.EventHook) {
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		return
	}
	gone := maps.Clone(e.lanes)
	for i := range hooks {
		h := &hooks[i]
		delete(gone, h.Number)
		if l, ok := e.lanes[h.Number]; ok {
			l.set(h)
			continue
		}
		l := newLane(e, h)
		e.lanes[h.Number] = l
		l.wake()
	}
	for number := range gone {
		delete(e.lanes, number)
	}
	e.mu.Unlock()
	for _, l := range gone {
		l.close()
	}
}

func (e *Engine) lane(number int64) *lane {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lanes[number]
}

func (e *Engine) all() []*lane {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.lanes))
}

// Reserve keeps room for a delivery; see intake.Dispatcher.
func (e *Engine) Reserve(number int64, size int) bool {
	l := e.lane(number)
	return l != nil && l.reserve(size)
}

// Release gives room back; see intake.Dispatcher.
func (e *Engine) Release(number int64, size int) {
	if l := e.lane(number); l != nil {
		l.release(size)
	}
}

// Take takes deliveries in; see intake.Dispatcher.
func (e *Engine) Take(claims []store.Claim) {
	for len(claims) > 0 {
		number, n := claims[0].Hook, 1
		for n < len(claims) && claims[n].Hook == number {
			n++
		}
		if l := e.lane(number); l != nil {
			l.take(claims[:n])
		} else {
			back := claims[:n]
			e.work.Go(func() { e.giveBack(back) })
		}
		claims = claims[n:]
	}
}

// Wake says that there is work for a hook in the store, here and to the others
// who share it.
func (e *Engine) Wake(number int64) {
	e.Due(number)
	if len(e.members.Load().All) > 1 {
		e.Store.Wake(number)
	}
}

// Lease is how long deliveries are leased.
func (e *Engine) Lease() time.Duration { return leaseLength }

// promise takes up to so many bytes of memory for a claim, but not none.
func (e *Engine) promise(want int64) int {
	for {
		used := e.bytes.Load()
		got := min(want, max(leastBytes, memoryRoom-used))
		if e.bytes.CompareAndSwap(used, used+got) {
			return int(got)
		}
	}
}

// giveBack returns claims that were not attempted.
func (e *Engine) giveBack(claims []store.Claim) {
	for i := range claims {
		e.settler.settle(store.Outcome{Key: claims[i].Key, Epoch: claims[i].Epoch, State: hook.Waiting})
	}
}

// kept hears of an outcome that is kept.
func (e *Engine) kept(o store.Outcome) {
	if l := e.lane(o.Hook); l != nil {
		l.settled(o)
	}
}

// renew keeps the leases of everything in memory.
func (e *Engine) renew() {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-e.stop:
			return
		case now := <-ticker.C:
			for _, l := range e.all() {
				l.renew(now)
			}
		}
	}
}
