package sqlite

import (
	"context"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// Settle keeps outcomes; see store.Outbox.
func (s *Store) Settle(_ context.Context, outcomes []store.Outcome) (lost []hook.Key, err error) {
	err = s.write(false, 2+len(outcomes)/16, func(conn *sqlite.Conn) (func(), error) {
		w := settler{store: s, conn: conn, rows: make(map[rowKey]*owedRow)}
		settled := make(map[hook.Key]bool, len(outcomes))
		for i := range outcomes {
			o := &outcomes[i]
			l, held := s.leases.get(o.Key)
			if !held || l.epoch != o.Epoch || settled[o.Key] {
				lost = append(lost, o.Key)
				continue
			}
			settled[o.Key] = true
			if err := w.settle(o, l.row); err != nil {
				return nil, err
			}
		}
		for _, row := range w.rows {
			if err := row.update(conn); err != nil {
				return nil, err
			}
		}
		then, err := s.save(conn, w.tally)
		return func() {
			then()
			for key := range settled {
				s.leases.drop(key)
			}
		}, err
	})
	if err != nil {
		return nil, err
	}
	return lost, nil
}

type rowKey struct{ block, hook, replay int64 }

// settler keeps the outcomes of one transaction. Several outcomes of one owed
// row are written together.
type settler struct {
	store *Store
	conn  *sqlite.Conn
	rows  map[rowKey]*owedRow
	tally tally
}

func (w *settler) settle(o *store.Outcome, ownRow int64) error {
	if o.State == hook.Waiting && o.Attempt == nil && o.Due.IsZero() {
		if w.store.deleted[o.Hook] {
			w.tally.hook(o.Hook, hook.HookCount{Cancelled: 1})
		}
		return nil // given back as it was
	}
	w.tally.hook(o.Hook, w.count(o))
	if ownRow != 0 {
		return w.updateRow(o, ownRow)
	}
	row, err := w.row(o.Key)
	if err != nil {
		return err
	}
	slot := o.Seq.Slot()
	if o.State == hook.Delivered && o.Attempt != nil {
		row.deliver(slot, *o.Attempt)
		return nil
	}
	row.open &^= 1 << slot
	return insertDelivery(w.conn, o, row.created)
}

// count is what an outcome changes of the hook's counters.
func (w *settler) count(o *store.Outcome) (c hook.HookCount) {
	switch {
	case o.State == hook.Delivered:
		c.Delivered = 1
	case o.State == hook.Dead:
		c.Dead = 1
	case w.store.deleted[o.Hook]:
		c.Cancelled = 1
	}
	if o.Attempt != nil {
		c.Attempts = 1
	}
	return c
}

func (w *settler) row(key hook.Key) (*owedRow, error) {
	at := rowKey{key.Seq.Block(), key.Hook, key.Replay}
	if row, ok := w.rows[at]; ok {
		return row, nil
	}
	row, found, err := loadOwed(w.conn, at.block, at.hook, at.replay)
	if err == nil && !found {
		err = pack.ErrCorrupt
	}
	w.rows[at] = &row
	return &row, err
}

// insertDelivery gives a delivery a row of its own, after its first attempt or
// because it ends without one.
func insertDelivery(conn *sqlite.Conn, o *store.Outcome, created time.Time) error {
	response, err := pack.EncodeResponse(o.Response, o.State)
	if err != nil {
		return err
	}
	var first time.Time
	var held time.Duration
	var log []byte
	attempts := 0
	if o.Attempt != nil {
		first, held, log, attempts = o.Attempt.At, o.HeldAtFirst, pack.AppendAttempt(nil, *o.Attempt), 1
	}
	stmt := prep(conn, `INSERT INTO deliveries
		(seq, hook, replay, state, reason, created, due, first, held, attempts, log, response)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	stmt.BindInt64(1, int64(o.Seq))
	stmt.BindInt64(2, o.Hook)
	stmt.BindInt64(3, o.Replay)
	stmt.BindInt64(4, int64(o.State))
	stmt.BindText(5, string(o.Reason))
	stmt.BindInt64(6, micros(created))
	stmt.BindInt64(7, micros(o.Due))
	stmt.BindInt64(8, micros(first))
	stmt.BindInt64(9, held.Microseconds())
	stmt.BindInt64(10, int64(attempts))
	stmt.BindBytes(11, log)
	stmt.BindBytes(12, response)
	return run(stmt)
}

// updateRow settles a delivery that has a row.
func (w *settler) updateRow(o *store.Outcome, id int64) error {
	response, err := pack.EncodeResponse(o.Response, o.State)
	if err != nil {
		return err
	}
	var log []byte
	var first, held int64
	read := prep(w.conn, "SELECT log, first, held FROM deliveries WHERE id = ?")
	read.BindInt64(1, id)
	err = each(read, func() error {
		log, first, held = blob(read, 0), read.ColumnInt64(1), read.ColumnInt64(2)
		return nil
	})
	if err != nil {
		return err
	}
	attempts := 0
	if o.Attempt != nil {
		log, attempts = pack.LogAttempt(log, *o.Attempt), 1
		if first == 0 {
			first, held = micros(o.Attempt.At), o.HeldAtFirst.Microseconds()
		}
	}
	stmt := prep(w.conn, `UPDATE deliveries
		SET state = ?, reason = ?, due = CASE WHEN ?3 > 0 THEN ?3 ELSE due END, first = ?, held = ?,
			attempts = attempts + ?, log = ?, response = ?
		WHERE id = ?`)
	stmt.BindInt64(1, int64(o.State))
	stmt.BindText(2, string(o.Reason))
	stmt.BindInt64(3, micros(o.Due))
	stmt.BindInt64(4, first)
	stmt.BindInt64(5, held)
	stmt.BindInt64(6, int64(attempts))
	stmt.BindBytes(7, log)
	stmt.BindBytes(8, response)
	stmt.BindInt64(9, id)
	return run(stmt)
}

// Expire makes dead what waits too long; see store.Outbox.
func (s *Store) Expire(_ context.Context, number int64, before, now time.Time, reason hook.Reason, limit int) (expired int, more bool, err error) {
	err = s.write(true, 2+limit/8, func(conn *sqlite.Conn) (func(), error) {
		expired, more = 0, false
		if s.deleted[number] {
			return nil, nil
		}
		dead, err := s.expireRows(conn, number, before, now, reason, limit)
		if err != nil {
			return nil, err
		}
		for _, query := range []string{owedFirst, owedAgain} {
			fresh, err := s.expireFresh(conn, query, number, before, now, reason, limit-len(dead))
			if err != nil {
				return nil, err
			}
			dead = append(dead, fresh...)
		}
		var t tally
		t.hook(number, hook.HookCount{Dead: int64(len(dead))})
		then, err := s.save(conn, t)
		return func() {
			then()
			expired, more = len(dead), len(dead) == limit
			for _, key := range dead {
				// A lease that has ended must not settle what is dead.
				s.leases.drop(key)
			}
		}, err
	})
	return expired, more, err
}

// expireRows ends up to limit deliveries that were attempted.
func (s *Store) expireRows(conn *sqlite.Conn, number int64, before, now time.Time, reason hook.Reason, limit int) (dead []hook.Key, err error) {
	stmt := prep(conn, "SELECT id, seq, replay FROM deliveries WHERE hook = +? AND state = 0 AND created < +? ORDER BY created")
	stmt.BindInt64(1, number)
	stmt.BindInt64(2, micros(before))
	var ids []int64
	err = upTo(limit, stmt, func() (int, error) {
		key := hook.Key{Hook: number, Seq: hook.Seq(stmt.ColumnInt64(1)), Replay: stmt.ColumnInt64(2)}
		if s.leased(key, now) {
			return 0, nil
		}
		ids, dead = append(ids, stmt.ColumnInt64(0)), append(dead, key)
		return 1, nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		update := prep(conn, "UPDATE deliveries SET state = 3, reason = ? WHERE id = ?")
		update.BindText(1, string(reason))
		update.BindInt64(2, id)
		if err := run(update); err != nil {
			return nil, err
		}
	}
	return dead, nil
}

// expireFresh ends up to limit deliveries, of each query of dueFresh, that were
// never attempted.
func (s *Store) expireFresh(conn *sqlite.Conn, query string, number int64, before, now time.Time, reason hook.Reason, limit int) (dead []hook.Key, err error) {
	stmt := prep(conn, query)
	stmt.BindInt64(1, number)
	var rows []owedRow
	err = upTo(limit, stmt, func() (int, error) {
		row := scanOwed(stmt)
		if !row.created.Before(before) {
			return limit, nil // and so are all that follow
		}
		found := len(dead)
		pack.Slots(row.open, func(slot int) bool {
			if key := row.key(slot); !s.leased(key, now) {
				row.open &^= 1 << slot
				dead = append(dead, key)
			}
			return len(dead) < limit
		})
		if len(dead) > found {
			rows = append(rows, row)
		}
		return len(dead) - found, nil
	})
	if err != nil {
		return nil, err
	}
	left := dead
	for i := range rows {
		row := &rows[i]
		for ; len(left) > 0 && left[0].Seq.Block() == row.block && left[0].Replay == row.replay; left = left[1:] {
			o := store.Outcome{Key: left[0], State: hook.Dead, Reason: reason}
			if err := insertDelivery(conn, &o, row.created); err != nil {
				return nil, err
			}
		}
		if err := row.update(conn); err != nil {
			return nil, err
		}
	}
	return dead, nil
}
