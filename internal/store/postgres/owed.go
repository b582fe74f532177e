package postgres

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
)

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

// owedRows are those of work and settled; in the history nothing is open.
const owedRows = `SELECT block, hook, replay, created, matched, open, until, outcomes FROM (
	SELECT block, hook::bigint, replay::bigint, created, matched, open, until, outcomes FROM work
	UNION ALL
	SELECT block, hook::bigint, replay::bigint, created, matched, 0::bigint, 0::bigint, outcomes FROM settled) t`

// owedReader reads rows of work and settled, those of the newest block first.
type owedReader struct {
	v           *viewer
	first, last int64 // the blocks
	hook, until int64 // whose rows, and created before when
	sought      sought
	open        bool   // there is a cursor
	sieve       *sieve // in which it goes on after that, nil before and without
	sifted      int    // blocks that the sieve has named
	at          int64  // the last of them
}

// rowsOf reads rows of work and settled from the block first down to last, a
// page at a time, and calls each with those of one block. It ends when each
// returns false. It may leave out what a query does not want. stopped is not 0
// when it was too much for one call: then nothing before that block was read.
func (v *viewer) rowsOf(first, last int64, q store.DeliveryQuery, each func([]owedSlots) (bool, error)) (stopped int64, err error) {
	r := owedReader{v: v, first: first, last: last, hook: q.Hook, until: math.MaxInt64}
	if !q.Until.IsZero() {
		r.until = micros(q.Until)
		r.first = min(first, newestBlock(store.EventQuery{Until: q.Until}))
	}
	if first > last {
		r.sought = sought{kind: q.Type, source: q.Source, owed: true, hook: q.Hook, since: q.Since, until: q.Until}
	}
	var rows []owedSlots // of one block
	for size, more := firstPage, true; more; size = min(2*size, page) {
		var batch []owedSlots
		if batch, more, err = r.read(size); err != nil {
			return 0, err
		}
		ids := make([]int64, 0, len(batch)+1)
		if len(rows) > 0 {
			ids = append(ids, rows[0].block)
		}
		for i := range batch {
			ids = append(ids, batch[i].block)
		}
		if v.blocks, err = siftBlocks(v.ctx, v.tx, slices.Compact(ids), false, q); err != nil {
			return 0, err
		}
		for _, row := range batch {
			if len(rows) > 0 && rows[0].block != row.block {
				if more, err := each(rows); err != nil || !more {
					return 0, err
				}
				rows = rows[:0]
			}
			rows = merge(rows, row)
		}
		if r.sifted > maxSifted {
			stopped, more = r.at, false
		}
	}
	if len(rows) > 0 {
		if more, err := each(rows); err != nil || !more {
			return 0, err
		}
	}
	return stopped, nil
}

const (
	// firstPage is how many rows are fetched at first: most listings are short.
	firstPage = 16
	// maxSifted bounds the blocks that digests name in one call, as maxScan does
	// what they hold: they may hold nothing.
	maxSifted = 10_000
)

// read reads about so many rows, whole blocks where there are digests. more is
// false after the last.
func (r *owedReader) read(size int) (batch []owedSlots, more bool, err error) {
	least := r.last
	if r.sought.narrow() {
		least = max(r.last, r.v.digested)
	}
	if r.first < least && r.sieve == nil {
		r.siftOn(least)
	}
	if r.sieve != nil {
		ids, err := r.sieve.next(size)
		if err != nil || len(ids) == 0 {
			return nil, false, err
		}
		r.sifted, r.at = r.sifted+len(ids), ids[len(ids)-1]
		batch, err = r.v.fetch(owedRows+` WHERE block = ANY ($1) AND block BETWEEN $2 AND $3
			AND ($4::bigint = 0 OR hook = $4) AND created < $5 ORDER BY block DESC`, ids, r.at, ids[0], r.hook, r.until)
		return batch, true, err
	}
	if !r.open {
		r.open = true
		_, err := r.v.tx.Exec(r.v.ctx, "DECLARE rows_of NO SCROLL CURSOR FOR "+owedRows+` WHERE block BETWEEN $1 AND $2
			AND ($3::bigint = 0 OR hook = $3) AND created < $4 ORDER BY block DESC`, least, r.first, r.hook, r.until)
		if err != nil {
			return nil, false, err
		}
	}
	batch, err = r.v.fetch(fmt.Sprintf("FETCH %d FROM rows_of", size))
	if len(batch) < size && r.sought.narrow() {
		r.siftOn(least)
		return batch, true, err
	}
	return batch, len(batch) == size, err
}

// siftOn goes on before a block by digests.
func (r *owedReader) siftOn(before int64) {
	r.sieve = newSieve(r.v.ctx, r.v.tx, r.sought, r.last, min(r.first, before-1))
}

func (v *viewer) fetch(query string, args ...any) ([]owedSlots, error) {
	rows, err := v.tx.Query(v.ctx, query, args...)
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
