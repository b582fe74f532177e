package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/traffic"
)

const (
	// needles is how many of the stored events are of a source, a hook and a type
	// of their own, and are dead letters: whoever asks for them wants what is rare,
	// however much else there is.
	needles = 60
	// fillGroup is how many events one commit takes in, whole blocks.
	fillGroup = 8 * hook.BlockSlots
	// fillPeople is the size of the org that the events tell of.
	fillPeople = 5000
)

// lot is one kind of event that a store is filled with: those of one source,
// all owed to one hook, and what became of that.
type lot struct {
	source int64
	hook   int64
	state  hook.State
}

// filling is what a store is filled with: events received at even distances
// from one time on.
type filling struct {
	events int
	from   time.Time
	step   time.Duration
	// group is how many events one commit takes in; 0 for fillGroup.
	group int
	// undated has the events received as they are stored, whatever they say of
	// when they were published: for a store that goes by its own clock.
	undated bool
	// common is what the events are, but for needles of them that are rare; those
	// are left out if rare has no hook.
	common, rare lot
	// done is told how many events are stored; it may be nil.
	done func(events int)
}

// filled is what a filling came to.
type filled struct {
	bytes int64    // of the events' JSON
	uuids []string // of some events, all over the time
}

// samples is how many uuids a filling remembers.
const samples = 200

// fill stores events as the gateway would have, hours of intake in minutes:
// through the store's own contract, in large groups, nothing routed and nothing
// sent.
func fill(ctx context.Context, s store.Store, f filling) (filled, error) {
	_, revision, err := s.EventHooks(ctx)
	if err != nil {
		return filled{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out filled
	stored := 0
	for g := range f.groups(ctx, revision) {
		if f.undated {
			g.Received = time.Now()
		}
		if err := keep(ctx, s, g, f.states()); err != nil {
			return filled{}, err
		}
		for _, e := range g.Events {
			out.bytes += int64(len(e.JSON))
			if stored%max(1, f.events/samples) == 0 {
				out.uuids = append(out.uuids, e.UUID)
			}
			stored++
		}
		if f.done != nil {
			f.done(stored)
		}
	}
	return out, ctx.Err()
}

func (f *filling) states() map[int64]hook.State {
	return map[int64]hook.State{f.common.hook: f.common.state, f.rare.hook: f.rare.state}
}

// groups makes the commit groups in a goroutine of its own, until ctx ends.
func (f *filling) groups(ctx context.Context, revision int64) <-chan *store.Group {
	groups := make(chan *store.Group, 4)
	go func() {
		defer close(groups)
		at := f.from
		generator := traffic.New(traffic.Options{Seed: rand.Uint64(), People: fillPeople, Now: func() time.Time { return at }})
		size := f.group
		if size == 0 {
			size = fillGroup
		}
		for made := 0; made < f.events; {
			g := &store.Group{Revision: revision, LeaseFor: time.Hour, Lease: func(int64, *store.Event) bool { return true }}
			for len(g.Events) < size && made < f.events {
				at = at.Add(f.step)
				g.Events = append(g.Events, f.event(generator.Next(), made))
				made++
			}
			g.Received = at
			select {
			case groups <- g:
			case <-ctx.Done():
				return
			}
		}
	}()
	return groups
}

// event makes the event with a number of what the org tells.
func (f *filling) event(e traffic.Event, number int) *store.Event {
	of := f.common
	if every := max(1, f.events/needles); f.rare.hook != 0 && number%every == every/2 {
		of = f.rare
		e.JSON = bytes.Replace(e.JSON, []byte(`"`+e.EventType+`"`), []byte(`"`+unmatched+`"`), 1)
		e.EventType = unmatched
	}
	return &store.Event{
		Event: hook.Event{Source: of.source, UUID: e.UUID, Type: e.EventType, Published: e.Published, JSON: e.JSON},
		Hooks: []int64{of.hook},
	}
}

// keep commits a group, and settles all its deliveries after one attempt.
func keep(ctx context.Context, s store.Store, g *store.Group, states map[int64]hook.State) error {
	claims, err := s.Commit(ctx, g)
	if err != nil {
		return err
	}
	outcomes := make([]store.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = outcome(c, states[c.Hook], g.Received)
	}
	lost, err := s.Settle(ctx, outcomes)
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("the store lost the leases of %d of %d deliveries just made", len(lost), len(claims))
	}
	return err
}

// outcome is how the first attempt of a delivery went.
func outcome(c store.Claim, state hook.State, received time.Time) store.Outcome {
	o := store.Outcome{Key: c.Key, Epoch: c.Epoch, State: state, Attempt: &hook.Attempt{
		At:       received.Add(time.Duration(2+rand.IntN(20)) * time.Millisecond),
		Duration: time.Duration(5+rand.IntN(100)) * time.Millisecond,
	}}
	switch state {
	case hook.Waiting: // for a destination that is down
		o.Reason, o.Attempt.Reason, o.Due = hook.ReasonConnection, hook.ReasonConnection, received.Add(5*time.Second)
		o.Response = &hook.Response{Error: "dial tcp 192.0.2.1:443: connect: connection refused"}
	case hook.Dead:
		o.Reason, o.Attempt.Reason, o.Attempt.Status = hook.ReasonNotRetryable, hook.ReasonStatus, 400
		o.Response = &hook.Response{Status: 400, Headers: []hook.Header{{Key: "Content-Type", Value: "text/plain"}}, Body: []byte("unknown event type")}
	default:
		o.Attempt.Status = 200
	}
	return o
}
