package test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// ledger holds what went in against what came out, over all lives of a gateway.
// It judges every arrival when it comes.
type ledger struct {
	testing.TB
	wants func(hook string, e *posted) bool

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	events   map[string]*posted
	uuids    []string // of events, in their order
	owners   map[string]string
	killed   []bool // by life, whether it was killed; the last is under way
	wrong    []string
	arrivals int
	repeats  int
	acks     int // events acknowledged, duplicates included
}

// posted is an event that was sent to the gateway.
type posted struct {
	uuid, kind, json string
	acked            bool
	fates            map[string]*fate // by hook
}

// fate is what became of one delivery.
type fate struct {
	id, eventID string
	arrivals    int
	success     int // the life in which it was answered 200, and last so; -1 for none
}

func newLedger(t testing.TB, wants func(hook string, e *posted) bool) *ledger {
	return &ledger{
		TB: t, wants: wants, changed: make(chan struct{}), killed: []bool{false},
		events: make(map[string]*posted), owners: make(map[string]string),
	}
}

// change runs do and tells those who wait.
func (b *ledger) change(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
	close(b.changed)
	b.changed = make(chan struct{})
}

// look runs do on a ledger that stands still.
func (b *ledger) look(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
}

func (b *ledger) blame(format string, args ...any) {
	if len(b.wrong) < 20 {
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
}

// post notes events that are about to be sent.
func (b *ledger) post(events []*posted) {
	b.change(func() {
		for _, e := range events {
			if b.events[e.uuid] == nil {
				e.fates = make(map[string]*fate)
				b.events[e.uuid] = e
				b.uuids = append(b.uuids, e.uuid)
			}
		}
	})
}

// acknowledge notes events whose delivery was answered 200.
func (b *ledger) acknowledge(events []*posted) {
	b.change(func() {
		for _, e := range events {
			b.events[e.uuid].acked = true
			b.acks++
		}
	})
}

// arrive notes a delivery to a hook's destination.
func (b *ledger) arrive(hook string, p parcel) {
	b.change(func() {
		b.arrivals++
		e := b.events[p.uuid]
		switch {
		case e == nil:
			b.blame("%s got an event that was never sent: %q", hook, p.event)
			return
		case e.json != p.event:
			b.blame("%s got %s changed: %q", hook, p.uuid, p.event)
		case !b.wants(hook, e):
			b.blame("%s got %s, which it does not want: %q", hook, p.uuid, p.event)
		}
		if owner := b.owners[p.id]; owner == "" {
			b.owners[p.id] = hook + " " + p.uuid
		} else if owner != hook+" "+p.uuid {
			b.blame("webhook-id %s is that of %s and of %s %s", p.id, owner, hook, p.uuid)
		}
		f := e.fates[hook]
		if f == nil {
			f = &fate{id: p.id, eventID: p.eventID, success: -1}
			e.fates[hook] = f
		}
		f.arrivals++
		if f.id != p.id || f.eventID != p.eventID || p.id == "" || p.eventID == "" {
			b.blame("%s got %s as %s/%s, and before as %s/%s", hook, p.uuid, p.id, p.eventID, f.id, f.eventID)
		}
		if f.success >= 0 {
			b.repeats++
			if !b.killed[f.success] {
				b.blame("%s got %s again, although life %d, which delivered it, was not killed; this is life %d",
					hook, p.uuid, f.success, len(b.killed)-1)
			}
		}
	})
}

// succeed notes that a delivery is about to be answered 200.
func (b *ledger) succeed(hook string, p parcel) {
	b.change(func() {
		if e := b.events[p.uuid]; e != nil {
			e.fates[hook].success = len(b.killed) - 1
		}
	})
}

// end notes how the gateway's life has ended.
func (b *ledger) end(killed bool) {
	b.change(func() {
		b.killed[len(b.killed)-1] = killed
		b.killed = append(b.killed, false)
	})
}

// owed counts the deliveries of acknowledged events that are still to come.
func (b *ledger) owed(hooks []string) (n int) {
	for _, e := range b.events {
		for _, hook := range hooks {
			if e.acked && b.wants(hook, e) && (e.fates[hook] == nil || e.fates[hook].success < 0) {
				n++
			}
		}
	}
	return n
}

// wait waits until done, which sees the ledger standing still, for as long as
// anything changes, and no longer than a few minutes.
func (b *ledger) wait(what string, done func() bool) {
	b.Helper()
	deadline := time.NewTimer(5 * patience)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		finished, changed, wrong := done(), b.changed, len(b.wrong) > 0
		b.mu.Unlock()
		if wrong {
			b.judge()
			b.FailNow()
		}
		if finished {
			return
		}
		select {
		case <-changed:
		case <-time.After(patience):
			b.Fatalf("nothing happens any more, and still not: %s", what)
		case <-deadline.C:
			b.Fatalf("still not: %s", what)
		}
	}
}

// judge reports everything that was wrong.
func (b *ledger) judge() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, wrong := range b.wrong {
		b.Error(wrong)
	}
}
