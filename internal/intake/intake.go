// Package intake is the one way in: whatever hands events over, they are routed
// and committed here, in groups, and acknowledged only once they are on disk.
//
// Calls that arrive together share one commit. If it fails, no call in it is
// acknowledged and nothing of it stays, neither on disk nor here.
package intake

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/route"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Bounds of one commit group, and of what waits for one.
const (
	maxGroupEvents = 1024
	maxGroupBytes  = 4 << 20
	maxQueue       = 4096 // calls
)

// ErrBusy says that too many calls wait already.
var ErrBusy = errors.New("too many deliveries wait to be stored")

// Store is what intake needs of a store.
type Store interface {
	store.Intake
	EventHooks(ctx context.Context) ([]hook.EventHook, int64, error)
	Sources(ctx context.Context) ([]hook.Source, error)
}

// Dispatcher takes new deliveries in memory when it has room. What it does not
// take it finds in the store.
type Dispatcher interface {
	// Reserve keeps room for a delivery of so many bytes to a hook.
	Reserve(hook int64, size int) bool
	// Release gives back room that was reserved for nothing.
	Release(hook int64, size int)
	// Take takes deliveries for which room was reserved.
	Take(claims []store.Claim)
	// Wake says that there are new deliveries for a hook in the store.
	Wake(hook int64)
	// Lease is how long what Take takes is to be leased.
	Lease() time.Duration
}

// Intake takes events in. Make one with New and Run it.
type Intake struct {
	store      Store
	dispatcher Dispatcher
	log        *slog.Logger
	table      atomic.Pointer[route.Table]
	// A call is inside the gate from routing to acknowledgement, so that a
	// change of the hooks can wait until no event that was routed before it is
	// still to be acknowledged.
	gate  *gate
	queue chan *call
	done  chan struct{}
}

// Batch is what one caller hands over.
type Batch struct {
	Events   []*store.Event
	Rejected []*store.Rejected
	// Count is added to a source's counters.
	Source int64
	Count  hook.SourceCount
}

type call struct {
	batch    Batch
	revision int64
	done     chan error
}

// New makes an Intake that routes with the hooks there are now.
func New(ctx context.Context, s Store, d Dispatcher, log *slog.Logger) (*Intake, error) {
	i := &Intake{store: s, dispatcher: d, log: log, gate: newGate(), queue: make(chan *call, maxQueue), done: make(chan struct{})}
	return i, i.load(ctx)
}

// load reads the hooks and routes with them from now on.
func (i *Intake) load(ctx context.Context) error {
	hooks, revision, err := i.store.EventHooks(ctx)
	if err != nil {
		return err
	}
	sources, err := i.store.Sources(ctx)
	if err != nil {
		return err
	}
	numbers := make(map[string]int64, len(sources))
	for _, s := range sources {
		numbers[s.Name] = s.Number
	}
	i.table.Store(route.New(hooks, numbers, revision))
	return nil
}

// Reload routes with the hooks there are now. When it returns, every event that
// is acknowledged from then on was routed with them.
func (i *Intake) Reload(ctx context.Context) error {
	if err := i.load(ctx); err != nil {
		return err
	}
	i.gate.pass()
	return nil
}

// Table is what events are routed with now.
func (i *Intake) Table() *route.Table { return i.table.Load() }

// Accept commits a batch and then calls acknowledge, once it is on disk. With
// an error nothing of the batch was kept, acknowledge was not called, and the
// sender should try again.
func (i *Intake) Accept(batch Batch, acknowledge func()) error {
	defer i.gate.leave(i.gate.enter())
	c := &call{batch: batch, done: make(chan error, 1)}
	c.route(i.table.Load())
	select {
	case i.queue <- c:
	default:
		return ErrBusy
	}
	select {
	case err := <-c.done:
		if err != nil {
			return err
		}
	case <-i.done:
		// The last group may have held this call.
		select {
		case err := <-c.done:
			if err != nil {
				return err
			}
		default:
			return errors.New("the gateway is stopping")
		}
	}
	acknowledge()
	return nil
}

func (c *call) route(t *route.Table) {
	c.revision = t.Revision
	for _, e := range c.batch.Events {
		var failures []route.Failure
		e.Hooks, failures = t.Match(&e.Event)
		e.FilterErrors = nil
		for _, f := range failures {
			e.FilterErrors = append(e.FilterErrors, store.FilterError{Hook: f.Hook, Detail: f.Detail})
		}
	}
}

func (c *call) size() (events, bytes int) {
	for _, e := range c.batch.Events {
		bytes += len(e.JSON)
	}
	for _, r := range c.batch.Rejected {
		bytes += len(r.Raw)
	}
	return len(c.batch.Events) + len(c.batch.Rejected), bytes
}

// Run commits groups until ctx ends, and then what waits already.
func (i *Intake) Run(ctx context.Context) {
	defer close(i.done)
	var carry *call
	for {
		first := carry
		if first == nil {
			if first = i.next(ctx); first == nil {
				return
			}
		}
		group := collector{}
		group.add(first)
		carry = group.fill(i.queue)
		i.commit(group.calls)
	}
}

// next waits for a call. Once ctx has ended it returns those that wait already,
// and then nil.
func (i *Intake) next(ctx context.Context) *call {
	select {
	case c := <-i.queue:
		return c
	case <-ctx.Done():
	}
	select {
	case c := <-i.queue:
		return c
	default:
		return nil
	}
}

// collector gathers the calls of one group.
type collector struct {
	calls         []*call
	events, bytes int
}

func (g *collector) add(c *call) {
	events, bytes := c.size()
	g.calls = append(g.calls, c)
	g.events += events
	g.bytes += bytes
}

// fill takes in what waits, and what is about to come: before a group closes,
// whoever is being received already has a turn to join it. That costs no time in
// which nothing happens, and while a group is committed the next one grows by
// itself. It returns a call that had no room.
func (g *collector) fill(queue <-chan *call) (carry *call) {
	for before := 0; len(g.calls) > before; runtime.Gosched() {
		before = len(g.calls)
		if carry, full := g.take(queue); full {
			return carry
		}
	}
	carry, _ = g.take(queue)
	return carry
}

// take takes in what waits. full: nothing more has room, not even carry.
func (g *collector) take(queue <-chan *call) (carry *call, full bool) {
	for g.events < maxGroupEvents && g.bytes < maxGroupBytes {
		select {
		case c := <-queue:
			events, bytes := c.size()
			if g.events+events > maxGroupEvents || g.bytes+bytes > maxGroupBytes {
				return c, true
			}
			g.add(c)
		default:
			return nil, false
		}
	}
	return nil, true
}

// commit commits calls as one group and tells their callers.
func (i *Intake) commit(calls []*call) {
	err := i.try(calls)
	for n := 0; errors.Is(err, store.ErrRevision) && n < 10; n++ {
		if err = i.load(context.Background()); err == nil {
			err = i.try(calls)
		}
	}
	if err != nil {
		i.log.Error("events could not be stored; nothing was acknowledged", "calls", len(calls), "error", err)
	}
	for _, c := range calls {
		c.done <- err
	}
}

// try commits calls with the hooks there are now.
func (i *Intake) try(calls []*call) error {
	table := i.table.Load()
	counts := make(map[int64]hook.SourceCount)
	group := &store.Group{Received: time.Now(), Revision: table.Revision, LeaseFor: i.dispatcher.Lease(), Counts: counts}
	var promises []promise
	var wake map[int64]bool
	group.Lease = func(number int64, e *store.Event) bool {
		if i.dispatcher.Reserve(number, len(e.JSON)) {
			promises = append(promises, promise{number, &e.Event})
			return true
		}
		if wake == nil {
			wake = make(map[int64]bool)
		}
		wake[number] = true
		return false
	}
	for _, c := range calls {
		if c.revision != table.Revision {
			c.route(table)
		}
		group.Events = append(group.Events, c.batch.Events...)
		group.Rejected = append(group.Rejected, c.batch.Rejected...)
		if c.batch.Count != (hook.SourceCount{}) {
			count := counts[c.batch.Source]
			count.Add(c.batch.Count)
			counts[c.batch.Source] = count
		}
	}
	claims, err := i.store.Commit(context.Background(), group)
	if err != nil {
		i.takeBack(promises, nil)
		return err
	}
	i.takeBack(promises, claims)
	detach(claims, calls)
	i.dispatcher.Take(claims)
	for number := range wake {
		i.dispatcher.Wake(number)
	}
	return nil
}

// promise is room that the dispatcher keeps for a delivery.
type promise struct {
	hook  int64
	event *hook.Event
}

// takeBack gives back the room for what was promised and is not claimed.
// claims are in the order of the promises.
func (i *Intake) takeBack(promises []promise, claims []store.Claim) {
	for _, p := range promises {
		if len(claims) > 0 && claims[0].Hook == p.hook && claims[0].Event == p.event {
			claims = claims[1:]
			continue
		}
		i.dispatcher.Release(p.hook, len(p.event.JSON))
	}
}

// detach gives the events that are delivered from memory a copy of their own.
// What came together lies in one body: the one event of it that a slow hook
// wants must not keep all the others in memory. claims are in the order of the
// calls' events.
func detach(claims []store.Claim, calls []*call) {
	for _, c := range calls {
		for _, e := range c.batch.Events {
			var own *hook.Event
			for ; len(claims) > 0 && claims[0].Event == &e.Event; claims = claims[1:] {
				if len(c.batch.Events)+len(c.batch.Rejected) == 1 {
					continue
				}
				if own == nil {
					own = new(e.Event)
					own.JSON = bytes.Clone(e.JSON)
				}
				claims[0].Event = own
			}
		}
	}
}
