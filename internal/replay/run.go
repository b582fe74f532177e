package replay

import (
	"context"
	"errors"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// page is how many events are read, judged and owed at a time.
const page = 250

// ended are the states that a selection of deliveries without states means.
var ended = []hook.State{hook.Delivered, hook.Dead, hook.Cancelled}

// origin is what the deliveries of one store.Replay send again: the zero origin
// when it sends events, not deliveries.
type origin struct{ hook, replay int64 }

// pick is one event that is to be sent, on behalf of a delivery or of none.
type pick struct {
	seq hook.Seq
	origin
}

// run is one ByQuery under way.
type run struct {
	*Replayer
	q     Query
	judge Judge // nil without an expression
	res   Result
	// seen marks the events that are done with, a bit for each slot of a block:
	// about 40 bytes for 64 events, however many a replay covers.
	seen  map[int64]uint64
	parts map[origin]*store.Replay
}

func (r *run) events(ctx context.Context) error {
	q := store.EventQuery{Source: r.q.Source, Type: r.q.Type, Since: r.q.Since, Until: r.q.Until, Limit: page}
	for {
		events, next, more, err := r.Store.Events(ctx, q)
		if err != nil {
			return err
		}
		var picks []pick
		for i := range events {
			seq := events[i].Seq
			wanted, err := r.wants(ctx, seq)
			if err != nil {
				return err
			}
			if wanted {
				picks = append(picks, pick{seq: seq})
			}
		}
		if err := r.owe(ctx, picks); err != nil || !more {
			return err
		}
		q.Before = next
	}
}

func (r *run) deliveries(ctx context.Context) error {
	q := store.DeliveryQuery{
		Hook: r.q.Hook, Source: r.q.Source, Type: r.q.Type, States: r.q.States,
		Since: r.q.Since, Until: r.q.Until, Limit: page,
	}
	if len(q.States) == 0 {
		q.States = ended
	}
	for {
		deliveries, next, err := r.Store.Deliveries(ctx, q, time.Now())
		if err != nil {
			return err
		}
		var picks []pick
		for i := range deliveries {
			d := &deliveries[i]
			wanted, err := r.wants(ctx, d.Seq)
			if err != nil {
				return err
			}
			if wanted {
				picks = append(picks, pick{d.Seq, origin{d.Hook, d.Replay}})
			}
		}
		if err := r.owe(ctx, picks); err != nil || next == nil {
			return err
		}
		q.Before = next
	}
}

// first reports whether an event comes by for the first time. It may come
// again: with several deliveries, or with one that this very run has made.
func (r *run) first(seq hook.Seq) bool {
	bit := uint64(1) << seq.Slot()
	marked := r.seen[seq.Block()]
	r.seen[seq.Block()] = marked | bit
	return marked&bit == 0
}

// wants reports whether an event is to be sent. Lists come without the event's
// JSON, so it is read where someone has to judge it.
func (r *run) wants(ctx context.Context, seq hook.Seq) (bool, error) {
	if !r.first(seq) {
		return false, nil
	}
	if r.judge == nil && !r.q.Filter {
		return true, nil
	}
	e, err := r.Store.Event(ctx, seq)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // retention was faster
	}
	return err == nil && r.selects(&e), err
}

func (r *run) selects(e *hook.Event) bool {
	if r.q.Filter && !r.Match(r.q.To, e) {
		return false
	}
	if r.judge == nil {
		return true
	}
	ok, err := r.judge(e)
	if err != nil {
		if r.res.Unjudged++; r.res.Why == "" {
			r.res.Why = err.Error()
		}
	}
	return ok && err == nil
}

// owe makes the deliveries of one page.
func (r *run) owe(ctx context.Context, picks []pick) error {
	r.res.Selected += len(picks)
	if r.q.DryRun || len(picks) == 0 {
		return nil
	}
	seqs := map[origin][]hook.Seq{}
	for _, p := range picks {
		seqs[p.origin] = append(seqs[p.origin], p.seq)
	}
	defer r.Wake(r.q.To)
	for from, list := range seqs {
		part, err := r.part(ctx, from)
		if err != nil {
			return err
		}
		added, err := r.Store.AddToReplay(ctx, part, list, time.Now())
		r.res.Created += added
		if err != nil {
			return err
		}
	}
	return nil
}

// part returns the store's replay for one origin, as a delivery's origin is
// kept with its replay. All parts share the id that people see.
func (r *run) part(ctx context.Context, from origin) (*store.Replay, error) {
	if part := r.parts[from]; part != nil {
		return part, nil
	}
	if r.res.ID == "" {
		r.res.ID = newID()
	}
	part := &store.Replay{
		ID: r.res.ID, Hook: r.q.To, Created: time.Now(),
		OriginHook: from.hook, OriginReplay: from.replay,
	}
	if err := r.Store.CreateReplay(ctx, part); err != nil {
		return nil, err
	}
	r.parts[from] = part
	return part, nil
}
