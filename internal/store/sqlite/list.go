package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Deliveries lists deliveries; see store.Reader. The order is that of
// (event, hook, replay), all descending.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery, now time.Time) (found []hook.Delivery, next *hook.Key, err error) {
	err = s.view(ctx, q.Hook, now, func(v *viewer) error {
		l := deliveryList{v: v, q: q, sieve: newSieve(v.conn, sought{
			kind: q.Type, source: q.Source, hook: q.Hook, since: q.Since, until: q.Until, owed: true,
		})}
		hi := int64(math.MaxInt64)
		if q.Before != nil {
			hi = q.Before.Seq.Block()
		}
		var err error
		switch {
		case q.Event != 0:
			if block := q.Event.Block(); block <= hi {
				_, err = l.scan(block, block)
			}
		case len(q.States) == 0 || slices.Contains(q.States, hook.Delivered):
			err = l.all(hi)
		default:
			err = l.undelivered(hi)
		}
		found, next = l.found, l.next
		return err
	})
	return found, next, err
}

// deliveryList lists deliveries in one snapshot, a block at a time: its newest
// event comes first, whichever hooks it is owed to.
type deliveryList struct {
	v     *viewer
	q     store.DeliveryQuery
	sieve *sieve
	found []hook.Delivery
	next  *hook.Key // where a further call goes on; nil at the end
}

// all walks everything that was ever owed.
func (l *deliveryList) all(hi int64) error {
	for {
		from, to, err := l.sieve.next(hi)
		if err != nil {
			return err
		}
		if from > to {
			if to > 0 && l.sieve.left == 0 {
				l.next = &hook.Key{Seq: hook.MakeSeq(from, 0)}
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
func (l *deliveryList) scan(from, to int64) (end bool, err error) {
	stmt := prep(l.v.conn, "SELECT "+owedColumns+` FROM owed
		WHERE block BETWEEN +?1 AND +?2 AND (+?3 = 0 OR hook = ?3) ORDER BY block DESC`)
	stmt.BindInt64(1, from)
	stmt.BindInt64(2, to)
	stmt.BindInt64(3, l.q.Hook)
	var rows []owedRow // of one block
	err = upTo(1, stmt, func() (int, error) {
		if len(rows) > 0 && stmt.ColumnInt64(0) != rows[0].block {
			if end, err = l.block(rows); err != nil || end {
				return 1, err
			}
			rows = rows[:0]
			if l.sieve.left == 0 {
				end, l.next = true, &hook.Key{Seq: hook.MakeSeq(stmt.ColumnInt64(0)+1, 0)}
				return 1, nil
			}
		}
		l.sieve.left = max(0, l.sieve.left-1)
		rows = append(rows, scanOwed(stmt))
		return 0, nil
	})
	if err == nil && !end && len(rows) > 0 {
		return l.block(rows)
	}
	return end, err
}

// block lists the deliveries of one block's rows. end is true when there is no
// room for more.
func (l *deliveryList) block(rows []owedRow) (end bool, err error) {
	list, err := l.v.ofBlock(rows, l.q)
	if err != nil {
		return false, err
	}
	for i := range list {
		if l.found = append(l.found, list[i]); len(l.found) == l.q.Limit {
			l.next = &list[i].Key
			return true, nil
		}
	}
	return false, nil
}

// undelivered lists deliveries that are in none but other states, by the
// indexes of what is open, waits for another attempt, or is dead.
func (l *deliveryList) undelivered(hi int64) error {
	for hi > 0 {
		blocks, more, err := l.candidates(hi)
		if err != nil {
			return err
		}
		for _, block := range blocks {
			if l.sieve.left == 0 {
				l.next = &hook.Key{Seq: hook.MakeSeq(block+1, 0)}
				return nil
			}
			if may, err := l.sieve.may(block); err != nil {
				return err
			} else if !may {
				l.sieve.left--
				continue
			}
			if end, err := l.scan(block, block); err != nil || end {
				return err
			}
		}
		hi = more
	}
	return nil
}

// In each of these is the newest block first, and a block as often as it likes.
const (
	blocksFirst = "SELECT block FROM owed WHERE hook = +? AND block <= +? AND open != 0 AND replay = 0 ORDER BY block DESC"
	blocksAgain = "SELECT block FROM owed WHERE hook = +? AND block <= +? AND open != 0 AND replay != 0 ORDER BY block DESC"
	blocksOwn   = "SELECT seq >> 6 FROM deliveries WHERE hook = +?1 AND state = +?3 AND seq < (+?2 + 1) << 6 ORDER BY seq DESC"
)

// candidates returns the newest blocks up to hi, newest first, that may hold
// what is wanted; further ones begin at more, 0 when there are none.
func (l *deliveryList) candidates(hi int64) (blocks []int64, more int64, err error) {
	add := func(list []int64, rest int64) {
		blocks, more = append(blocks, list...), max(more, rest)
	}
	if slices.Contains(l.q.States, hook.Sending) {
		add(l.leased(hi), 0)
	}
	waiting, cancelled := slices.Contains(l.q.States, hook.Waiting), slices.Contains(l.q.States, hook.Cancelled)
	hooks, err := l.hooks()
	if err != nil {
		return nil, 0, err
	}
	for _, number := range hooks {
		if waiting && !l.v.deleted[number] || cancelled && l.v.deleted[number] {
			for _, query := range []string{blocksFirst, blocksAgain, blocksOwn} {
				list, rest, err := l.newest(query, number, hi, hook.Waiting)
				if err != nil {
					return nil, 0, err
				}
				add(list, rest)
			}
		}
		if slices.Contains(l.q.States, hook.Dead) {
			list, rest, err := l.newest(blocksOwn, number, hi, hook.Dead)
			if err != nil {
				return nil, 0, err
			}
			add(list, rest)
		}
	}
	slices.SortFunc(blocks, func(a, b int64) int { return cmp.Compare(b, a) })
	blocks = slices.Compact(blocks)
	// Below more, some list has gaps that are not known yet.
	return slices.DeleteFunc(blocks, func(block int64) bool { return block <= more }), more, nil
}

// page is how many blocks are looked for in one index at once.
const page = 64

// newest returns up to page blocks by one of the queries above; more is where
// further ones begin, 0 when there are none.
func (l *deliveryList) newest(query string, number, hi int64, state hook.State) (blocks []int64, more int64, err error) {
	stmt := prep(l.v.conn, query)
	stmt.BindInt64(1, number)
	stmt.BindInt64(2, min(hi, math.MaxInt64>>7)) // no block is so great, and none overflows then
	if query == blocksOwn {
		stmt.BindInt64(3, int64(state))
	}
	err = upTo(page, stmt, func() (int, error) {
		block := stmt.ColumnInt64(0)
		if len(blocks) > 0 && blocks[len(blocks)-1] == block {
			return 0, nil
		}
		blocks = append(blocks, block)
		return 1, nil
	})
	if len(blocks) == page {
		more = blocks[page-1] - 1
	}
	return blocks, more, err
}

// leased returns the blocks up to hi of what is being sent.
func (l *deliveryList) leased(hi int64) (blocks []int64) {
	for _, of := range l.v.leases {
		for key := range of {
			if block := key.Seq.Block(); block <= hi {
				blocks = append(blocks, block)
			}
		}
	}
	return blocks
}

// hooks returns the numbers of the hooks whose deliveries are wanted.
func (l *deliveryList) hooks() (numbers []int64, err error) {
	if l.q.Hook != 0 {
		return []int64{l.q.Hook}, nil
	}
	stmt := prep(l.v.conn, "SELECT number FROM hooks")
	err = each(stmt, func() error { numbers = append(numbers, stmt.ColumnInt64(0)); return nil })
	return numbers, err
}
