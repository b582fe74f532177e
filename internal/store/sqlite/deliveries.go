package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// viewer reads deliveries in one snapshot. What it needs of the store's memory
// it takes before, so that a delivery is never shown in two states at once.
type viewer struct {
	conn    *sqlite.Conn
	leases  leases
	deleted map[int64]bool
	now     time.Time
	blocks  map[int64][]hook.Event // as the one query wants them
	replays map[int64]*hook.Key    // what a replay's deliveries send again, less the Seq
}

// view looks at the deliveries of one hook, or of all for 0.
func (s *Store) view(ctx context.Context, number int64, now time.Time, do func(*viewer) error) error {
	s.mu.Lock()
	v := &viewer{
		leases:  s.leases.clone(number),
		deleted: make(map[int64]bool, len(s.deleted)),
		now:     now,
		blocks:  make(map[int64][]hook.Event),
		replays: make(map[int64]*hook.Key),
	}
	for number := range s.deleted {
		v.deleted[number] = true
	}
	s.mu.Unlock()
	return s.read(ctx, func(conn *sqlite.Conn) error {
		v.conn = conn
		return do(v)
	})
}

// ofBlock returns the deliveries of one block's rows that are wanted and not
// listed yet, in their order, without attempts.
func (v *viewer) ofBlock(rows []owedRow, q store.DeliveryQuery) (list []hook.Delivery, err error) {
	for i := range rows {
		if !during(rows[i].created, q.Since, q.Until) {
			continue
		}
		of, err := v.ofRow(&rows[i], q)
		if err != nil {
			return nil, err
		}
		for _, d := range of {
			if q.Before == nil || compareKeys(d.Key, *q.Before) < 0 {
				d.Attempts = nil
				list = append(list, d)
			}
		}
	}
	slices.SortFunc(list, func(a, b hook.Delivery) int { return compareKeys(b.Key, a.Key) })
	return list, nil
}

// ofRow returns the deliveries of one owed row that are wanted, with the
// attempts of those that went through at the first.
func (v *viewer) ofRow(row *owedRow, q store.DeliveryQuery) ([]hook.Delivery, error) {
	events, err := v.block(row.block, q)
	if err != nil {
		return nil, err
	}
	delivered := pack.Outcomes(row.outcomes, row.created)
	var own map[hook.Seq]hook.Delivery
	var list []hook.Delivery
	for slot := hook.BlockSlots - 1; slot >= 0; slot-- {
		bit := uint64(1) << slot
		if row.matched&bit == 0 || slot >= len(events) {
			continue
		}
		d := hook.Delivery{Key: row.key(slot), Created: row.created, Due: row.created}
		if a, ok := delivered[slot]; ok {
			d.State, d.AttemptCount, d.Attempts = hook.Delivered, 1, []hook.Attempt{a}
		} else if row.open&bit == 0 {
			if own == nil {
				if own, err = v.ownRows(row); err != nil {
					return nil, err
				}
			}
			found, ok := own[d.Seq]
			if !ok {
				return nil, pack.ErrCorrupt
			}
			d = found
		}
		if err := v.finish(&d, &events[slot]); err != nil {
			return nil, err
		}
		if v.wants(&d, q) {
			list = append(list, d)
		}
	}
	return list, nil
}

// finish adds what only the snapshot's surroundings tell.
func (v *viewer) finish(d *hook.Delivery, e *hook.Event) error {
	d.UUID, d.Type, d.Source = e.UUID, e.Type, e.Source
	if d.State == hook.Waiting {
		if l, held := v.leases.get(d.Key); held && l.until.After(v.now) {
			d.State, d.Reason = hook.Sending, ""
		} else if v.deleted[d.Hook] {
			d.State, d.Reason = hook.Cancelled, hook.ReasonHookDeleted
		}
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
	stmt := prep(v.conn, "SELECT origin_hook, origin_replay FROM replays WHERE number = ? AND origin_hook != 0")
	stmt.BindInt64(1, replay)
	err = each(stmt, func() error {
		origin = &hook.Key{Hook: stmt.ColumnInt64(0), Replay: stmt.ColumnInt64(1)}
		return nil
	})
	return origin, err
}

func (v *viewer) wants(d *hook.Delivery, q store.DeliveryQuery) bool {
	return (q.Hook == 0 || d.Hook == q.Hook) &&
		(q.Event == 0 || d.Seq == q.Event) &&
		(q.Source == 0 || d.Source == q.Source) &&
		(q.Type == "" || d.Type == q.Type) &&
		(len(q.States) == 0 || slices.Contains(q.States, d.State)) &&
		during(d.Created, q.Since, q.Until)
}

// block returns the events of a block, or none if none of them is wanted.
func (v *viewer) block(id int64, q store.DeliveryQuery) (events []hook.Event, err error) {
	if events, ok := v.blocks[id]; ok {
		return events, nil
	}
	stmt := prep(v.conn, "SELECT received, summary FROM blocks WHERE id = ?")
	stmt.BindInt64(1, id)
	err = each(stmt, func() (err error) {
		if summary := blob(stmt, 1); pack.MayHold(summary, q.Type, q.Source) {
			events, _, err = pack.Summary(id, fromMicros(stmt.ColumnInt64(0)), summary)
		}
		return err
	})
	if len(v.blocks) > 64 {
		clear(v.blocks)
	}
	v.blocks[id] = events
	return events, err
}

const ownColumns = "seq, hook, replay, state, reason, created, due, attempts, log, response"

func scanOwn(stmt *sqlite.Stmt, alone bool) (d hook.Delivery, err error) {
	d = hook.Delivery{
		Key:          hook.Key{Seq: hook.Seq(stmt.ColumnInt64(0)), Hook: stmt.ColumnInt64(1), Replay: stmt.ColumnInt64(2)},
		State:        hook.State(stmt.ColumnInt64(3)),
		Reason:       hook.Reason(stmt.ColumnText(4)),
		Created:      fromMicros(stmt.ColumnInt64(5)),
		Due:          fromMicros(stmt.ColumnInt64(6)),
		AttemptCount: stmt.ColumnInt(7),
	}
	if alone {
		d.Attempts = pack.Attempts(blob(stmt, 8))
		d.Response, err = pack.DecodeResponse(blob(stmt, 9))
	}
	return d, err
}

// ownRows returns the deliveries of an owed row that have rows of their own.
func (v *viewer) ownRows(row *owedRow) (map[hook.Seq]hook.Delivery, error) {
	own := make(map[hook.Seq]hook.Delivery)
	stmt := prep(v.conn, "SELECT "+ownColumns+" FROM deliveries INDEXED BY deliveries_key WHERE seq BETWEEN ? AND ? AND hook = ? AND replay = ?")
	stmt.BindInt64(1, int64(hook.MakeSeq(row.block, 0)))
	stmt.BindInt64(2, int64(hook.MakeSeq(row.block, hook.BlockSlots-1)))
	stmt.BindInt64(3, row.hook)
	stmt.BindInt64(4, row.replay)
	err := each(stmt, func() error {
		d, err := scanOwn(stmt, false)
		own[d.Seq] = d
		return err
	})
	return own, err
}

func compareKeys(a, b hook.Key) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.Replay, b.Replay))
}

// Delivery returns one delivery; see store.Reader.
func (s *Store) Delivery(ctx context.Context, key hook.Key, now time.Time) (d hook.Delivery, err error) {
	err = s.view(ctx, key.Hook, now, func(v *viewer) error {
		row, found, err := loadOwed(v.conn, key.Seq.Block(), key.Hook, key.Replay)
		if err != nil {
			return err
		}
		if !found || row.matched&(1<<key.Seq.Slot()) == 0 {
			return store.ErrNotFound
		}
		list, err := v.ofRow(&row, store.DeliveryQuery{Event: key.Seq})
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return pack.ErrCorrupt
		}
		d = list[0]
		stmt := prep(v.conn, "SELECT "+ownColumns+" FROM deliveries WHERE seq = ? AND hook = ? AND replay = ?")
		stmt.BindInt64(1, int64(key.Seq))
		stmt.BindInt64(2, key.Hook)
		stmt.BindInt64(3, key.Replay)
		return each(stmt, func() error {
			own, err := scanOwn(stmt, true)
			d.Attempts, d.Response = own.Attempts, own.Response
			return err
		})
	})
	return d, err
}
