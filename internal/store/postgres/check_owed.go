package postgres

import (
	"fmt"
	"math/bits"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// orphans looks for rows about what is not there.
func (c *checker) orphans() error {
	for _, table := range []struct{ name, block string }{
		{"settled", "t.block"}, {"work", "t.block"}, {"ended", "(t.seq >> 6)"}, {"retries", "(t.seq >> 6)"}, {"filter_errors", "(t.seq >> 6)"},
	} {
		err := c.list(fmt.Sprintf(`SELECT 'table %[1]s', count(*) || ' rows are about block ' || %[2]s || ', which is not there'
			FROM %[1]s t WHERE NOT EXISTS (SELECT FROM blocks b WHERE b.id = %[2]s) GROUP BY %[2]s
			UNION ALL SELECT 'table %[1]s', count(*) || ' rows are about hook ' || t.hook || ', which there never was'
			FROM %[1]s t WHERE NOT EXISTS (SELECT FROM hooks h WHERE h.number = t.hook) GROUP BY t.hook`, table.name, table.block))
		if err != nil {
			return err
		}
	}
	return c.list(`SELECT 'event ' || f.seq, 'a filter error is about it, but its block has only ' || b.events || ' events'
		FROM filter_errors f JOIN blocks b ON b.id = f.seq >> 6 WHERE f.seq & 63 >= b.events
		UNION ALL SELECT 'event ' || s.seq, 'a dedupe key leads to it, but its block has only ' || b.events || ' events'
		FROM seen s JOIN blocks b ON b.id = s.seq >> 6 WHERE s.seq & 63 >= b.events
		UNION ALL SELECT 'day ' || (s.seq >> 42), count(*) || ' dedupe keys are of it, but nobody knows of it to remove them some day'
		FROM seen s WHERE NOT EXISTS (SELECT FROM days d WHERE d.day = s.seq >> 42 AND (d.day > 0 OR d.newest IS NOT NULL)) GROUP BY s.seq >> 42
		UNION ALL SELECT 'event ' || e.seq, 'it has ' || count(*) || ' rows of its own for hook ' || e.hook || ', replay ' || e.replay
		FROM (SELECT seq, hook, replay FROM ended UNION ALL SELECT seq, hook, replay FROM retries) e
		GROUP BY e.seq, e.hook, e.replay HAVING count(*) > 1`)
}

// owingRows is what all rows about one block, hook and replay say.
type owingRows struct {
	block, hook, replay  int64
	matched, open, own   int64
	slots                int64 // matched, counted in each row by itself
	events               int64
	outcomes             []byte
	retries, dead, ended int64 // rows of their own, by state
}

// owed looks at every delivery: each must be open, or have an outcome, or a row
// of its own, and no two of these, unless its hook is deleted.
func (c *checker) owed() error {
	// Where a row of its own has no block that owes it.
	err := c.list(`SELECT 'event ' || e.seq, 'it has a row of its own for hook ' || e.hook || ', replay ' || e.replay || ', to which it is not owed'
		FROM (SELECT seq, hook, replay FROM ended UNION ALL SELECT seq, hook, replay FROM retries) e
		WHERE NOT EXISTS (SELECT FROM (SELECT block, hook, replay, matched FROM settled UNION ALL SELECT block, hook, replay, matched FROM work) t
			WHERE t.block = e.seq >> 6 AND t.hook = e.hook AND t.replay = e.replay AND t.matched >> (e.seq & 63)::integer & 1 = 1)`)
	if err != nil {
		return err
	}
	return c.each(`
		SELECT t.block, t.hook::bigint, t.replay::bigint, t.matched, t.open, t.slots, t.outcomes,
			coalesce(o.own, 0), coalesce(o.retries, 0), coalesce(o.dead, 0), coalesce(o.ended, 0), coalesce(b.events, 64)::bigint
		FROM (
			SELECT block, hook, replay, bit_or(matched) AS matched, bit_or(open) AS open,
				sum(bit_count(matched::bit(64)))::bigint AS slots, string_agg(outcomes, '') AS outcomes
			FROM (SELECT block, hook, replay, matched, 0::bigint AS open, outcomes FROM settled
				UNION ALL SELECT block, hook, replay, matched, open, outcomes FROM work) t
			GROUP BY block, hook, replay
		) t
		LEFT JOIN (
			SELECT seq >> 6 AS block, hook, replay, bit_or(1::bigint << (seq & 63)::integer) AS own,
				count(*) FILTER (WHERE state = 0) AS retries, count(*) FILTER (WHERE state = 3) AS dead,
				count(*) FILTER (WHERE state = 2) AS ended
			FROM (SELECT seq, hook, replay, state FROM ended UNION ALL SELECT seq, hook, replay, 0 FROM retries) e
			GROUP BY 1, 2, 3
		) o ON o.block = t.block AND o.hook = t.hook AND o.replay = t.replay
		LEFT JOIN blocks b ON b.id = t.block`, func(rows pgx.Rows) error {
		var r owingRows
		err := rows.Scan(&r.block, &r.hook, &r.replay, &r.matched, &r.open, &r.slots, &r.outcomes,
			&r.own, &r.retries, &r.dead, &r.ended, &r.events)
		c.owing(&r)
		return err
	})
}

func (c *checker) owing(r *owingRows) {
	thing := fmt.Sprintf("block %d, hook %d, replay %d", r.block, r.hook, r.replay)
	parts, ok := pack.SplitOutcomes(r.outcomes)
	if !ok {
		c.findings.Add(thing, "outcomes of it cannot be read")
		return
	}
	var settled, twice uint64
	for _, part := range parts {
		twice |= settled & (1 << part[0])
		settled |= 1 << part[0]
	}
	matched, open, own := uint64(r.matched), uint64(r.open), uint64(r.own)
	all := settled | open | own
	twice |= settled&open | settled&own | open&own
	switch {
	case r.events < hook.BlockSlots && matched>>r.events != 0:
		c.findings.Add(thing, "it is owed events that the block of %d does not have", r.events)
	case int64(bits.OnesCount64(matched)) != r.slots:
		c.findings.Add(thing, "two rows owe the same event")
	case open&^matched != 0 || settled&^matched != 0:
		c.findings.Add(thing, "events have an outcome, or wait for one, that are not owed (%#x)", (open|settled)&^matched)
	case twice != 0:
		c.findings.Add(thing, "events are accounted for twice (%#x)", twice)
	case all != matched && !c.deleted[r.hook]:
		c.findings.Add(thing, "events are owed, but neither waiting nor settled (%#x): they are never sent", matched&^all)
	}
	count := c.there[r.hook]
	count.Matched += int64(bits.OnesCount64(matched))
	count.Delivered += int64(bits.OnesCount64(settled)) + r.ended
	count.Dead += r.dead
	c.there[r.hook] = count
	c.waiting[r.hook] += int64(bits.OnesCount64(open)) + r.retries
}

// counters compares counters to what is there. Retention has removed what some
// have counted, so only what waits is known exactly.
func (c *checker) counters() error {
	for number, n := range c.received {
		if counted := c.sources[number].Received; counted < n {
			c.findings.Add(fmt.Sprintf("source %d", number), "it has counted %d events, but there are %d of it", counted, n)
		}
	}
	for number, deleted := range c.deleted {
		counted, there, thing := c.hooks[number], c.there[number], fmt.Sprintf("hook %d", number)
		if n := c.waiting[number]; !deleted && counted.Waiting() != n {
			c.findings.Add(thing, "%d deliveries wait for it by its counters, and %d do", counted.Waiting(), n)
		}
		if counted.Matched < there.Matched || counted.Delivered < there.Delivered || counted.Dead < there.Dead {
			c.findings.Add(thing, "it has counted %d deliveries, %d delivered, %d dead; but there are %d, %d, %d",
				counted.Matched, counted.Delivered, counted.Dead, there.Matched, there.Delivered, there.Dead)
		}
	}
	return nil
}
