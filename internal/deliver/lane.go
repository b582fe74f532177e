package deliver

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"golang.org/x/time/rate"
)

// lane holds what one event hook is about to be sent.
type lane struct {
	engine *Engine

	mu      sync.Mutex
	hook    *hook.EventHook // replaced, never changed
	share   share
	limiter *rate.Limiter // nil for no limit
	queue   []store.Claim // to be attempted next
	flying  map[hook.Key]*store.Claim
	// settling holds what was attempted and whose outcome is not kept yet,
	// without its event. Its lease goes on: whoever claimed it would repeat it.
	settling map[hook.Key]store.Claim
	turn     chan struct{} // held by who waits for limiter
	limited  chan struct{} // closed when who waits for limiter is to look again
	reserved int           // room promised to intake
	running  int           // workers
	backlog  bool          // the store may hold due deliveries that are not here
	claiming bool          // a claim is under way
	timer    *time.Timer   // fires at alarmAt
	alarmAt  time.Time     // when the next delivery in the store is due, zero for never
	closed   bool
}

func newLane(e *Engine, h *hook.EventHook) *lane {
	l := &lane{
		engine: e, flying: make(map[hook.Key]*store.Claim), settling: make(map[hook.Key]store.Claim),
		turn: make(chan struct{}, 1), limited: make(chan struct{}),
	}
	l.timer = time.AfterFunc(math.MaxInt64, l.ring)
	l.hook, l.share = h, shareOf(h, e.members.Load())
	l.limiter = newLimiter(h.Policy.RateLimit, l.share.senders)
	return l
}

// newLimiter spreads one of so many parts of a rate evenly, but for 10 ms' worth
// at once.
func newLimiter(limit hook.RateLimit, parts int) *rate.Limiter {
	if limit.Count == 0 {
		return nil
	}
	perSecond := limit.PerSecond() / float64(max(1, parts))
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/100)))
}

// lease is how long the lane leases a delivery: never less than an attempt takes.
func (l *lane) lease() time.Duration {
	return max(leaseLength, 2*time.Duration(l.hook.Policy.Timeout))
}

// set takes over a changed hook.
func (l *lane) set(h *hook.EventHook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	replaced := l.hook.Policy.RateLimit != h.Policy.RateLimit
	if h.Hold.Changes < l.hook.Hold.Changes {
		// It was read before the lane changed it.
		same := *h
		same.Hold = l.hook.Hold
		h = &same
	}
	l.hook = h
	l.setShare()
	if replaced {
		l.limiter = newLimiter(h.Policy.RateLimit, l.share.senders)
	}
	if replaced || !l.deliverable(time.Now()) {
		l.rouse()
	}
	l.backlog = true
	l.dispatch()
}

// rouse has those who wait for the rate limit look again. l.mu is held.
func (l *lane) rouse() {
	close(l.limited)
	l.limited = make(chan struct{})
}

// close ends the lane. What it holds goes back to the store.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.limited)
	l.timer.Stop()
	l.dispatch()
}

// drain empties the queue.
func (l *lane) drain() []store.Claim {
	queue := l.queue
	l.queue = nil
	for i := range queue {
		l.engine.bytes.Add(-int64(len(queue[i].Event.JSON)))
	}
	return queue
}

// reserve promises room for one delivery, unless older ones wait in the store.
func (l *lane) reserve(size int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.backlog || l.claiming || !l.mayBegin(time.Now()) ||
		l.held() >= l.room() || l.engine.bytes.Load()+int64(size) > memoryRoom {
		return false
	}
	l.reserved++
	l.engine.bytes.Add(int64(size))
	return true
}

// held is how many deliveries are in memory.
func (l *lane) held() int { return l.reserved + len(l.queue) + len(l.flying) }

func (l *lane) release(size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved--
	l.engine.bytes.Add(-int64(size))
	if l.backlog {
		l.dispatch() // there may have been no room for it
	}
}

// take takes in deliveries for which room was reserved.
func (l *lane) take(claims []store.Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved -= len(claims)
	l.queue = append(l.queue, claims...)
	l.dispatch()
}

// wake looks for work in the store.
func (l *lane) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backlog = true
	l.dispatch()
}

// ring is what happens when something in the store is due.
func (l *lane) ring() {
	l.mu.Lock()
	l.alarmAt = time.Time{}
	l.mu.Unlock()
	l.wake()
}

// alarm makes the lane look into the store at a time, if it would not before.
// l.mu is held.
func (l *lane) alarm(at time.Time) {
	if l.closed || !l.alarmAt.IsZero() && !at.Before(l.alarmAt) {
		return
	}
	l.alarmAt = at
	l.timer.Reset(time.Until(at))
}

// settled hears that an outcome is kept, or never will be, and makes the lane
// look when the delivery is due again.
func (l *lane) settled(o store.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settling[o.Key].Epoch == o.Epoch {
		delete(l.settling, o.Key)
	}
	switch {
	case o.State != hook.Waiting:
	case o.Due.After(time.Now()):
		l.alarm(o.Due)
	default:
		l.backlog = true
		l.dispatch()
	}
}

// deliverable reports whether anything can be sent to the hook from here. A hold
// because of a refused destination lets one delivery through now and then, to see.
func (l *lane) deliverable(now time.Time) bool {
	if l.share.senders == 0 {
		return false
	}
	switch reason := l.hook.Blocked(); reason {
	case "":
		return true
	case hook.ReasonRefused:
		return !now.Before(l.hook.Hold.Recheck)
	default:
		return false
	}
}

// width is how many attempts may run at once.
func (l *lane) width() int {
	if l.hook.Blocked() != "" {
		return 1
	}
	return l.share.concurrency
}

// member reports whether this process may begin anything: those who share the
// store must take it to be alive.
func (l *lane) member(now time.Time) bool { return now.Before(l.engine.members.Load().Until) }

// dispatch starts what can be started. l.mu is held.
func (l *lane) dispatch() {
	if l.closed {
		if len(l.queue) > 0 {
			queue := l.drain()
			l.engine.work.Go(func() { l.engine.giveBack(queue) })
		}
		return
	}
	now := time.Now()
	if !l.deliverable(now) {
		if len(l.queue) > 0 {
			l.backlog = true
			queue := l.drain()
			l.engine.work.Go(func() { l.engine.giveBack(queue) })
		}
		if l.hook.Hold.Reason == hook.ReasonRefused && l.hook.Status == hook.Active && l.hook.Verified {
			l.alarm(l.hook.Hold.Recheck)
		}
		return
	}
	if !l.member(now) {
		return // until SetMembers
	}
	for l.running < min(l.width(), len(l.queue)+len(l.flying)) {
		l.running++
		l.engine.work.Go(l.worker)
	}
	// With nothing in memory a lane may always go on, if with a little at a time.
	roomy := l.held() == 0 || l.held() < l.room() && l.engine.bytes.Load() < memoryRoom
	if l.backlog && !l.claiming && len(l.queue) <= l.width() && roomy {
		l.claiming = true
		l.engine.work.Go(l.claim)
	}
}

// claim fetches due deliveries from the store.
func (l *lane) claim() {
	l.mu.Lock()
	l.backlog = false
	number, room, lease := l.hook.Number, l.room()-l.held(), l.lease()
	bytes := l.engine.promise(claimBytes)
	if bytes < claimBytes {
		room = min(room, l.width()+1) // more than fits would be leased for nothing
	}
	if l.hook.Blocked() != "" {
		room = 1 // to see whether the hold can end
	}
	l.mu.Unlock()

	now := time.Now()
	claims, next, err := l.engine.Store.Claim(context.Background(), number, now, max(room, 1), bytes, lease)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.claiming = false
	switch {
	case err != nil:
		l.engine.Log.Error("due deliveries cannot be read; trying again", "hook", l.hook.ID, "error", err)
		l.alarm(now.Add(maxRetryWait))
	case !next.IsZero() && !next.After(now):
		l.backlog = true
	case !next.IsZero():
		l.alarm(next)
	}
	l.engine.bytes.Add(-int64(bytes))
	for i := range claims {
		l.engine.bytes.Add(int64(len(claims[i].Event.JSON)))
	}
	l.queue = append(l.queue, claims...)
	l.dispatch()
}

// worker attempts deliveries, one after the other, while there are any.
func (l *lane) worker() {
	for {
		c, ok := l.next()
		if !ok {
			return
		}
		outcome := l.attempt(c)
		l.landed(c)
		l.engine.settler.settle(outcome)
	}
}

// next takes the next delivery, or ends the worker.
func (l *lane) next() (*store.Claim, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) == 0 || l.running > l.width() || !l.mayBegin(time.Now()) {
		l.running--
		l.dispatch()
		return nil, false
	}
	c := l.queue[0]
	l.queue[0] = store.Claim{}
	l.queue = l.queue[1:]
	l.flying[c.Key] = &c
	if l.backlog {
		l.dispatch()
	}
	return &c, true
}

// current is the hook as it is now. ok is false when nothing can be sent to it.
func (l *lane) current() (h *hook.EventHook, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hook, !l.closed && l.mayBegin(time.Now())
}

func (l *lane) mayBegin(now time.Time) bool { return l.deliverable(now) && l.member(now) }

// landed notes that the attempt of a delivery is over.
func (l *lane) landed(c *store.Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flying, c.Key)
	l.settling[c.Key] = store.Claim{Key: c.Key, Epoch: c.Epoch}
	l.engine.bytes.Add(-int64(len(c.Event.JSON)))
}

// setHold takes over what has become of the hook's hold.
func (l *lane) setHold(hold hook.Hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hold.Changes < l.hook.Hold.Changes {
		return
	}
	changed := *l.hook
	changed.Hold = hold
	l.hook = &changed
	if !l.closed && !l.deliverable(time.Now()) {
		l.rouse()
	}
	l.backlog = true
	l.dispatch()
}

// renew lengthens the leases of everything the lane holds, and drops what it
// has lost.
func (l *lane) renew(now time.Time) {
	l.mu.Lock()
	held := make([]store.Claim, 0, len(l.queue)+len(l.flying)+len(l.settling))
	held = append(held, l.queue...)
	for _, c := range l.flying {
		held = append(held, *c)
	}
	for _, c := range l.settling {
		held = append(held, c)
	}
	lease := l.lease()
	l.mu.Unlock()
	if len(held) == 0 {
		return
	}
	until, lost, err := l.engine.Store.Renew(context.Background(), held, now, lease)
	if err != nil {
		l.engine.Log.Error("leases cannot be renewed", "error", err)
		return
	}
	gone := make(map[hook.Key]bool, len(lost))
	for _, key := range lost {
		gone[key] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.queue[:0]
	for _, c := range l.queue {
		if gone[c.Key] {
			l.engine.bytes.Add(-int64(len(c.Event.JSON)))
			continue
		}
		c.Until = until
		kept = append(kept, c)
	}
	clear(l.queue[len(kept):])
	l.queue = kept
	if len(gone) > 0 {
		l.backlog = true
		l.dispatch()
	}
}
