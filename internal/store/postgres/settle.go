package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5/pgxpool"
)

// givenBack stands for a state where a claim is given back as it was.
const givenBack = 255

// Settle keeps outcomes; see store.Outbox.
func (s *Store) Settle(ctx context.Context, outcomes []store.Outcome) (lost []hook.Key, err error) {
	w := settlement{outcomes: outcomes}
	if err := w.gather(); err != nil {
		return nil, err
	}
	err = s.patient(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		err := w.keep(ctx, conn)
		if code(err) != partlySettled {
			return err
		}
		// Some of what a lease held is settled already, as happens when a call is
		// made again that was kept although it seemed to fail.
		w.apart = true
		if err := w.gather(); err != nil {
			return err
		}
		return w.keep(ctx, conn)
	})
	if err != nil {
		return nil, err
	}
	for i := range outcomes {
		if !w.kept(i) {
			lost = append(lost, outcomes[i].Key)
		}
	}
	return lost, nil
}

// settlement makes of outcomes what the function settle takes.
type settlement struct {
	outcomes []store.Outcome
	apart    bool // every outcome by itself, for those that share a lease

	held
	outs                      [][]byte
	back                      []int64
	delivered, dead, attempts []int32
	tally                     tally // if all are kept
	own                       ownRows
	place                     []int // of each outcome: of its lease among held, or past them in own; or none
	groupsKept, ownKept       map[int]bool
}

// ownRows are outcomes that need a row of their own, a slice for each column.
type ownRows struct {
	groups                []int32
	seqs, hooks, replays  []int64
	leases                []int64
	states                []int16
	reasons               []string
	dues, firsts, heldFor []int64
	logs, responses       [][]byte
}

// none is the place of an outcome that cannot be kept.
const none = -1

func (w *settlement) gather() error {
	*w = settlement{outcomes: w.outcomes, apart: w.apart, place: make([]int, len(w.outcomes))}
	type once struct {
		hook.Key
		epoch int64
	}
	seen := make(map[once]bool, len(w.outcomes))
	for _, i := range inOrder(len(w.outcomes), func(i int) hook.Key { return w.outcomes[i].Key }) {
		o := &w.outcomes[i]
		lease, own := leaseOf(o.Key, o.Epoch)
		if lease == 0 || seen[once{o.Key, o.Epoch}] {
			w.place[i] = none
			continue
		}
		seen[once{o.Key, o.Epoch}] = true
		w.count(o)
		if own {
			w.place[i] = len(w.own.seqs)
			if err := w.ownRow(o, 0, lease); err != nil {
				return err
			}
			continue
		}
		at := w.slotOf(o, lease)
		w.place[i] = at
		if err := w.slot(o, at); err != nil {
			return err
		}
	}
	return nil
}

// inOrder returns the places of n things in the order in which rows are locked,
// so that two calls never wait for each other. Those of one delivery stay in
// their order.
func inOrder(n int, key func(i int) hook.Key) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := key(i), key(j)
		return cmp.Or(cmp.Compare(a.Seq.Block(), b.Seq.Block()), cmp.Compare(a.Hook, b.Hook),
			cmp.Compare(a.Replay, b.Replay), cmp.Compare(a.Seq, b.Seq))
	})
	return order
}

// count adds what an outcome changes of its hook's counters.
func (w *settlement) count(o *store.Outcome) {
	var c hook.HookCount
	switch o.State {
	case hook.Delivered:
		c.Delivered = 1
	case hook.Dead:
		c.Dead = 1
	}
	if o.Attempt != nil {
		c.Attempts = 1
	}
	if c != (hook.HookCount{}) {
		w.tally.hook(o.Hook, c)
	}
}

// slotOf returns the place of the lease of an outcome.
func (w *settlement) slotOf(o *store.Outcome, lease int64) int {
	if w.apart {
		w.index = nil // so that it is a new place
	}
	at := w.group(o.Key, lease)
	if at == len(w.outs) {
		w.outs, w.back = append(w.outs, []byte{}), append(w.back, 0)
		w.delivered, w.dead, w.attempts = append(w.delivered, 0), append(w.dead, 0), append(w.attempts, 0)
	}
	return at
}

// slot adds the outcome of one slot to its lease.
func (w *settlement) slot(o *store.Outcome, at int) error {
	bit := int64(1) << o.Seq.Slot()
	if isGivenBack(o) {
		w.back[at] |= bit
		return nil
	}
	w.masks[at] |= bit
	switch o.State {
	case hook.Delivered:
		w.delivered[at]++
	case hook.Dead:
		w.dead[at]++
	}
	if o.Attempt != nil {
		w.attempts[at]++
		if o.State == hook.Delivered {
			w.outs[at] = pack.AppendOutcome(w.outs[at], dayOf(o.Seq.Block()), o.Seq.Slot(), *o.Attempt)
			return nil
		}
	}
	return w.ownRow(o, at+1, 0)
}

// ownRow adds an outcome that needs a row of its own.
func (w *settlement) ownRow(o *store.Outcome, group int, lease int64) error {
	response, err := pack.EncodeResponse(o.Response, o.State)
	if err != nil {
		return err
	}
	state := int16(o.State)
	if isGivenBack(o) {
		state = givenBack
	}
	var log []byte
	var first time.Time
	var held int64
	if o.Attempt != nil {
		log, first, held = pack.AppendAttempt(nil, *o.Attempt), o.Attempt.At, o.HeldAtFirst.Microseconds()
	}
	r := &w.own
	r.groups = append(r.groups, int32(group))
	r.seqs, r.hooks, r.replays = append(r.seqs, int64(o.Seq)), append(r.hooks, o.Hook), append(r.replays, o.Replay)
	r.leases, r.states, r.reasons = append(r.leases, lease), append(r.states, state), append(r.reasons, string(o.Reason))
	r.dues, r.firsts, r.heldFor = append(r.dues, micros(o.Due)), append(r.firsts, micros(first)), append(r.heldFor, held)
	r.logs, r.responses = append(r.logs, log), append(r.responses, response)
	return nil
}

func isGivenBack(o *store.Outcome) bool {
	return o.State == hook.Waiting && o.Attempt == nil && o.Due.IsZero()
}

// keep calls the database.
func (w *settlement) keep(ctx context.Context, conn *pgxpool.Conn) error {
	var groups, own []int64
	kinds, numbers, values := w.tally.rows()
	err := conn.QueryRow(ctx, `SELECT * FROM settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
		$11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)`,
		w.blocks, w.hooks, w.replays, w.leases, w.masks, w.outs, w.back, w.delivered, w.dead, w.attempts,
		w.own.groups, w.own.seqs, w.own.hooks, w.own.replays, w.own.leases, w.own.states,
		w.own.reasons, w.own.dues, w.own.firsts, w.own.heldFor, w.own.logs, w.own.responses,
		kinds, numbers, values,
	).Scan(&groups, &own)
	if err != nil {
		return err
	}
	w.groupsKept, w.ownKept = make(map[int]bool, len(groups)), make(map[int]bool, len(own))
	for _, at := range groups {
		w.groupsKept[int(at)-1] = true
	}
	for _, at := range own {
		w.ownKept[int(at)-1] = true
	}
	return nil
}

// kept reports whether an outcome's lease was held.
func (w *settlement) kept(i int) bool {
	if w.place[i] == none {
		return false
	}
	if _, own := leaseOf(w.outcomes[i].Key, w.outcomes[i].Epoch); own {
		return w.ownKept[w.place[i]]
	}
	return w.groupsKept[w.place[i]]
}
