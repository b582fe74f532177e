package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	countSource = 1
	countHook   = 2

	// countFields is how many counters a row has.
	countFields = 7
)

// tally gathers what one transaction adds to the counters.
type tally struct {
	sources map[int64]hook.SourceCount
	hooks   map[int64]hook.HookCount
}

func (t *tally) source(number int64, add hook.SourceCount) {
	if t.sources == nil {
		t.sources = make(map[int64]hook.SourceCount)
	}
	v := t.sources[number]
	v.Add(add)
	t.sources[number] = v
}

func (t *tally) hook(number int64, add hook.HookCount) {
	if t.hooks == nil {
		t.hooks = make(map[int64]hook.HookCount)
	}
	v := t.hooks[number]
	v.Matched += add.Matched
	v.Delivered += add.Delivered
	v.Dead += add.Dead
	v.Attempts += add.Attempts
	v.FilterErrors += add.FilterErrors
	t.hooks[number] = v
}

// rows returns the tally as count_up takes it.
func (t *tally) rows() (kinds []int16, numbers, values []int64) {
	add := func(kind int16, number int64, fields []*int64) {
		kinds, numbers = append(kinds, kind), append(numbers, number)
		for i := range countFields {
			if i < len(fields) {
				values = append(values, *fields[i])
			} else {
				values = append(values, 0)
			}
		}
	}
	for number, v := range t.sources {
		add(countSource, number, pack.SourceFields(&v))
	}
	for number, v := range t.hooks {
		add(countHook, number, pack.HookFields(&v))
	}
	return kinds, numbers, values
}

// Count adds to the counters; see store.Intake.
func (s *Store) Count(ctx context.Context, counts map[int64]hook.SourceCount) error {
	t := tally{sources: counts}
	kinds, numbers, values := t.rows()
	return s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, "SELECT count_async($1, $2, $3)", kinds, numbers, values)
		return err
	})
}

// Stats returns counters and size; see store.Reader.
func (s *Store) Stats(ctx context.Context) (stats store.Stats, err error) {
	stats = store.Stats{
		Sources: make(map[int64]hook.SourceCount), Hooks: make(map[int64]hook.HookCount), OldestOwed: make(map[int64]time.Time),
	}
	err = s.snapshot(ctx, func(tx pgx.Tx) error {
		if err := readCounts(ctx, tx, &stats); err != nil {
			return err
		}
		if err := countCancelled(ctx, tx, &stats); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT h.number, o.at FROM hooks h, LATERAL (SELECT least(
				(SELECT t.created FROM work t WHERE t.hook = h.number ORDER BY t.created LIMIT 1),
				(SELECT t.created FROM retries t WHERE t.hook = h.number ORDER BY t.created LIMIT 1)) AS at) o
			WHERE NOT h.deleted AND o.at IS NOT NULL`)
		if err != nil {
			return err
		}
		var number, at int64
		_, err = pgx.ForEachRow(rows, []any{&number, &at}, func() error { stats.OldestOwed[number] = fromMicros(at); return nil })
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT
			(SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
				WHERE relnamespace = 'grapnel'::regnamespace AND relkind = 'r' AND (relispartition OR relname = 'rejected'))
			- (SELECT coalesce(sum(freed), 0)::bigint FROM days)`).Scan(&stats.Bytes)
	})
	return stats, err
}

func readCounts(ctx context.Context, tx pgx.Tx, stats *store.Stats) error {
	rows, err := tx.Query(ctx, `
		SELECT kind, number, sum(v1)::bigint, sum(v2)::bigint, sum(v3)::bigint, sum(v4)::bigint,
			sum(v5)::bigint, sum(v6)::bigint, sum(v7)::bigint
		FROM counts GROUP BY kind, number`)
	if err != nil {
		return err
	}
	var kind int16
	var number int64
	var values [countFields]int64
	into := []any{&kind, &number}
	for i := range values {
		into = append(into, &values[i])
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		switch kind {
		case countSource:
			var v hook.SourceCount
			setFields(pack.SourceFields(&v), values)
			stats.Sources[number] = v
		case countHook:
			var v hook.HookCount
			setFields(pack.HookFields(&v), values)
			stats.Hooks[number] = v
		default:
			return fmt.Errorf("the store counts something unknown, of kind %d", kind)
		}
		return nil
	})
	return err
}

func setFields(fields []*int64, values [countFields]int64) {
	for i, f := range fields {
		*f = values[i]
	}
}

// countCancelled counts what was cancelled with deleted hooks: all that waits
// for them, but for what is still being sent.
func countCancelled(ctx context.Context, tx pgx.Tx, stats *store.Stats) error {
	rows, err := tx.Query(ctx, `
		SELECT h.number,
			(SELECT coalesce(sum(bit_count(t.open::bit(64))), 0)::bigint FROM work t WHERE t.hook = h.number AND t.until > clock())
			+ (SELECT count(*) FROM retries t WHERE t.hook = h.number AND t.until > clock())
		FROM hooks h WHERE h.deleted`)
	if err != nil {
		return err
	}
	var number, sending int64
	_, err = pgx.ForEachRow(rows, []any{&number, &sending}, func() error {
		if c, counted := stats.Hooks[number]; counted {
			c.Cancelled += c.Waiting() - sending
			stats.Hooks[number] = c
		}
		return nil
	})
	return err
}
