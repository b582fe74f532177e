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

// rowsOf reads rows of work and settled from the block first down to last, a
// page at a time, and calls each with those of one block. It ends when each
// returns false. It may leave out what a query does not want.
func (v *viewer) rowsOf(first, last int64, q store.DeliveryQuery, each func([]owedSlots) (bool, error)) error {
	until := int64(math.MaxInt64)
	if !q.Until.IsZero() {
		until = micros(q.Until)
		first = min(first, newestBlock(store.EventQuery{Until: q.Until}))
	}
	_, err := v.tx.Exec(v.ctx, `DECLARE rows_of NO SCROLL CURSOR FOR
		SELECT block, hook, replay, created, matched, open, until, outcomes FROM (
			SELECT block, hook::bigint, replay::bigint, created, matched, open, until, outcomes FROM work
			UNION ALL
			SELECT block, hook::bigint, replay::bigint, created, matched, 0::bigint, 0::bigint, outcomes FROM settled) t
		WHERE block BETWEEN $1 AND $2 AND ($3::bigint = 0 OR hook = $3) AND created < $4 ORDER BY block DESC`, last, first, q.Hook, until)
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
		if v.blocks, err = siftBlocks(v.ctx, v.tx, slices.Compact(ids), false, q); err != nil {
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
