package postgres

import (
	"context"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// sought is what a search looks for; zero fields do not matter.
type sought struct {
	kind         string
	source       int64
	owed         bool // deliveries are sought: to hook, if that is not 0
	hook         int64
	since, until time.Time // of being owed; of events there is only until
}

// narrow reports whether digests are of any use.
func (q *sought) narrow() bool {
	return q.kind != "" || q.source != 0 || q.hook != 0 || !q.since.IsZero() || !q.until.IsZero()
}

// terms are those that a block must have, what is rarest first as a rule.
func (q *sought) terms() (all []term) {
	if q.owed && q.hook != 0 {
		all = append(all, term{ofHook, q.hook})
	}
	if q.source != 0 {
		all = append(all, term{ofSource, q.source})
	}
	if q.kind != "" {
		all = append(all, typeTerm(q.kind))
	}
	if q.owed && q.hook == 0 {
		all = append(all, term{ofHook, 0})
	}
	return all
}

// sieve leads a search through the chunks that have digests, the newest block
// first, past the blocks that cannot hold what is sought.
type sieve struct {
	ctx      context.Context
	db       querier
	from, to int64 // the blocks that are still to be looked at
	query    string
	args     []any   // the first two are the chunks of from and to
	ids      []int64 // found
}

// sieveChunks is of how many chunks postings are read at once.
const sieveChunks = 64

func newSieve(ctx context.Context, db querier, q sought, from, to int64) *sieve {
	s := &sieve{ctx: ctx, db: db, from: from, to: to, args: []any{nil, nil}}
	arg := func(value any) string {
		s.args = append(s.args, value)
		return fmt.Sprintf("$%d", len(s.args))
	}
	// An index is walked in the order of chunks for the first term, and asked of
	// each chunk for the others.
	of, in := "digests", "-1::bigint"
	var must []string
	for i, t := range q.terms() {
		is := fmt.Sprintf("of = %d AND thing = %s", t.of, arg(t.thing))
		if i == 0 {
			of, in, must = "postings", "t.blocks", append(must, is)
			continue
		}
		in += fmt.Sprintf(" & coalesce((SELECT p.blocks FROM postings p WHERE %s AND p.chunk = t.chunk), 0)", is)
	}
	since, until := "owed_to", "received_from"
	if q.owed {
		until = "owed_from"
	}
	var when []string
	if !q.since.IsZero() {
		when = append(when, fmt.Sprintf("d.%s >= %s", since, arg(micros(q.since))))
	}
	if !q.until.IsZero() {
		when = append(when, fmt.Sprintf("d.%s < %s", until, arg(micros(q.until))))
	}
	if len(when) > 0 {
		must = append(must, "EXISTS (SELECT FROM digests d WHERE d.chunk = t.chunk AND "+strings.Join(when, " AND ")+")")
	}
	s.query = fmt.Sprintf(`SELECT chunk, bit_or(blocks) FROM (
			SELECT t.chunk, %s AS blocks FROM %s t WHERE %s
			UNION ALL
			SELECT t.chunk, t.blocks FROM postings t WHERE of = %d AND thing = 0) t
		WHERE chunk BETWEEN $1 AND $2 AND blocks != 0 GROUP BY chunk ORDER BY chunk DESC LIMIT %d`,
		in, of, strings.Join(append(must, "true"), " AND "), ofUnread, sieveChunks)
	return s
}

// next returns up to so many of the blocks that are to be searched next. There
// are none at the end.
func (s *sieve) next(limit int) (ids []int64, err error) {
	for len(s.ids) < limit && s.from <= s.to {
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	limit = min(limit, len(s.ids))
	ids, s.ids = s.ids[:limit], s.ids[limit:]
	return ids, nil
}

// fill finds blocks in the next few chunks that may have any.
func (s *sieve) fill() error {
	s.args[0], s.args[1] = s.from>>chunkBits, s.to>>chunkBits
	rows, err := s.db.Query(s.ctx, s.query, s.args...)
	if err != nil {
		return err
	}
	n, to := 0, s.to
	var chunk, in int64
	_, err = pgx.ForEachRow(rows, []any{&chunk, &in}, func() error {
		n++
		for left := uint64(in); left != 0; {
			top := bits.Len64(left) - 1
			left &^= 1 << top
			if id := chunk<<chunkBits + int64(top); id >= s.from && id <= to {
				s.ids = append(s.ids, id)
			}
		}
		s.to = chunk<<chunkBits - 1
		return nil
	})
	if n < sieveChunks {
		s.to = s.from - 1
	}
	return err
}
