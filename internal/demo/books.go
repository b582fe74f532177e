package demo

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// books are what everyone says of the same events: the org of what it sent, the
// gateway by its counters and by its lists, the destinations of what they got.
type books struct {
	org    orgBook
	source sourceCounters
	// listed are the events that the gateway lists, with the number of times.
	listed map[uuid.UUID]int
	hooks  []hookBooks
}

type hookBooks struct {
	name        string
	wants       func(sentEvent) bool
	changed     bool // someone changed the hook while the demo ran
	counters    hookCounters
	listed      ledger
	destination destinationBook
}

// ledger is what the gateway lists of one hook's deliveries, counted one by one.
type ledger struct {
	waiting, delivered, dead, cancelled int
	replays                             int // of all these, to send an event again
	events                              map[uuid.UUID]owed
}

// owed is what became of one event's deliveries to one hook.
type owed struct {
	first     int // deliveries that are no replay
	delivered int
	unsettled int // waiting, sending, or dead
}

// read reads everyone's books.
func (d *Demo) read(ctx context.Context) (*books, error) {
	changed, err := d.standStill(ctx)
	if err != nil {
		return nil, err
	}
	before, err := d.gateway.stats(ctx)
	// What was under way when the hooks were deactivated may still come to an end.
	for range 20 {
		if err != nil {
			return nil, err
		}
		b, err := d.readGateway(ctx, &before)
		if err != nil {
			return nil, err
		}
		after, err := d.gateway.stats(ctx)
		if err != nil {
			return nil, err
		}
		if d.same(&before, &after) {
			for i, h := range d.hooks {
				b.hooks[i].changed = changed[h]
				b.hooks[i].destination = h.destination.read()
			}
			return b, nil
		}
		before = after
		if err := sleep(ctx, poll); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the gateway's counters do not stand still although its hooks are inactive; nothing can be added up")
}

// standStill deactivates the hooks, so that nothing moves while it is counted:
// deliveries wait meanwhile. It returns the hooks that someone has changed.
func (d *Demo) standStill(ctx context.Context) (changed map[*eventHook]bool, err error) {
	var now []okta.EventHook
	if err := d.gateway.call(ctx, http.MethodGet, "/api/v1/eventHooks", nil, &now); err != nil {
		return nil, err
	}
	updated := make(map[string]time.Time)
	for _, h := range now {
		updated[h.ID] = h.LastUpdated
	}
	changed = make(map[*eventHook]bool)
	for _, h := range d.hooks {
		at, exists := updated[h.id]
		changed[h] = !at.Equal(h.updated)
		if exists {
			if err := d.gateway.call(ctx, http.MethodPost, hookPath(h.id)+"/lifecycle/deactivate", nil, nil); err != nil {
				return nil, err
			}
		}
	}
	return changed, nil
}

// same reports whether no event and no delivery has changed its column.
func (d *Demo) same(x, y *stats) bool {
	for _, h := range d.hooks {
		a, b := x.hook(h.id), y.hook(h.id)
		a.Attempts, b.Attempts = 0, 0
		if a != b {
			return false
		}
	}
	return x.source() == y.source()
}

// readGateway reads the gateway's lists, beside the counters that s has.
func (d *Demo) readGateway(ctx context.Context, s *stats) (*books, error) {
	b := &books{org: d.org.read(), source: s.source(), listed: make(map[uuid.UUID]int)}
	type event struct{ UUID string }
	err := list(ctx, d.gateway, "/v1/events", url.Values{"source": {sourceName}}, func(e event) {
		b.listed[parse(e.UUID)]++
	})
	if err != nil {
		return nil, err
	}
	for _, h := range d.hooks {
		of := hookBooks{name: h.name, wants: h.wants, counters: s.hook(h.id), listed: ledger{events: make(map[uuid.UUID]owed)}}
		err := list(ctx, d.gateway, "/v1/deliveries", url.Values{"hook": {h.id}, "source": {sourceName}}, of.listed.enter)
		if err != nil {
			return nil, err
		}
		b.hooks = append(b.hooks, of)
	}
	return b, nil
}

// listedDelivery is what the demo reads of an item of GET /v1/deliveries.
type listedDelivery struct{ Event, State, ReplayOf string }

func (l *ledger) enter(d listedDelivery) {
	id := parse(d.Event)
	o := l.events[id]
	if d.ReplayOf == "" {
		o.first++
	} else {
		l.replays++
	}
	switch d.State {
	case "delivered":
		l.delivered++
		o.delivered++
	case "dead":
		l.dead++
		o.unsettled++
	case "cancelled":
		l.cancelled++
		o.unsettled++
	default:
		l.waiting++
		o.unsettled++
	}
	l.events[id] = o
}

// parse gives everything that is no UUID the same one, which the org never sent.
func parse(text string) uuid.UUID {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil
	}
	return id
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
