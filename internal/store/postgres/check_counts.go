package postgres

import (
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
)

// counters holds the counters to what there is evidence of. Retention drops
// whole days without looking into them, so only what waits is known exactly.
func (c *checker) counters() error {
	if err := c.countRows(); err != nil {
		return err
	}
	for number, truth := range c.sources {
		counted, thing := c.counted.Sources[number], fmt.Sprintf("source %d", number)
		c.atLeast(thing, "received", counted.Received, truth.Received)
		c.atLeast(thing, "rejected", counted.Rejected, truth.Rejected)
	}
	deleted := 0
	for number, gone := range c.deleted {
		counted, truth, thing := c.counted.Hooks[number], c.hooks[number], fmt.Sprintf("hook %d", number)
		c.atLeast(thing, "matched", counted.Matched, truth.Matched)
		c.atLeast(thing, "delivered", counted.Delivered, truth.Delivered)
		c.atLeast(thing, "dead", counted.Dead, truth.Dead)
		c.atLeast(thing, "attempts", counted.Attempts, truth.Attempts)
		c.atLeast(thing, "filter errors", counted.FilterErrors, truth.FilterErrors)
		if gone {
			deleted++ // what waited for it was cancelled, and some of it is gone
			continue
		}
		c.atLeast(thing, "cancelled", counted.Cancelled, truth.Cancelled)
		if waiting := counted.Waiting(); waiting != c.waiting[number] {
			c.report.Add(store.FaultCounter, thing, "%d deliveries wait by its counters, and %d do", waiting, c.waiting[number])
		}
	}
	c.report.Bounded = append(c.report.Bounded,
		"what sources sent twice, without a right secret, or that was too large or refused: it is only counted",
		"what hooks matched and what became of it, and what sources sent: retention drops whole days, so these counters were only held not to be below what is kept; what waits was counted")
	if deleted > 0 {
		c.report.Bounded = append(c.report.Bounded, "what was cancelled with deleted hooks")
	}
	return nil
}

func (c *checker) atLeast(thing, what string, counted, there int64) {
	if counted < there {
		c.report.Add(store.FaultCounter, thing, "%s: %d are counted, and %d are there", what, counted, there)
	}
}

// countRows counts what lies in tables of its own.
func (c *checker) countRows() error {
	err := c.each("SELECT hook::bigint, count(*) FROM filter_errors GROUP BY hook", func(rows pgx.Rows) error {
		var number, n int64
		err := rows.Scan(&number, &n)
		count := c.hooks[number]
		count.FilterErrors = n
		c.hooks[number] = count
		return err
	})
	if err != nil {
		return err
	}
	return c.each("SELECT source, count(*) FROM rejected GROUP BY source", func(rows pgx.Rows) error {
		var number, n int64
		err := rows.Scan(&number, &n)
		c.sources[number] = hook.SourceCount{Received: c.sources[number].Received, Rejected: n}
		return err
	})
}
