package bench

import (
	"sync/atomic"
	"time"
)

// maxEvents bounds one phase, its warm-up included: 16 bytes of memory each, and
// 8 for each of its deliveries.
const maxEvents = 5_000_000

// ledger is the account of one phase: for every event when it was sent, when it
// was acknowledged and when it first arrived at each destination, in nanoseconds
// since start; 0 means never. The loader's connections write sent and acked, each
// for the events it took, and they are read only once those have ended; the
// sink's connections write arrived at any time.
type ledger struct {
	id      eventID
	fanOut  int // destinations that every event is to reach
	start   time.Time
	taken   atomic.Int64
	sent    []int64
	acked   []int64
	arrived []atomic.Int64 // by event, then destination

	first      atomic.Int64 // first arrivals
	repeated   atomic.Int64 // arrivals at a destination after an event's first there
	unexpected atomic.Int64 // arrivals of what was not sent in this phase
	refused    atomic.Int64 // answers of 503
}

// newLedger makes an empty account for up to capacity events.
func newLedger(id eventID, capacity, fanOut int) *ledger {
	return &ledger{
		id: id, fanOut: fanOut, start: time.Now(),
		sent: make([]int64, capacity), acked: make([]int64, capacity), arrived: make([]atomic.Int64, capacity*fanOut),
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

// arrive accounts for every event that a delivery to a destination holds.
func (l *ledger) arrive(destination int, body []byte) {
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
		case !ours || index >= l.taken.Load() || destination < 0 || destination >= l.fanOut:
			l.unexpected.Add(1)
		case !l.arrived[index*int64(l.fanOut)+int64(destination)].CompareAndSwap(0, at):
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
// not arrived everywhere; false when there is none. No loader may be running.
func (l *ledger) owed(from int64) (int64, bool) {
	for i := from; i < l.taken.Load(); i++ {
		if l.acked[i] != 0 && l.missing(i) > 0 {
			return i, true
		}
	}
	return 0, false
}

// acknowledged counts the events from index from on that were answered 200. No
// loader may be running.
func (l *ledger) acknowledged(from int64) (n int64) {
	for _, at := range l.acked[from:l.taken.Load()] {
		if at != 0 {
			n++
		}
	}
	return n
}

// missing is how many destinations an event has not reached.
func (l *ledger) missing(index int64) (n int64) {
	of := l.deliveries(index)
	for i := range of {
		if of[i].Load() == 0 {
			n++
		}
	}
	return n
}

// deliveries are when an event arrived, by destination.
func (l *ledger) deliveries(index int64) []atomic.Int64 {
	return l.arrived[index*int64(l.fanOut):][:l.fanOut]
}
