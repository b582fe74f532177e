package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// Fault is a kind of finding.
type Fault string

// The kinds of findings. The list is closed.
const (
	FaultFile     Fault = "file"     // SQLite's own check of its pages and indexes
	FaultBlock    Fault = "block"    // events that cannot be read
	FaultDelivery Fault = "delivery" // what is owed, and what became of it, do not fit together
	FaultOrphan   Fault = "orphan"   // something belongs to what is not there
	FaultKey      Fault = "key"      // an event without its dedupe key, or a key without end
	FaultCounter  Fault = "counter"  // a counter is not what there is
	FaultDigest   Fault = "digest"   // a search would pass by what it seeks
)

// Finding is something that is not as it must be.
type Finding struct {
	Fault  Fault
	Where  string // what it is about, such as "block 12" or "hook 3"
	Detail string
}

// Report is what Check has found.
type Report struct {
	Blocks, Events, Deliveries int64
	Findings                   []Finding
	Omitted                    int // findings beyond MaxFindings of a kind
	// Unverified says which counters could only be held to a bound, and why.
	Unverified []string
}

// MaxFindings is how many findings of each kind a Report holds.
const MaxFindings = 100

// Check looks at everything in the store at path, as it is at one moment, and
// reports what is not as it must be. It changes nothing. A gateway may be
// serving from the store; see Backup for what that costs. progress is told how
// many blocks of how many have been read; it may be nil.
func Check(ctx context.Context, path string, progress func(done, total int64)) (_ Report, err error) {
	conn, err := openBeside(path)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	version, err := schemaVersion(conn)
	if err != nil {
		return Report{}, err
	}
	if known := len(migrations); version < known {
		return Report{}, fmt.Errorf("%s has schema version %d, older than this program's %d; start and stop grapnel serve on it once, which brings it up to date", path, version, known)
	}
	conn.SetInterrupt(ctx.Done())
	c := checker{
		conn: conn, progress: progress, of: make(map[Fault]int), waiting: make(map[int64]int64),
		truth: counters{sources: make(map[int64]hook.SourceCount), hooks: make(map[int64]hook.HookCount)},
	}
	for _, step := range []func() error{c.file, c.blocks, c.orphans, c.keys, c.counters, c.digests} {
		if err := c.try(step); err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return Report{}, err
		}
	}
	return c.Report, nil
}

// checker is one Check.
type checker struct {
	Report
	conn     *sqlite.Conn
	progress func(done, total int64)

	of      map[Fault]int   // findings, those omitted too
	gaps    bool            // blocks are missing: retention has removed some
	truth   counters        // what there is evidence of
	waiting map[int64]int64 // deliveries that wait, by hook
}

func (c *checker) add(fault Fault, where, format string, args ...any) {
	if c.of[fault]++; c.of[fault] > MaxFindings {
		c.Omitted++
		return
	}
	c.Findings = append(c.Findings, Finding{fault, where, fmt.Sprintf(format, args...)})
}

// try runs a step. That SQLite cannot read the file is a finding, and other
// steps may read more.
func (c *checker) try(step func() error) (err error) {
	defer func() {
		switch sqlite.ErrCode(err).ToPrimary() {
		case sqlite.ResultCorrupt, sqlite.ResultNotADB:
			c.add(FaultFile, "file", "it cannot be read any further: %v", err)
			err = nil
		}
	}()
	defer catch(&err)
	return step()
}

// file has SQLite check its pages, and the indexes against the tables.
func (c *checker) file() error {
	stmt := prep(c.conn, fmt.Sprintf("PRAGMA integrity_check(%d)", MaxFindings))
	return each(stmt, func() error {
		if said := stmt.ColumnText(0); said != "ok" {
			c.add(FaultFile, "file", "%s", said)
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
		if c.progress != nil && c.Blocks%1000 == 0 {
			c.progress(c.Blocks, total)
		}
		c.Blocks++
		events, sizes, damage := pack.Summary(id, fromMicros(stmt.ColumnInt64(1)), blob(stmt, 2))
		if damage != nil {
			c.add(FaultBlock, block(id), "what lists need of it cannot be read, and so nothing of it")
			return c.owedOf(id, ^uint64(0))
		}
		if len(events) == 0 {
			c.add(FaultBlock, block(id), "it is empty")
		}
		if err := pack.Payload(blob(stmt, 3), events, sizes); err != nil {
			c.add(FaultBlock, block(id), "the events' JSON cannot be read: %v", err)
		}
		c.Events += int64(len(events))
		for i := range events {
			c.truth.sources[events[i].Source] = hook.SourceCount{Received: c.truth.sources[events[i].Source].Received + 1}
			if err := c.key(&events[i]); err != nil {
				return err
			}
		}
		return c.owedOf(id, ^uint64(0)>>(hook.BlockSlots-max(1, len(events))))
	})
}
