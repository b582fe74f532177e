package sqlite

import (
	"fmt"
	"math"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// counters holds the counters to what there is evidence of.
func (c *checker) counters() error {
	kept, err := loadCounters(c.conn)
	if err != nil {
		c.report.Add(store.FaultCounter, "counters", "%v", err)
		return nil
	}
	deleted := make(map[int64]bool)
	stmt := prep(c.conn, "SELECT number FROM hooks WHERE deleted")
	if err := each(stmt, func() error { deleted[stmt.ColumnInt64(0)] = true; return nil }); err != nil {
		return err
	}
	if err := c.countRows(); err != nil {
		return err
	}
	for number, truth := range c.truth.hooks {
		if _, counted := kept.hooks[number]; !counted && truth != (hook.HookCount{}) {
			kept.hooks[number] = hook.HookCount{}
		}
	}
	for number, counted := range kept.hooks {
		where, truth := fmt.Sprintf("hook %d", number), c.truth.hooks[number]
		c.compare(where, "matched", counted.Matched, truth.Matched)
		c.compare(where, "delivered", counted.Delivered, truth.Delivered)
		c.compare(where, "dead", counted.Dead, truth.Dead)
		c.compare(where, "attempts", counted.Attempts, truth.Attempts)
		c.compare(where, "filter errors", counted.FilterErrors, truth.FilterErrors)
		if deleted[number] {
			continue // what waited for it was cancelled, and some of it is gone
		}
		c.compare(where, "cancelled", counted.Cancelled, truth.Cancelled)
		if waiting := counted.Waiting(); waiting != c.waiting[number] {
			c.report.Add(store.FaultCounter, where, "%d deliveries wait by its counters, and %d do", waiting, c.waiting[number])
		}
	}
	for number, truth := range c.truth.sources {
		counted := kept.sources[number]
		where := fmt.Sprintf("source %d", number)
		c.compare(where, "received", counted.Received, truth.Received)
		if counted.Rejected < truth.Rejected {
			c.compare(where, "rejected", counted.Rejected, truth.Rejected)
		}
	}
	c.report.Bounded = append(c.report.Bounded, "what sources sent twice, without a right secret, or that was too large or refused: it is only counted", "what was rejected: retention removes it by itself, so it was only held not to be below what is kept")
	if c.gaps {
		c.report.Bounded = append(c.report.Bounded, "what hooks matched and what became of it, and what sources sent: retention has removed events, so these counters were only held not to be below what is kept; what waits was counted")
	}
	if len(deleted) > 0 {
		c.report.Bounded = append(c.report.Bounded, "what was cancelled with deleted hooks")
	}
	return nil
}

// compare compares a counter with the evidence, of which retention may have
// removed some.
func (c *checker) compare(where, what string, counted, truth int64) {
	if counted == truth || c.gaps && counted > truth {
		return
	}
	c.report.Add(store.FaultCounter, where, "%s: %d are counted, and %d are there", what, counted, truth)
}

// countRows counts what lies in tables of its own.
func (c *checker) countRows() error {
	stmt := prep(c.conn, "SELECT hook, count(*) FROM filter_errors GROUP BY hook")
	err := each(stmt, func() error {
		count := c.truth.hooks[stmt.ColumnInt64(0)]
		count.FilterErrors = stmt.ColumnInt64(1)
		c.truth.hooks[stmt.ColumnInt64(0)] = count
		return nil
	})
	if err != nil {
		return err
	}
	stmt = prep(c.conn, "SELECT source, count(*) FROM rejected GROUP BY source")
	return each(stmt, func() error {
		count := c.truth.sources[stmt.ColumnInt64(0)]
		count.Rejected = stmt.ColumnInt64(1)
		c.truth.sources[stmt.ColumnInt64(0)] = count
		return nil
	})
}

// digests checks that no digest, of a chunk or a volume, has a search pass by
// what is there.
func (c *checker) digests() error {
	volume, ofVolume := int64(-1), newDigest()
	for chunk := int64(0); ; chunk++ {
		first, err := oldestFrom(c.conn, chunk*chunkBlocks)
		if err != nil {
			return err
		}
		chunk = first / chunkBlocks
		if first == 0 || chunk/volumeChunks != volume {
			if err := c.digest(ofVolume, digestOfVolume, volume, volumeBlocks); first == 0 || err != nil {
				return err
			}
			volume, ofVolume = chunk/volumeChunks, newDigest()
		}
		ofChunk := newDigest()
		if err := ofChunk.read(c.conn, chunk); err != nil {
			return err
		}
		if err := c.digest(ofChunk, digestOfChunk, chunk, chunkBlocks); err != nil {
			return err
		}
		ofVolume.sumUp(ofChunk.append(nil), 1<<(chunk%volumeChunks))
	}
}

// digest holds what one of the queries of a sieve reads, if it reads something,
// to the truth. blocks is of how many blocks it is.
func (c *checker) digest(truth *digest, query string, number, blocks int64) error {
	stmt := prep(c.conn, query)
	stmt.BindInt64(1, number)
	return each(stmt, func() error {
		if !truth.within(blob(stmt, 0)) {
			c.report.Add(store.FaultDigest, fmt.Sprintf("blocks %d to %d", number*blocks, (number+1)*blocks-1),
				"searches pass by what is there; empty the tables digests and volumes while no gateway runs, and the next start makes both again")
		}
		return nil
	})
}

// within reports whether a search that goes by another digest finds everything
// that is in this one. What could not be read is for others to tell.
func (d *digest) within(body []byte) bool {
	finds := func(q sought, in uint64) bool {
		spans, _ := q.in(body)
		return in&^spans == 0
	}
	for kind, in := range d.types {
		if kind != "" && !finds(sought{kind: kind}, in) {
			return false
		}
	}
	for number, in := range d.sources {
		if !finds(sought{source: number}, in) {
			return false
		}
	}
	for number, in := range d.hooks {
		if !finds(sought{hook: number, owed: true}, in) {
			return false
		}
	}
	for _, of := range []struct {
		period
		owed bool
	}{{d.received, false}, {d.created, true}} {
		if of.from > of.to {
			continue
		}
		if !finds(sought{since: fromMicros(of.to), owed: of.owed}, math.MaxUint64) ||
			!finds(sought{until: fromMicros(of.from + 1), owed: of.owed}, math.MaxUint64) {
			return false
		}
	}
	return true
}
