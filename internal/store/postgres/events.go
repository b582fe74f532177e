package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxScan bounds the events, or deliveries, that one call of a list looks at;
	// the caller is told that more may follow.
	maxScan = 100_000
	// page is how many rows are fetched at once.
	page = 256
	// setBack is by how much clocks may differ, or have been set back, without a
	// listing by time missing events: blocks are in the order of their commits.
	setBack = time.Hour
)

// querier is what can be asked: a connection, or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// snapshot runs do in one snapshot.
func (s *Store) snapshot(ctx context.Context, do func(pgx.Tx) error) error {
	return s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
	})
}

// loadBlocks reads blocks, with their events' JSON or without. Those that are
// not there are left out.
func loadBlocks(ctx context.Context, db querier, ids []int64, withJSON bool) (map[int64][]hook.Event, error) {
	return siftBlocks(ctx, db, ids, withJSON, store.DeliveryQuery{})
}

// siftBlocks is loadBlocks but for blocks that hold no event of the type and the
// source that are wanted: those may be left without events.
func siftBlocks(ctx context.Context, db querier, ids []int64, withJSON bool, q store.DeliveryQuery) (map[int64][]hook.Event, error) {
	blocks := make(map[int64][]hook.Event, len(ids))
	if len(ids) == 0 {
		return blocks, nil
	}
	// The bounds tell the planner which days to look at.
	rows, err := db.Query(ctx, `SELECT id, received, summary, CASE WHEN $4 THEN payload END FROM blocks
		WHERE id = ANY ($1) AND id BETWEEN $2 AND $3`, ids, slices.Min(ids), slices.Max(ids), withJSON)
	if err != nil {
		return nil, err
	}
	var id, received int64
	var summary, payload []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &received, &summary, &payload}, func() error {
		if !pack.MayHold(summary, q.Type, q.Source) {
			return nil
		}
		events, sizes, err := pack.Summary(id, fromMicros(received), summary)
		if err == nil && withJSON {
			err = pack.Payload(payload, events, sizes)
		}
		if err != nil {
			return fmt.Errorf("block %d: %w", id, err)
		}
		blocks[id] = events
		return nil
	})
	return blocks, err
}

// horizon is the number of the newest block below which none may still appear.
// Blocks before digested are in chunks that have digests.
func (s *Store) horizon(ctx context.Context, conn *pgxpool.Conn) (last, digested int64, err error) {
	if err := conn.QueryRow(ctx, "SELECT horizon($1), ("+digestedQuery+")", s.tag).Scan(&last, &digested); err != nil {
		return 0, 0, err
	}
	// A commit may be about to take its lock with a number that was read before
	// others ended; what was shown once is shown again.
	for {
		shown := s.shown.Load()
		if last <= shown {
			return shown, digested, nil
		}
		if s.shown.CompareAndSwap(shown, last) {
			return last, digested, nil
		}
	}
}

// Events lists events; see store.Reader.
func (s *Store) Events(ctx context.Context, q store.EventQuery) (found []hook.Event, next hook.Seq, more bool, err error) {
	if q.UUID != "" {
		return s.eventsOf(ctx, q)
	}
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		last, digested, err := s.horizon(ctx, conn)
		if err != nil {
			return err
		}
		l := eventList{ctx: ctx, conn: conn, q: q, first: min(last, newestBlock(q)), digested: digested}
		err = l.list()
		found, next, more = l.found, l.next, l.more
		return err
	})
	return found, next, more, err
}

// newestBlock is the block at which a listing starts.
func newestBlock(q store.EventQuery) int64 {
	newest := int64(math.MaxInt64)
	if q.Before != 0 {
		newest = q.Before.Block()
	}
	if !q.Until.IsZero() {
		// Numbers tell the day, but for those below the first day.
		day := max(q.Until.Add(setBack).Unix()/(24*60*60), 0)
		newest = min(newest, (day+1)<<dayBits)
	}
	return newest
}

func wanted(e *hook.Event, q store.EventQuery) bool {
	return (q.Source == 0 || e.Source == q.Source) &&
		(q.Type == "" || e.Type == q.Type) &&
		during(e.Received, q.Since, q.Until)
}

func during(t, since, until time.Time) bool {
	return !t.Before(since) && (until.IsZero() || t.Before(until))
}

// eventsOf lists the events with one uuid: one of each source at most.
func (s *Store) eventsOf(ctx context.Context, q store.EventQuery) (found []hook.Event, next hook.Seq, more bool, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		last, _, err := s.horizon(ctx, conn)
		if err != nil {
			return err
		}
		found, err = findEvents(ctx, conn, q.UUID)
		found = slices.DeleteFunc(found, func(e hook.Event) bool { return e.Seq.Block() > last })
		return err
	})
	if err != nil {
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

// Event returns one event; see store.Reader.
func (s *Store) Event(ctx context.Context, seq hook.Seq) (e hook.Event, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		blocks, err := loadBlocks(ctx, conn, []int64{seq.Block()}, true)
		if err != nil {
			return err
		}
		events := blocks[seq.Block()]
		if seq.Slot() >= len(events) {
			return store.ErrNotFound
		}
		e = events[seq.Slot()]
		return nil
	})
	return e, err
}

// FindEvents returns the events with a uuid; see store.Reader.
func (s *Store) FindEvents(ctx context.Context, uuid string) (found []hook.Event, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		found, err = findEvents(ctx, conn, uuid)
		return err
	})
	return found, err
}

func findEvents(ctx context.Context, conn *pgxpool.Conn, uuid string) (found []hook.Event, err error) {
	rows, err := conn.Query(ctx, "SELECT seq FROM seen WHERE key = $1", dedupeKey(uuid))
	if err != nil {
		return nil, err
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, seq := range seqs {
		ids = append(ids, hook.Seq(seq).Block())
	}
	blocks, err := loadBlocks(ctx, conn, ids, false)
	if err != nil {
		return nil, err
	}
	for _, seq := range seqs {
		at := hook.Seq(seq)
		if events := blocks[at.Block()]; at.Slot() < len(events) && events[at.Slot()].UUID == uuid {
			found = append(found, events[at.Slot()])
		}
	}
	return found, nil
}

// FilterErrors returns why filters could not judge an event; see store.Reader.
func (s *Store) FilterErrors(ctx context.Context, seq hook.Seq) (found []store.FilterError, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, "SELECT hook, detail FROM filter_errors WHERE seq = $1 ORDER BY hook", int64(seq))
		if err != nil {
			return err
		}
		var number int64
		var detail []byte
		_, err = pgx.ForEachRow(rows, []any{&number, &detail}, func() error {
			found = append(found, store.FilterError{Hook: number, Detail: string(detail)})
			return nil
		})
		return err
	})
	return found, err
}

const rejectedList = "SELECT id, source, received, reason, detail, size"

// RejectedList lists what was rejected; see store.Reader.
func (s *Store) RejectedList(ctx context.Context, source, before int64, limit int) (list []store.Rejected, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, rejectedList+`, NULL::bytea FROM rejected
			WHERE ($1 = 0 OR source = $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, source, before, limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanRejected)
		return err
	})
	return list, err
}

func scanRejected(row pgx.CollectableRow) (r store.Rejected, err error) {
	var received int64
	var reason string
	var detail []byte
	err = row.Scan(&r.ID, &r.Source, &received, &reason, &detail, &r.Size, &r.Raw)
	r.Received, r.Reason, r.Detail = fromMicros(received), hook.Reason(reason), string(detail)
	return r, err
}

// Rejected returns one rejected body; see store.Reader.
func (s *Store) Rejected(ctx context.Context, id int64) (r store.Rejected, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, rejectedList+", raw FROM rejected WHERE id = $1", id)
		if err != nil {
			return err
		}
		r, err = pgx.CollectExactlyOneRow(rows, scanRejected)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		r.Raw, err = pack.Decompress(r.Raw)
		return err
	})
	return r, err
}
