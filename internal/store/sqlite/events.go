package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// Events lists events; see store.Reader.
func (s *Store) Events(ctx context.Context, q store.EventQuery) (found []hook.Event, next hook.Seq, more bool, err error) {
	if q.UUID != "" {
		return s.eventsOf(ctx, q)
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		l := eventList{q: q, sieve: newSieve(conn, sought{kind: q.Type, source: q.Source, since: q.Since, until: q.Until})}
		err := l.list(newestBlock(q.Before))
		found, next, more = l.found, l.next, l.next != 0
		return err
	})
	return found, next, more, err
}

// eventList lists events in one snapshot.
type eventList struct {
	q     store.EventQuery
	sieve *sieve
	found []hook.Event
	next  hook.Seq // where a further call goes on; 0 at the end
}

func (l *eventList) list(hi int64) error {
	for {
		from, to, err := l.sieve.next(hi)
		if err != nil {
			return err
		}
		if from > to {
			if to > 0 && l.sieve.left == 0 {
				l.next = hook.MakeSeq(from, 0)
			}
			return nil
		}
		if end, err := l.scan(from, to); err != nil || end {
			return err
		}
		hi = from - 1
	}
}

// scan lists a run of blocks. end is true when the list ends with it.
func (l *eventList) scan(from, to int64) (end bool, err error) {
	stmt := prep(l.sieve.conn, "SELECT id, received, summary FROM blocks WHERE id BETWEEN +? AND +? ORDER BY id DESC")
	stmt.BindInt64(1, from)
	stmt.BindInt64(2, to)
	err = upTo(1, stmt, func() (int, error) {
		id, received := stmt.ColumnInt64(0), fromMicros(stmt.ColumnInt64(1))
		if l.sieve.left == 0 {
			l.next, end = hook.MakeSeq(id+1, 0), true
			return 1, nil
		}
		l.sieve.left--
		if received.Before(l.q.Since.Add(-setBack)) {
			end = true
			return 1, nil
		}
		if !during(received, l.q.Since, l.q.Until) {
			return 0, nil
		}
		summary := blob(stmt, 2)
		if !pack.MayHold(summary, l.q.Type, l.q.Source) {
			return 0, nil
		}
		events, _, err := pack.Summary(id, received, summary)
		if err != nil {
			return 0, err
		}
		for _, e := range slices.Backward(events) {
			if l.q.Before != 0 && e.Seq >= l.q.Before || !wanted(&e, l.q) {
				continue
			}
			if l.found = append(l.found, e); len(l.found) == l.q.Limit {
				l.next, end = e.Seq, true
				return 1, nil
			}
		}
		return 0, nil
	})
	return end, err
}

// eventsOf lists the events with one uuid: one of each source at most.
func (s *Store) eventsOf(ctx context.Context, q store.EventQuery) (found []hook.Event, next hook.Seq, more bool, err error) {
	if found, err = s.FindEvents(ctx, q.UUID); err != nil {
		return nil, 0, false, err
	}
	found = slices.DeleteFunc(found, func(e hook.Event) bool {
		return q.Before != 0 && e.Seq >= q.Before || !wanted(&e, q)
	})
	slices.SortFunc(found, func(a, b hook.Event) int { return cmp.Compare(b.Seq, a.Seq) })
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
		return found, found[q.Limit-1].Seq, true, nil
	}
	return found, 0, false, nil
}

// newestBlock is the block at which a listing starts.
func newestBlock(before hook.Seq) int64 {
	if before == 0 {
		return math.MaxInt64
	}
	return before.Block()
}

func wanted(e *hook.Event, q store.EventQuery) bool {
	return (q.Source == 0 || e.Source == q.Source) &&
		(q.Type == "" || e.Type == q.Type) &&
		during(e.Received, q.Since, q.Until)
}

func during(t, since, until time.Time) bool {
	return !t.Before(since) && (until.IsZero() || t.Before(until))
}

// Event returns one event; see store.Reader.
func (s *Store) Event(ctx context.Context, seq hook.Seq) (e hook.Event, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		e, err = eventAt(conn, seq)
		return err
	})
	return e, err
}

func eventAt(conn *sqlite.Conn, seq hook.Seq) (hook.Event, error) {
	events, err := loadBlock(conn, seq.Block(), true)
	if err != nil {
		return hook.Event{}, err
	}
	if seq.Slot() >= len(events) {
		return hook.Event{}, store.ErrNotFound
	}
	return events[seq.Slot()], nil
}

// FindEvents returns the events with a uuid; see store.Reader.
func (s *Store) FindEvents(ctx context.Context, uuid string) (found []hook.Event, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		raw, err := seenEntries(conn, pack.SeenKey(uuid))
		if err != nil {
			return err
		}
		for _, entry := range pack.ParseSeen(raw) {
			if entry.UUID != uuid {
				continue
			}
			events, err := loadBlock(conn, entry.Seq.Block(), false)
			if err != nil {
				return err
			}
			if entry.Seq.Slot() < len(events) {
				found = append(found, events[entry.Seq.Slot()])
			}
		}
		return nil
	})
	return found, err
}

// FilterErrors returns why filters could not judge an event; see store.Reader.
func (s *Store) FilterErrors(ctx context.Context, seq hook.Seq) (found []store.FilterError, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		stmt := prep(conn, "SELECT hook, detail FROM filter_errors WHERE seq = ? ORDER BY hook")
		stmt.BindInt64(1, int64(seq))
		return each(stmt, func() error {
			found = append(found, store.FilterError{Hook: stmt.ColumnInt64(0), Detail: stmt.ColumnText(1)})
			return nil
		})
	})
	return found, err
}

// RejectedList lists what was rejected; see store.Reader.
func (s *Store) RejectedList(ctx context.Context, source, before int64, limit int) (list []store.Rejected, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		stmt := prep(conn, `SELECT id, source, received, reason, detail, size FROM rejected
			WHERE (?1 = 0 OR source = ?1) AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`)
		stmt.BindInt64(1, source)
		stmt.BindInt64(2, before)
		stmt.BindInt64(3, int64(limit))
		return each(stmt, func() error { list = append(list, scanRejected(stmt)); return nil })
	})
	return list, err
}

func scanRejected(stmt *sqlite.Stmt) store.Rejected {
	return store.Rejected{
		ID:       stmt.ColumnInt64(0),
		Source:   stmt.ColumnInt64(1),
		Received: fromMicros(stmt.ColumnInt64(2)),
		Reason:   hook.Reason(stmt.ColumnText(3)),
		Detail:   stmt.ColumnText(4),
		Size:     stmt.ColumnInt(5),
	}
}

// Rejected returns one rejected body; see store.Reader.
func (s *Store) Rejected(ctx context.Context, id int64) (r store.Rejected, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		stmt := prep(conn, "SELECT id, source, received, reason, detail, size, raw FROM rejected WHERE id = ?")
		stmt.BindInt64(1, id)
		err := each(stmt, func() (err error) {
			r = scanRejected(stmt)
			r.Raw, err = pack.Decompress(blob(stmt, 6))
			return err
		})
		if err == nil && r.ID == 0 {
			err = store.ErrNotFound
		}
		return err
	})
	return r, err
}
