package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// eventList lists events, the newest first: block by block where no digests tell
// which may hold what is wanted.
type eventList struct {
	ctx      context.Context
	conn     *pgxpool.Conn
	q        store.EventQuery
	first    int64  // the block to go on with
	digested int64  // blocks before it have digests
	sieve    *sieve // in which the list goes on, nil before and without

	found   []hook.Event
	next    hook.Seq // where a further call goes on
	more    bool     // there may be more there
	full    bool     // nothing is to be added
	scanned int      // events that were looked at
}

func (l *eventList) list() error {
	for size := firstPage; l.scanned < maxScan; size = min(2*size, page) {
		more, err := l.page(size)
		if err != nil || l.full {
			return err
		}
		if !more {
			l.next, l.more = 0, false
			return nil
		}
	}
	return nil
}

// page looks at up to size blocks. more is false after the last.
func (l *eventList) page(size int) (more bool, err error) {
	until := int64(math.MaxInt64)
	if !l.q.Until.IsZero() {
		until = micros(l.q.Until)
	}
	q := sought{kind: l.q.Type, source: l.q.Source, until: l.q.Until}
	if !q.narrow() {
		l.digested = 0
	}
	if l.first < l.digested && l.sieve == nil {
		l.sieve = newSieve(l.ctx, l.conn, q, 0, l.first)
	}
	if l.sieve != nil {
		return l.sifted(size, until)
	}
	// The limit is part of the text: a plan for any limit may sort all there is.
	n, err := l.scan(fmt.Sprintf(`SELECT id, received, summary FROM blocks
		WHERE id BETWEEN $1 AND $2 AND received < $3 ORDER BY id DESC LIMIT %d`, size), l.digested, l.first, until)
	if n < size && l.digested > 0 {
		l.first, n = l.digested-1, size
	}
	return n == size, err
}

// sifted is page where there are digests.
func (l *eventList) sifted(size int, until int64) (more bool, err error) {
	ids, err := l.sieve.next(size)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	last := ids[len(ids)-1]
	n, err := l.scan(fmt.Sprintf(`SELECT id, received, summary FROM blocks
		WHERE id = ANY ($1) AND id BETWEEN $2 AND $3 AND received < $4 ORDER BY id DESC LIMIT %d`, page), ids, last, ids[0], until)
	if !l.full {
		l.next, l.more = hook.MakeSeq(last, 0), true
		l.scanned += len(ids) - n
	}
	return true, err
}

// scan lists what is wanted of the blocks that a query returns, and says how many
// those are.
func (l *eventList) scan(query string, args ...any) (n int, err error) {
	rows, err := l.conn.Query(l.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	var id, received int64
	var summary []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &received, &summary}, func() error {
		n++
		if l.full {
			return nil
		}
		l.first, l.next, l.more = id-1, hook.MakeSeq(id, 0), true
		at := fromMicros(received)
		if at.Before(l.q.Since.Add(-setBack)) {
			l.next, l.more, l.full = 0, false, true
			return nil
		}
		if !pack.MayHold(summary, l.q.Type, l.q.Source) {
			l.scanned += hook.BlockSlots
			return nil
		}
		events, _, err := pack.Summary(id, at, summary)
		if err != nil {
			return err
		}
		l.scanned += len(events)
		for _, e := range slices.Backward(events) {
			if l.q.Before != 0 && e.Seq >= l.q.Before || !wanted(&e, l.q) {
				continue
			}
			if l.found = append(l.found, e); len(l.found) == l.q.Limit {
				l.next, l.full = e.Seq, true
				return nil
			}
		}
		return nil
	})
	return n, err
}
