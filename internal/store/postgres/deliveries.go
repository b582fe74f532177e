package postgres

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// viewer reads deliveries in one snapshot, so that none is shown in two states
// at once.
type viewer struct {
	ctx     context.Context
	tx      pgx.Tx
	now     int64 // by the database's clock
	alone   bool  // one delivery is read, with its attempts
	deleted map[int64]bool
	replays map[int64]*hook.Key // what a replay's deliveries send again, less the Seq

	// What was read ahead, for the rows of one page: blocks, and of some of them,
	// down to ownFrom, the deliveries that have rows of their own.
	blocks  map[int64][]hook.Event
	own     map[hook.Key]hook.Delivery
	ownFrom int64

	digested int64 // blocks before it have digests
}

func (s *Store) view(ctx context.Context, do func(*viewer) error) error {
	return s.snapshot(ctx, func(tx pgx.Tx) error {
		v := &viewer{
			ctx: ctx, tx: tx, deleted: make(map[int64]bool),
			replays: make(map[int64]*hook.Key), ownFrom: math.MaxInt64,
		}
		rows, err := tx.Query(ctx, "SELECT clock(), ("+digestedQuery+"), h.number FROM (VALUES (true)) one LEFT JOIN hooks h ON h.deleted")
		if err != nil {
			return err
		}
		var number *int64
		_, err = pgx.ForEachRow(rows, []any{&v.now, &v.digested, &number}, func() error {
			if number != nil {
				v.deleted[*number] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
		return do(v)
	})
}

// Deliveries lists deliveries; see store.Reader. The order is that of
// (event, hook, replay), all descending.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery, _ time.Time) (found []hook.Delivery, next *hook.Key, err error) {
	err = s.view(ctx, func(v *viewer) error {
		if slices.Equal(q.States, []hook.State{hook.Dead}) {
			found, next, err = v.listDead(q)
		} else {
			found, next, err = v.list(q)
		}
		return err
	})
	return found, next, err
}

// list walks everything that was ever owed, a block at a time: its newest event
// comes first, whichever hooks it is owed to.
func (v *viewer) list(q store.DeliveryQuery) (found []hook.Delivery, next *hook.Key, err error) {
	first, last := int64(math.MaxInt64), int64(0)
	if q.Before != nil {
		first = q.Before.Seq.Block()
	}
	if q.Event != 0 {
		first, last = min(first, q.Event.Block()), q.Event.Block()
	}
	if len(q.States) > 0 && !slices.ContainsFunc(q.States, func(s hook.State) bool { return s != hook.Waiting && s != hook.Sending }) {
		oldest, newest, err := v.unsettled()
		if err != nil {
			return nil, nil, err
		}
		first, last = min(first, newest), max(last, oldest)
	}
	scanned := 0
	stopped, err := v.rowsOf(first, last, q, func(rows []owedSlots) (bool, error) {
		next = nil
		if scanned > maxScan {
			next = &hook.Key{Seq: hook.MakeSeq(rows[0].block+1, 0)}
			return false, nil
		}
		for i := range rows {
			scanned += bits.OnesCount64(rows[i].matched)
		}
		list, err := v.ofBlock(rows, q)
		if err != nil {
			return false, err
		}
		for _, d := range list {
			if found = append(found, d); len(found) == q.Limit {
				next = &d.Key
				return false, nil
			}
		}
		return true, nil
	})
	if stopped != 0 {
		next = &hook.Key{Seq: hook.MakeSeq(stopped, 0)}
	}
	return found, next, err
}

// unsettled returns between which blocks all are that may have deliveries that
// wait or are being sent.
func (v *viewer) unsettled() (oldest, newest int64, err error) {
	err = v.tx.QueryRow(v.ctx, `SELECT
		coalesce(least((SELECT min(block) FROM work), (SELECT min(seq) >> 6 FROM retries)), 1),
		coalesce(greatest((SELECT max(block) FROM work), (SELECT max(seq) >> 6 FROM retries)), 0)`).Scan(&oldest, &newest)
	return oldest, newest, err
}

// ofBlock returns the deliveries of one block's rows that are wanted and not
// listed yet, in their order, without attempts.
func (v *viewer) ofBlock(rows []owedSlots, q store.DeliveryQuery) (list []hook.Delivery, err error) {
	for i := range rows {
		if rows[i].created.Before(q.Since) {
			continue
		}
		of, err := v.ofRow(&rows[i], q)
		if err != nil {
			return nil, err
		}
		for _, d := range of {
			if q.Before == nil || compareKeys(d.Key, *q.Before) < 0 {
				d.Attempts, d.Response = nil, nil
				list = append(list, d)
			}
		}
	}
	slices.SortFunc(list, func(a, b hook.Delivery) int { return compareKeys(b.Key, a.Key) })
	return list, nil
}

// ofRow returns the wanted deliveries of what a block owes to a hook.
func (v *viewer) ofRow(row *owedSlots, q store.DeliveryQuery) ([]hook.Delivery, error) {
	events := v.blocks[row.block]
	delivered := pack.Outcomes(row.outcomes, dayOf(row.block))
	var list []hook.Delivery
	for slot := min(hook.BlockSlots, len(events)) - 1; slot >= 0; slot-- {
		bit := uint64(1) << slot
		if row.matched&bit == 0 {
			continue
		}
		d := hook.Delivery{
			Key:     hook.Key{Hook: row.hook, Seq: hook.MakeSeq(row.block, slot), Replay: row.replay},
			Created: row.created, Due: row.created,
		}
		if a, ok := delivered[slot]; ok {
			d.State, d.AttemptCount, d.Attempts = hook.Delivered, 1, []hook.Attempt{a}
		} else if row.sending&bit != 0 {
			d.State = hook.Sending
		} else if row.open&bit == 0 {
			if row.block < v.ownFrom {
				if err := v.readOwn(row.block); err != nil {
					return nil, err
				}
			}
			if found, ok := v.own[d.Key]; ok {
				d = found
			} else if !v.deleted[row.hook] { // or it was cancelled
				return nil, pack.ErrCorrupt
			}
		}
		if err := v.finish(&d, &events[slot]); err != nil {
			return nil, err
		}
		if wants(&d, q) {
			list = append(list, d)
		}
	}
	return list, nil
}

// finish adds what only the snapshot's surroundings tell.
func (v *viewer) finish(d *hook.Delivery, e *hook.Event) error {
	d.UUID, d.Type, d.Source = e.UUID, e.Type, e.Source
	if d.State == hook.Waiting && v.deleted[d.Hook] {
		d.State, d.Reason = hook.Cancelled, hook.ReasonHookDeleted
	}
	if d.State != hook.Waiting {
		d.Due = time.Time{}
	}
	if d.Replay == 0 {
		return nil
	}
	origin, known := v.replays[d.Replay]
	if !known {
		var err error
		if origin, err = v.origin(d.Replay); err != nil {
			return err
		}
		v.replays[d.Replay] = origin
	}
	if origin != nil {
		d.ReplayOf = &hook.Key{Hook: origin.Hook, Seq: d.Seq, Replay: origin.Replay}
	}
	return nil
}

func (v *viewer) origin(replay int64) (origin *hook.Key, err error) {
	rows, err := v.tx.Query(v.ctx, "SELECT origin_hook, origin_replay FROM replays WHERE number = $1 AND origin_hook != 0", replay)
	if err != nil {
		return nil, err
	}
	var key hook.Key
	_, err = pgx.ForEachRow(rows, []any{&key.Hook, &key.Replay}, func() error { origin = &key; return nil })
	return origin, err
}

func wants(d *hook.Delivery, q store.DeliveryQuery) bool {
	return (q.Hook == 0 || d.Hook == q.Hook) &&
		(q.Event == 0 || d.Seq == q.Event) &&
		(q.Source == 0 || d.Source == q.Source) &&
		(q.Type == "" || d.Type == q.Type) &&
		(len(q.States) == 0 || slices.Contains(q.States, d.State)) &&
		during(d.Created, q.Since, q.Until)
}

func compareKeys(a, b hook.Key) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.Replay, b.Replay))
}

// Delivery returns one delivery; see store.Reader.
func (s *Store) Delivery(ctx context.Context, key hook.Key, _ time.Time) (d hook.Delivery, err error) {
	err = s.view(ctx, func(v *viewer) error {
		v.alone = true
		found := false
		block := key.Seq.Block()
		_, err := v.rowsOf(block, block, store.DeliveryQuery{Hook: key.Hook}, func(rows []owedSlots) (bool, error) {
			for i := range rows {
				row := &rows[i]
				if row.replay != key.Replay || row.matched&(1<<key.Seq.Slot()) == 0 {
					continue
				}
				list, err := v.ofRow(row, store.DeliveryQuery{Event: key.Seq})
				if err != nil {
					return false, err
				}
				if len(list) != 1 {
					return false, pack.ErrCorrupt
				}
				d, found = list[0], true
			}
			return true, nil
		})
		if err == nil && !found {
			err = store.ErrNotFound
		}
		return err
	})
	return d, err
}
