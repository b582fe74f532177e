package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
}

func (s *Store) view(ctx context.Context, do func(*viewer) error) error {
	return s.snapshot(ctx, func(tx pgx.Tx) error {
		v := &viewer{
			ctx: ctx, tx: tx, deleted: make(map[int64]bool),
			replays: make(map[int64]*hook.Key), ownFrom: math.MaxInt64,
		}
		rows, err := tx.Query(ctx, "SELECT clock(), h.number FROM (VALUES (true)) one LEFT JOIN hooks h ON h.deleted")
		if err != nil {
			return err
		}
		var number *int64
		_, err = pgx.ForEachRow(rows, []any{&v.now, &number}, func() error {
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

// owedSlots is what a block owes to a hook, once or as a replay: all rows of
// work and settled about it.
type owedSlots struct {
	block, hook, replay int64
	created             time.Time
	matched             uint64
	open                uint64
	sending             uint64 // of open
	outcomes            []byte
}

// rowsOf reads rows of work and settled from the block first down to last, a
// page at a time, and calls each with those of one block. It ends when each
// returns false.
func (v *viewer) rowsOf(first, last, number int64, each func([]owedSlots) (bool, error)) error {
	_, err := v.tx.Exec(v.ctx, `DECLARE rows_of NO SCROLL CURSOR FOR
		SELECT block, hook, replay, created, matched, open, until, outcomes FROM (
			SELECT block, hook::bigint, replay::bigint, created, matched, open, until, outcomes FROM work
			UNION ALL
			SELECT block, hook::bigint, replay::bigint, created, matched, 0::bigint, 0::bigint, outcomes FROM settled) t
		WHERE block BETWEEN $1 AND $2 AND ($3::bigint = 0 OR hook = $3) ORDER BY block DESC`, last, first, number)
	if err != nil {
		return err
	}
	var rows []owedSlots // of one block
	for size := firstPage; ; size = min(2*size, page) {
		batch, err := v.fetch(size)
		if err != nil {
			return err
		}
		ids := make([]int64, 0, len(batch)+1)
		if len(rows) > 0 {
			ids = append(ids, rows[0].block)
		}
		for i := range batch {
			ids = append(ids, batch[i].block)
		}
		if v.blocks, err = loadBlocks(v.ctx, v.tx, slices.Compact(ids), false); err != nil {
			return err
		}
		for _, row := range batch {
			if len(rows) > 0 && rows[0].block != row.block {
				if more, err := each(rows); err != nil || !more {
					return err
				}
				rows = rows[:0]
			}
			rows = merge(rows, row)
		}
		if len(batch) == 0 {
			break
		}
	}
	if len(rows) > 0 {
		_, err = each(rows)
	}
	return err
}

// firstPage is how many rows are fetched at first: most listings are short.
const firstPage = 16

func (v *viewer) fetch(size int) ([]owedSlots, error) {
	rows, err := v.tx.Query(v.ctx, fmt.Sprintf("FETCH %d FROM rows_of", size))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r owedSlots, err error) {
		var created, matched, open, until int64
		err = row.Scan(&r.block, &r.hook, &r.replay, &created, &matched, &open, &until, &r.outcomes)
		r.created, r.matched, r.open = fromMicros(created), uint64(matched), uint64(open)
		if until > v.now {
			r.sending = r.open
		}
		return r, err
	})
}

// merge adds a row to those of its block.
func merge(rows []owedSlots, row owedSlots) []owedSlots {
	for i := range rows {
		if r := &rows[i]; r.hook == row.hook && r.replay == row.replay {
			r.matched, r.open, r.sending = r.matched|row.matched, r.open|row.open, r.sending|row.sending
			r.outcomes = append(r.outcomes, row.outcomes...)
			return rows
		}
	}
	return append(rows, row)
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
	scanned := 0
	err = v.rowsOf(first, last, q.Hook, func(rows []owedSlots) (bool, error) {
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
	return found, next, err
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

// The columns of a delivery with a row of its own. For a delivery that waits,
// until tells whether it is being sent.
const (
	retryColumns = "seq, hook, replay, 0::smallint AS state, reason, created, due, until, attempts"
	endedColumns = "seq, hook, replay, state, reason, created, 0::bigint AS due, 0::bigint AS until, attempts"
	// What only a delivery that is read alone shows.
	aloneColumns = ", CASE WHEN $3 THEN log END, CASE WHEN $3 THEN response END"
)

func (v *viewer) scanOwn(row pgx.CollectableRow) (d hook.Delivery, err error) {
	var seq, created, due, until int64
	var state int16
	var reason string
	var log [][]byte
	var response []byte
	err = row.Scan(&seq, &d.Hook, &d.Replay, &state, &reason, &created, &due, &until, &d.AttemptCount, &log, &response)
	if err != nil {
		return d, err
	}
	d.Seq, d.State, d.Reason = hook.Seq(seq), hook.State(state), hook.Reason(reason)
	d.Created, d.Due = fromMicros(created), fromMicros(due)
	if until > v.now {
		d.State, d.Reason = hook.Sending, ""
	}
	d.Attempts = pack.Attempts(slices.Concat(log...))
	d.Response, err = pack.DecodeResponse(response)
	return d, err
}

// ownAhead is of how many blocks at most the deliveries with rows of their own
// are read at once.
const ownAhead = 32

// readOwn reads the deliveries with rows of their own of a block and of those
// after it on the page.
func (v *viewer) readOwn(block int64) error {
	ids := slices.Sorted(maps.Keys(v.blocks))
	at, _ := slices.BinarySearch(ids, block)
	v.ownFrom = ids[max(0, at+1-ownAhead)]
	rows, err := v.tx.Query(v.ctx, "SELECT "+retryColumns+aloneColumns+" FROM retries WHERE seq BETWEEN $1 AND $2"+
		" UNION ALL SELECT "+endedColumns+aloneColumns+" FROM ended WHERE seq BETWEEN $1 AND $2",
		int64(hook.MakeSeq(v.ownFrom, 0)), int64(hook.MakeSeq(block, hook.BlockSlots-1)), v.alone)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, v.scanOwn)
	v.own = make(map[hook.Key]hook.Delivery, len(list))
	for _, d := range list {
		v.own[d.Key] = d
	}
	return err
}

// listDead lists dead letters by their own index.
func (v *viewer) listDead(q store.DeliveryQuery) (found []hook.Delivery, next *hook.Key, err error) {
	from := hook.Seq(math.MaxInt64)
	if q.Before != nil {
		from = q.Before.Seq
	}
	if q.Event != 0 {
		from = min(from, q.Event)
	}
	_, err = v.tx.Exec(v.ctx, "DECLARE dead NO SCROLL CURSOR FOR SELECT "+endedColumns+aloneColumns+` FROM ended
		WHERE state = 3 AND seq BETWEEN $1 AND $2 ORDER BY seq DESC`, int64(q.Event), int64(from), false)
	if err != nil {
		return nil, nil, err
	}
	var same []hook.Delivery // of one event
	for scanned := 0; ; {
		rows, err := v.tx.Query(v.ctx, fmt.Sprintf("FETCH %d FROM dead", page))
		if err != nil {
			return nil, nil, err
		}
		batch, err := pgx.CollectRows(rows, v.scanOwn)
		if err != nil {
			return nil, nil, err
		}
		ids := make([]int64, 0, len(batch)+1)
		for _, d := range append(same, batch...) {
			ids = append(ids, d.Seq.Block())
		}
		if v.blocks, err = loadBlocks(v.ctx, v.tx, slices.Compact(ids), false); err != nil {
			return nil, nil, err
		}
		for _, d := range batch {
			if len(same) > 0 && same[0].Seq != d.Seq {
				if found, next, err = v.addDead(found, same, q); err != nil || next != nil {
					return found, next, err
				}
				same = same[:0]
				if scanned > maxScan {
					return found, &hook.Key{Seq: d.Seq + 1}, nil
				}
			}
			same = append(same, d)
		}
		if scanned += len(batch); len(batch) == 0 {
			return v.addDead(found, same, q)
		}
	}
}

// addDead adds the dead letters of one event that are wanted and not listed yet.
// next is set when the page is full.
func (v *viewer) addDead(found, same []hook.Delivery, q store.DeliveryQuery) (all []hook.Delivery, next *hook.Key, err error) {
	slices.SortFunc(same, func(a, b hook.Delivery) int { return compareKeys(b.Key, a.Key) })
	for _, d := range same {
		if q.Before != nil && compareKeys(d.Key, *q.Before) >= 0 {
			continue
		}
		events := v.blocks[d.Seq.Block()]
		if d.Seq.Slot() >= len(events) {
			return nil, nil, pack.ErrCorrupt
		}
		if err := v.finish(&d, &events[d.Seq.Slot()]); err != nil {
			return nil, nil, err
		}
		if !wants(&d, q) {
			continue
		}
		d.Attempts, d.Response = nil, nil
		if found = append(found, d); len(found) == q.Limit {
			return found, &d.Key, nil
		}
	}
	return found, nil, nil
}

// Delivery returns one delivery; see store.Reader.
func (s *Store) Delivery(ctx context.Context, key hook.Key, _ time.Time) (d hook.Delivery, err error) {
	err = s.view(ctx, func(v *viewer) error {
		v.alone = true
		found := false
		block := key.Seq.Block()
		err := v.rowsOf(block, block, key.Hook, func(rows []owedSlots) (bool, error) {
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
