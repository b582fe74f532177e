package deliver

import (
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// share is this process's part of what a hook may be sent at once, where
// several processes share a store. The parts of all processes never add up to
// more than the hook's concurrency, nor their rates to more than its rate limit.
// Each process may be ahead of its rate by one attempt, or by 10 ms' worth: all
// together by less than a tenth of a second's worth, or by one attempt.
type share struct {
	senders     int // how many processes send to the hook; 0 when this one does not
	concurrency int
}

// perSender is how many attempts per second there must be for each process that
// sends to a hook, so that what each may be ahead does not add up to much.
const perSender = 10

// shareOf divides a hook among the members. As long as nobody knows who they
// are, or that this process is one of them, it has no part.
func shareOf(h *hook.EventHook, m *store.Members) share {
	if !m.Joined || len(m.All) == 0 {
		return share{}
	}
	width := h.Policy.Concurrency
	senders := min(len(m.All), width)
	if rate := h.Policy.RateLimit.PerSecond(); !math.IsInf(rate, 1) {
		senders = min(senders, max(1, int(rate/perSender)))
	}
	rank := rankOf(h.Number, m)
	if rank >= senders {
		return share{}
	}
	s := share{senders: senders, concurrency: width / senders}
	if rank < width%senders {
		s.concurrency++
	}
	return s
}

// rankOf is the place of this process in a hook's own order of the members
// (rendezvous hashing): one that comes or goes does not change the order of the
// others, and hooks that only some processes send to are spread over all.
func rankOf(number int64, m *store.Members) (rank int) {
	own := weight(number, m.Self)
	for _, other := range m.All {
		if w := weight(number, other); w > own || w == own && other < m.Self {
			rank++
		}
	}
	return rank
}

// room is how many deliveries the lane may hold in memory. With a rate limit and
// others who send too, it is no more than it sends in two seconds: what one holds
// the others cannot send.
func (l *lane) room() int {
	limit := l.hook.Policy.RateLimit
	if limit.Count == 0 || l.share.senders <= 1 {
		return laneRoom
	}
	return min(laneRoom, l.width()+int(2*limit.PerSecond())/l.share.senders)
}

func weight(number, member int64) uint64 {
	h := fnv.New64a()
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(number>>(8*i)), byte(member>>(8*i))
	}
	h.Write(b[:])
	// The last bytes have hardly moved the upper bits yet.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// SetMembers tells the engine who shares the store, and what is due there. Until
// it is first called, and once the members' time has passed, no attempt begins.
func (e *Engine) SetMembers(m store.Members) {
	before := e.members.Swap(&m)
	same := before.Joined == m.Joined && before.Self == m.Self && slices.Equal(before.All, m.All)
	if same && time.Now().Before(before.Until) {
		e.Due(m.Due...)
		return
	}
	for _, l := range e.all() {
		l.divide()
	}
}

// Due looks for work of hooks that another process has hinted at.
func (e *Engine) Due(hooks ...int64) {
	for _, number := range hooks {
		if l := e.lane(number); l != nil {
			l.wake()
		}
	}
}

// divide takes the lane's share anew.
func (l *lane) divide() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setShare()
	l.backlog = true
	l.dispatch()
}

// setShare takes the lane's share of its hook. l.mu is held.
func (l *lane) setShare() {
	before := l.share
	l.share = shareOf(l.hook, l.engine.members.Load())
	if l.share.senders == before.senders {
		return
	}
	if l.limiter != nil && l.share.senders > 0 {
		// What was sent before counts on.
		part := newLimiter(l.hook.Policy.RateLimit, l.share.senders)
		l.limiter.SetLimit(part.Limit())
		l.limiter.SetBurst(part.Burst())
	}
	l.rouse()
}
