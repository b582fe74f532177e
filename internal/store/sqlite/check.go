package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// Check looks at everything in the store at path, as it is at one moment, and
// reports what is not as it must be. It changes nothing. A gateway may be
// serving from the store; see Backup for what that costs. progress is told how
// many blocks of how many have been read; it may be nil.
func Check(ctx context.Context, path string, progress func(done, total int64)) (_ store.Report, err error) {
	conn, err := openBeside(path)
	if err != nil {
		return store.Report{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer catch(&err)
	version, err := schemaVersion(conn)
	if err != nil {
		return store.Report{}, err
	}
	if err := refuseCopy(conn, path); err != nil {
		return store.Report{}, err
	}
	if err := notOlder(version, path); err != nil {
		return store.Report{}, err
	}
	conn.SetInterrupt(ctx.Done())
	c := checker{
		conn: conn, progress: progress, waiting: make(map[int64]int64),
		truth: counters{sources: make(map[int64]hook.SourceCount), hooks: make(map[int64]hook.HookCount)},
	}
	for _, step := range []func() error{c.file, c.registry, c.blocks, c.orphans, c.keys, c.counters, c.digests} {
		if err := c.try(step); err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return store.Report{}, err
		}
	}
	return c.report, nil
}

// checker is one Check.
type checker struct {
	report   store.Report
	conn     *sqlite.Conn
	progress func(done, total int64)

	gaps    bool            // blocks are missing: retention has removed some
	truth   counters        // what there is evidence of
	waiting map[int64]int64 // deliveries that wait, by hook
}

// try runs a step. That SQLite cannot read the file is a finding, and other
// steps may read more.
func (c *checker) try(step func() error) (err error) {
	defer func() {
		switch sqlite.ErrCode(err).ToPrimary() {
		case sqlite.ResultCorrupt, sqlite.ResultNotADB:
			c.report.Add(store.FaultFile, "file", "it cannot be read any further: %v", err)
			err = nil
		}
	}()
	defer catch(&err)
	return step()
}

// file has SQLite check its pages, and the indexes against the tables.
func (c *checker) file() error {
	stmt := prep(c.conn, fmt.Sprintf("PRAGMA integrity_check(%d)", store.MaxFindings))
	return each(stmt, func() error {
		if said := stmt.ColumnText(0); said != "ok" {
			c.report.Add(store.FaultFile, "file", "%s", said)
		}
		return nil
	})
}

// registry checks what the store says of itself, its sources and hooks.
func (c *checker) registry() error {
	identity, err := metaText(c.conn, "identity")
	if err != nil {
		return err
	}
	if len(identity) != 20 {
		c.report.Add(store.FaultRegistry, "the store", "it has no identity, which the ids of its deliveries are made of")
	}
	stmt := prep(c.conn, "SELECT 'source ' || name, doc FROM sources UNION ALL SELECT 'event hook ' || id, doc FROM hooks")
	return each(stmt, func() error {
		if !json.Valid(blob(stmt, 1)) {
			c.report.Add(store.FaultRegistry, stmt.ColumnText(0), "it cannot be read")
		}
		return nil
	})
}

func block(id int64) string { return fmt.Sprint("block ", id) }

// blocks reads every event, and what it is owed.
func (c *checker) blocks() error {
	var total, newest int64
	count := prep(c.conn, "SELECT count(*), coalesce(max(id), 0) FROM blocks")
	err := each(count, func() error {
		total, newest = count.ColumnInt64(0), count.ColumnInt64(1)
		return nil
	})
	if err != nil {
		return err
	}
	last, err := metaText(c.conn, "last_block")
	if err != nil {
		return err
	}
	c.gaps = newest != total || last != "" // numbers begin at 1
	stmt := prep(c.conn, "SELECT id, received, summary, payload FROM blocks ORDER BY id")
	return each(stmt, func() error {
		id := stmt.ColumnInt64(0)
		if c.progress != nil && c.report.Blocks%1000 == 0 {
			c.progress(c.report.Blocks, total)
		}
		c.report.Blocks++
		events, sizes, damage := pack.Summary(id, fromMicros(stmt.ColumnInt64(1)), blob(stmt, 2))
		if damage != nil {
			c.report.Add(store.FaultBlock, block(id), "what lists need of it cannot be read, and so nothing of it")
			return c.owedOf(id, ^uint64(0))
		}
		if len(events) == 0 {
			c.report.Add(store.FaultBlock, block(id), "it is empty")
		}
		if err := pack.Payload(blob(stmt, 3), events, sizes); err != nil {
			c.report.Add(store.FaultBlock, block(id), "the events' JSON cannot be read: %v", err)
		} else {
			for i := range events {
				if !pack.Agrees(&events[i]) {
					c.report.Add(store.FaultBlock, fmt.Sprintf("event %d", events[i].Seq), "lists say that it is the %s %q, its JSON does not", events[i].Type, events[i].UUID)
				}
			}
		}
		c.report.Events += int64(len(events))
		for i := range events {
			c.truth.sources[events[i].Source] = hook.SourceCount{Received: c.truth.sources[events[i].Source].Received + 1}
			if err := c.key(&events[i]); err != nil {
				return err
			}
		}
		return c.owedOf(id, ^uint64(0)>>(hook.BlockSlots-max(1, len(events))))
	})
}
