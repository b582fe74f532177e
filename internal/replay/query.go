package replay

import (
	"context"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// What a Query selects from.
const (
	FromEvents     = "events"
	FromDeliveries = "deliveries"
)

// Query says what to send again, and to whom.
type Query struct {
	From string // FromEvents or FromDeliveries
	// Hook and States select deliveries. Without States those that have ended
	// are meant: what still waits is sent anyway.
	Hook         int64 // 0 for all
	States       []hook.State
	Source       int64     // 0 for all
	Type         string    // "" for all
	Since, Until time.Time // of the event's receipt, or the delivery's creation: Since ≤ t < Until; zero for open
	Expression   string    // in Okta Expression Language over the event; "" for all
	// To is the number of the hook that gets the events. 0 stands for Hook.
	To int64
	// Filter lets only those events through that the hook To subscribes to.
	Filter bool
	// DryRun counts and changes nothing.
	DryRun bool
}

// Result tells what a replay did.
type Result struct {
	ID       string // "" when nothing was made
	Hook     int64
	Selected int // events that the query selects for the hook, each counted once
	Created  int // new deliveries; 0 in a dry run
	// Unjudged are events that the expression could not judge, which counts as
	// no match. Why is the first such error.
	Unjudged int
	Why      string
}

// ByQuery owes to one hook every event that a query selects, each once, newest
// first. It reads and writes in pages: an error, or the end of ctx, leaves what
// was made so far, which Result counts.
func (r *Replayer) ByQuery(ctx context.Context, q Query) (Result, error) {
	if q.To == 0 {
		q.To = q.Hook
	}
	if err := q.check(); err != nil {
		return Result{}, err
	}
	run := &run{Replayer: r, q: q, res: Result{Hook: q.To}, seen: map[int64]uint64{}, parts: map[origin]*store.Replay{}}
	if q.Expression != "" {
		judge, err := r.Compile(q.Expression)
		if err != nil {
			return Result{}, &Invalid{"select.expression", err.Error()}
		}
		run.judge = judge
	}
	if err := r.target(ctx, q.To); err != nil {
		return Result{}, err
	}
	read := run.events
	if q.From == FromDeliveries {
		read = run.deliveries
	}
	err := read(ctx)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // a store that was interrupted has words of its own for it
	}
	return run.res, err
}

func (q *Query) check() error {
	switch {
	case q.From != FromEvents && q.From != FromDeliveries:
		return &Invalid{"select.from", `must be "events" or "deliveries"`}
	case q.From == FromEvents && len(q.States) > 0:
		return &Invalid{"select.state", `events have no state; select from "deliveries"`}
	case q.From == FromEvents && q.Hook != 0 && q.Hook != q.To:
		return &Invalid{"select.hook", `events belong to no event hook; select from "deliveries", or leave it out`}
	case q.To == 0:
		return &Invalid{"to", "name the event hook that is to get the events"}
	case !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until):
		return &Invalid{"select.until", "must be later than select.since"}
	}
	return nil
}
