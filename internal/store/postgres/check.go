package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// Check looks at everything that a store keeps, in one snapshot: gateways may use
// it meanwhile. progress is told how many blocks of how many were looked at.
//
// It finds: blocks that cannot be read, or whose summary and payload do not
// agree; events without their dedupe key; rows about blocks or hooks that are not
// there; deliveries that are accounted for twice or not at all; and counters that
// cannot be true. What PostgreSQL itself can tell of its files is left to it
// (pg_amcheck).
func Check(ctx context.Context, opts Options, progress func(done, of int64)) (store.Findings, error) {
	a, err := connectArchive(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if err := a.checkVersion(ctx); err != nil {
		return nil, err
	}
	if err := refuseCopy(ctx, a.pool); err != nil {
		return nil, err
	}
	c := checker{ctx: ctx, progress: progress}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, a.pool, options, c.check)
	return c.findings, err
}

// checker is one check.
type checker struct {
	ctx      context.Context
	tx       pgx.Tx
	progress func(done, of int64)
	findings store.Findings

	deleted  map[int64]bool // by the numbers of all hooks
	sources  map[int64]hook.SourceCount
	hooks    map[int64]hook.HookCount
	received map[int64]int64          // events that are there, by source
	there    map[int64]hook.HookCount // deliveries that are there, by hook
	waiting  map[int64]int64          // of them, by hook
}

func (c *checker) check(tx pgx.Tx) error {
	c.tx = tx
	c.received, c.there, c.waiting = make(map[int64]int64), make(map[int64]hook.HookCount), make(map[int64]int64)
	for _, step := range []func() error{c.registry, c.blocks, c.orphans, c.owed, c.counters} {
		if err := step(); err != nil || c.findings.Full() {
			return err
		}
	}
	return nil
}

// registry reads sources, hooks and counters.
func (c *checker) registry() error {
	var stats store.Stats
	stats.Sources, stats.Hooks = make(map[int64]hook.SourceCount), make(map[int64]hook.HookCount)
	if err := readCounts(c.ctx, c.tx, &stats); err != nil {
		return err
	}
	c.sources, c.hooks, c.deleted = stats.Sources, stats.Hooks, make(map[int64]bool)
	err := c.each(`SELECT 'source ' || name, number, false, doc FROM sources
		UNION ALL SELECT 'event hook ' || id, number, deleted, doc FROM hooks`, func(rows pgx.Rows) error {
		var thing, doc string
		var number int64
		var deleted bool
		if err := rows.Scan(&thing, &number, &deleted, &doc); err != nil {
			return err
		}
		if !json.Valid([]byte(doc)) {
			c.findings.Add(thing, "cannot be read")
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = c.each("SELECT number, deleted FROM hooks", func(rows pgx.Rows) error {
		var number int64
		var deleted bool
		err := rows.Scan(&number, &deleted)
		c.deleted[number] = deleted
		return err
	})
	if err != nil {
		return err
	}
	return c.list(`SELECT 'the registry', 'its revision is ' || revision || ', but there is revision ' || (SELECT max(revision) FROM revisions)
		FROM registry WHERE revision < (SELECT max(revision) FROM revisions)
		UNION ALL SELECT 'event hook ' || id, 'its revision ' || revision || ' is missing'
		FROM hooks h WHERE NOT EXISTS (SELECT FROM revisions r WHERE r.revision = h.revision AND r.hook = h.number)
		UNION ALL SELECT 'the store', 'it has no identity' WHERE NOT EXISTS (SELECT FROM meta WHERE name = 'identity' AND length(value) = 20)`)
}

// each calls f for every row of a query.
func (c *checker) each(query string, f func(pgx.Rows) error, args ...any) error {
	rows, err := c.tx.Query(c.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() && !c.findings.Full() {
		if err := f(rows); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// list makes findings of the rows of a query: thing and problem.
func (c *checker) list(query string, args ...any) error {
	return c.each(query+" LIMIT "+strconv.Itoa(store.MaxFindings), func(rows pgx.Rows) error {
		var thing, problem string
		err := rows.Scan(&thing, &problem)
		c.findings.Add(thing, "%s", problem)
		return err
	}, args...)
}

// blocksAtOnce is how many blocks are looked at before their dedupe keys are.
const blocksAtOnce = 128

// blocks reads every block.
func (c *checker) blocks() error {
	var of, done int64
	if err := c.tx.QueryRow(c.ctx, "SELECT count(*) FROM blocks").Scan(&of); err != nil {
		return err
	}
	for last := int64(-1); ; {
		var keys keyRows
		read := 0
		err := c.each("SELECT id, received, events::bigint, summary, payload FROM blocks WHERE id > $1 ORDER BY id LIMIT $2", func(rows pgx.Rows) error {
			var received int64
			var count int
			var summary, payload []byte
			if err := rows.Scan(&last, &received, &count, &summary, &payload); err != nil {
				return err
			}
			read++
			c.block(last, received, count, summary, payload, &keys)
			return nil
		}, last, blocksAtOnce)
		if err == nil {
			err = c.dedupeKeys(&keys)
		}
		if err != nil || read < blocksAtOnce || c.findings.Full() {
			return err
		}
		done += int64(read)
		c.progress(done, of)
	}
}

func (c *checker) block(id, received int64, count int, summary, payload []byte, keys *keyRows) {
	thing := fmt.Sprintf("block %d", id)
	events, sizes, err := pack.Summary(id, fromMicros(received), summary)
	if err != nil {
		c.findings.Add(thing, "its summary cannot be read: %v", err)
		return
	}
	if len(events) != count || count == 0 {
		c.findings.Add(thing, "its summary tells of %d events, its row of %d", len(events), count)
	}
	if err := pack.Payload(payload, events, sizes); err != nil {
		c.findings.Add(thing, "its events cannot be read: %v", err)
	} else {
		for i := range events {
			if !agree(&events[i]) {
				c.findings.Add(fmt.Sprintf("event %d", events[i].Seq), "its summary says that it is the %s %q, its JSON does not", events[i].Type, events[i].UUID)
			}
		}
	}
	for _, e := range events {
		c.received[e.Source]++
		keys.add(dedupeKey(e.UUID), e.Source, e.Seq)
	}
}

// agree reports whether an event's JSON has the type and uuid that its summary
// tells. Almost always they stand there literally.
func agree(e *hook.Event) bool {
	if bytes.Contains(e.JSON, []byte(`"`+e.UUID+`"`)) && bytes.Contains(e.JSON, []byte(`"`+e.Type+`"`)) {
		return true
	}
	var said struct{ UUID, EventType string }
	err := json.Unmarshal(e.JSON, &said)
	return err == nil && said.UUID == e.UUID && said.EventType == e.Type
}

// dedupeKeys looks for the keys of events.
func (c *checker) dedupeKeys(keys *keyRows) error {
	return c.list(`SELECT 'event ' || k.seq, CASE WHEN s.seq IS NULL THEN 'its dedupe key is missing: it would be taken in again'
			ELSE 'its dedupe key leads to event ' || s.seq END
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS k (key, source, seq)
		LEFT JOIN seen s ON s.key = k.key AND s.source = k.source
		WHERE s.seq IS DISTINCT FROM k.seq`, keys.keys, keys.sources, keys.seqs)
}
