package bench

import (
	"sync/atomic"
	"time"
)

// maxEvents bounds one phase, its warm-up included: 24 bytes of memory each.
const maxEvents = 5_000_000

// ledger is the account of one phase: for every event when it was sent, when it
// was acknowledged and when it first arrived, in nanoseconds since start; 0
// means never. The loader's connections write sent and acked, each for the
// events it took, and they are read only once those have ended; the sink's
// connections write arrived at any time.
type ledger struct {
	id      eventID
	start   time.Time
	taken   atomic.Int64
	sent    []int64
	acked   []int64
	arrived []atomic.Int64

	first      atomic.Int64 // first arrivals
	repeated   atomic.Int64 // arrivals after an event's first
	unexpected atomic.Int64 // arrivals of what was not sent in this phase
	refused    atomic.Int64 // answers of 503
}

// newLedger makes an empty account for up to capacity events.
func newLedger(id eventID, capacity int) *ledger {
	return &ledger{
		id: id, start: time.Now(),
		sent: make([]int64, capacity), acked: make([]int64, capacity), arrived: make([]atomic.Int64, capacity),
	}
}

// now is the time since start, at least 1.
func (l *ledger) now() int64 { return max(1, int64(time.Since(l.start))) }

// take hands out the next event's index while it is below limit.
func (l *ledger) take(limit int64) (int64, bool) {
	for {
		index := l.taken.Load()
		if index >= min(limit, int64(len(l.sent))) {
			return 0, false
		}
		if l.taken.CompareAndSwap(index, index+1) {
			return index, true
		}
	}
}

// arrive accounts for every event that the delivery body holds.
func (l *ledger) arrive(body []byte) {
	at := l.now()
	found := false
	for {
		uuid, rest := nextUUID(body)
		if uuid == nil {
			break
		}
		found = true
		index, ours := l.id.index(uuid)
		switch {
		case !ours || index >= l.taken.Load():
			l.unexpected.Add(1)
		case !l.arrived[index].CompareAndSwap(0, at):
			l.repeated.Add(1)
		default:
			l.first.Add(1)
		}
		body = rest
	}
	if !found {
		l.unexpected.Add(1)
	}
}

// owed returns the first event at or after from that was acknowledged and has
// not arrived; false when there is none. No loader may be running.
func (l *ledger) owed(from int64) (int64, bool) {
	for i := from; i < l.taken.Load(); i++ {
		if l.acked[i] != 0 && l.arrived[i].Load() == 0 {
			return i, true
		}
	}
	return 0, false
}
