package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Check looks at everything that a store keeps, in one snapshot: gateways may use
// it meanwhile. It changes nothing. progress is told how many blocks of how many
// were looked at; it may be nil. What PostgreSQL itself can tell of its files is
// left to it (pg_amcheck), but for what it cannot read.
func Check(ctx context.Context, opts Options, progress func(done, total int64)) (store.Report, error) {
	a, err := connectArchive(ctx, opts)
	if err != nil {
		return store.Report{}, err
	}
	defer a.Close()
	if err := a.checkVersion(ctx); err != nil {
		return store.Report{}, err
	}
	if err := refuseCopy(ctx, a.pool); err != nil {
		return store.Report{}, err
	}
	c := checker{ctx: ctx, progress: progress}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, a.pool, options, c.check)
	if err != nil {
		return store.Report{}, err
	}
	return c.report, nil
}

// checker is one check.
type checker struct {
	ctx      context.Context
	tx       pgx.Tx
	progress func(done, total int64)
	report   store.Report

	deleted map[int64]bool // by the numbers of all hooks
	counted store.Stats
	sources map[int64]hook.SourceCount // what there is evidence of
	hooks   map[int64]hook.HookCount   // likewise
	waiting map[int64]int64            // deliveries that wait, by hook
}

// What the server says when it finds its own files damaged (PostgreSQL manual,
// appendix A, class XX). The transaction has ended then.
var damaged = []string{"XX001", "XX002"}

func (c *checker) check(tx pgx.Tx) error {
	c.tx = tx
	c.sources, c.hooks, c.waiting = make(map[int64]hook.SourceCount), make(map[int64]hook.HookCount), make(map[int64]int64)
	for _, step := range []func() error{c.registry, c.blocks, c.orphans, c.owed, c.own, c.counters, c.digestsOfOwed} {
		err := step()
		if failed := (*pgconn.PgError)(nil); errors.As(err, &failed) && slices.Contains(damaged, failed.Code) {
			c.report.Add(store.FaultFile, "the database", "it cannot be read any further: %s; pg_amcheck tells more", failed.Message)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// registry reads sources, hooks and counters.
func (c *checker) registry() error {
	c.counted.Sources, c.counted.Hooks = make(map[int64]hook.SourceCount), make(map[int64]hook.HookCount)
	if err := readCounts(c.ctx, c.tx, &c.counted); err != nil {
		return err
	}
	err := c.each("SELECT 'source ' || name, doc FROM sources UNION ALL SELECT 'event hook ' || id, doc FROM hooks", func(rows pgx.Rows) error {
		var thing, doc string
		err := rows.Scan(&thing, &doc)
		if !json.Valid([]byte(doc)) {
			c.report.Add(store.FaultRegistry, thing, "it cannot be read")
		}
		return err
	})
	if err != nil {
		return err
	}
	c.deleted = make(map[int64]bool)
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
	return c.list(store.FaultRegistry, `SELECT 'the registry', 'its revision is ' || revision || ', but there is revision ' || (SELECT max(revision) FROM revisions)
		FROM registry WHERE revision < (SELECT max(revision) FROM revisions)
		UNION ALL SELECT 'event hook ' || id, 'its revision ' || revision || ' is missing'
		FROM hooks h WHERE NOT EXISTS (SELECT FROM revisions r WHERE r.revision = h.revision AND r.hook = h.number)
		UNION ALL SELECT 'the store', 'it has no identity, which the ids of its deliveries are made of'
		WHERE NOT EXISTS (SELECT FROM meta WHERE name = 'identity' AND length(value) = 20)`)
}

// each calls f for every row of a query.
func (c *checker) each(query string, f func(pgx.Rows) error, args ...any) error {
	rows, err := c.tx.Query(c.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// list makes findings of the rows of a query: thing and problem. It asks for one
// more than are told, so that the report knows of more.
func (c *checker) list(fault store.Fault, query string, args ...any) error {
	return c.each(query+" LIMIT "+strconv.Itoa(store.MaxFindings+1), func(rows pgx.Rows) error {
		var thing, problem string
		err := rows.Scan(&thing, &problem)
		c.report.Add(fault, thing, "%s", problem)
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
	var d *digest // of the chunk of the last block
	for last := int64(-1); ; {
		if c.progress != nil {
			c.progress(done, of)
		}
		var keys keyRows
		read := 0
		var full []*digest
		err := c.each("SELECT id, received, events::bigint, summary, payload FROM blocks WHERE id > $1 ORDER BY id LIMIT $2", func(rows pgx.Rows) error {
			var received int64
			var count int
			var summary, payload []byte
			if err := rows.Scan(&last, &received, &count, &summary, &payload); err != nil {
				return err
			}
			read++
			c.block(last, received, count, summary, payload, &keys)
			if d == nil || d.chunk != last>>chunkBits {
				full, d = append(full, d), newDigest(last>>chunkBits, received)
			}
			d.add(last, received, summary)
			return nil
		}, last, blocksAtOnce)
		if err == nil {
			err = c.dedupeKeys(&keys)
		}
		if read < blocksAtOnce {
			full = append(full, d)
		}
		for i := 0; i < len(full) && err == nil; i++ {
			err = c.digest(full[i])
		}
		if err != nil || read < blocksAtOnce {
			return err
		}
		done += int64(read)
	}
}

func (c *checker) block(id, received int64, count int, summary, payload []byte, keys *keyRows) {
	thing := fmt.Sprintf("block %d", id)
	c.report.Blocks++
	events, sizes, err := pack.Summary(id, fromMicros(received), summary)
	if err != nil {
		c.report.Add(store.FaultBlock, thing, "what lists need of it cannot be read, and so nothing of it")
		return
	}
	c.report.Events += int64(len(events))
	if len(events) != count || count == 0 {
		c.report.Add(store.FaultBlock, thing, "its summary tells of %d events, its row of %d", len(events), count)
	}
	if err := pack.Payload(payload, events, sizes); err != nil {
		c.report.Add(store.FaultBlock, thing, "the events' JSON cannot be read: %v", err)
	} else {
		for i := range events {
			if !pack.Agrees(&events[i]) {
				c.report.Add(store.FaultBlock, fmt.Sprintf("event %d", events[i].Seq), "lists say that it is the %s %q, its JSON does not", events[i].Type, events[i].UUID)
			}
		}
	}
	for _, e := range events {
		c.sources[e.Source] = hook.SourceCount{Received: c.sources[e.Source].Received + 1}
		keys.add(dedupeKey(e.UUID), e.Source, e.Seq)
	}
}

// dedupeKeys looks for the keys of events.
func (c *checker) dedupeKeys(keys *keyRows) error {
	return c.list(store.FaultKey, `SELECT 'event ' || k.seq, CASE WHEN s.seq IS NULL THEN 'it has no dedupe key: it would be kept again if it came again'
			ELSE 'its dedupe key is that of event ' || s.seq END
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS k (key, source, seq)
		LEFT JOIN seen s ON s.key = k.key AND s.source = k.source
		WHERE s.seq IS DISTINCT FROM k.seq`, keys.keys, keys.sources, keys.seqs)
}
