package postgres

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// orphans looks for rows about what is not there.
func (c *checker) orphans() error {
	for _, table := range []struct{ name, block string }{
		{"settled", "t.block"}, {"work", "t.block"}, {"ended", "(t.seq >> 6)"}, {"retries", "(t.seq >> 6)"}, {"filter_errors", "(t.seq >> 6)"},
		{"revisions", ""}, {"replays", ""},
	} {
		query := fmt.Sprintf(`SELECT 'hook ' || t.hook, count(*) || ' rows of table %[1]s are about it, but there never was such a hook'
			FROM %[1]s t WHERE NOT EXISTS (SELECT FROM hooks h WHERE h.number = t.hook) GROUP BY t.hook`, table.name)
		if table.block != "" {
			query += fmt.Sprintf(` UNION ALL SELECT 'block ' || %[2]s, count(*) || ' rows of table %[1]s are about it, but it is not there'
				FROM %[1]s t WHERE NOT EXISTS (SELECT FROM blocks b WHERE b.id = %[2]s) GROUP BY %[2]s`, table.name, table.block)
		}
		if err := c.list(store.FaultOrphan, query); err != nil {
			return err
		}
	}
	err := c.list(store.FaultOrphan, `SELECT 'event ' || f.seq, 'a filter error is about it, but its block has only ' || b.events || ' events'
		FROM filter_errors f JOIN blocks b ON b.id = f.seq >> 6 WHERE f.seq & 63 >= b.events
		UNION ALL SELECT 'replay ' || t.replay, 'deliveries are of it, but it is not there'
		FROM (SELECT DISTINCT replay FROM work UNION SELECT DISTINCT replay FROM settled) t
		WHERE t.replay != 0 AND NOT EXISTS (SELECT FROM replays r WHERE r.number = t.replay)
		UNION ALL SELECT CASE kind WHEN 1 THEN 'source ' ELSE 'hook ' END || number, 'it has counters, but is not there'
		FROM (SELECT DISTINCT kind, number FROM counts) t
		WHERE kind = 1 AND number != 0 AND NOT EXISTS (SELECT FROM sources s WHERE s.number = t.number)
			OR kind = 2 AND NOT EXISTS (SELECT FROM hooks h WHERE h.number = t.number)`)
	if err != nil {
		return err
	}
	return c.list(store.FaultKey, `SELECT 'event ' || s.seq, 'a dedupe key leads to it, but its block has only ' || b.events || ' events'
		FROM seen s JOIN blocks b ON b.id = s.seq >> 6 WHERE s.seq & 63 >= b.events
		UNION ALL SELECT 'day ' || (s.seq >> 42), count(*) || ' dedupe keys are of it, and nothing tells when they are to go'
		FROM seen s WHERE NOT EXISTS (SELECT FROM days d WHERE d.day = s.seq >> 42 AND (d.day > 0 OR d.newest IS NOT NULL)) GROUP BY s.seq >> 42`)
}

// own looks at every delivery with a row of its own.
func (c *checker) own() error {
	err := c.list(store.FaultDelivery, `SELECT 'event ' || e.seq || ', hook ' || e.hook || ', replay ' || e.replay, 'it has ' || count(*) || ' rows of its own'
		FROM (SELECT seq, hook, replay FROM ended UNION ALL SELECT seq, hook, replay FROM retries) e
		GROUP BY e.seq, e.hook, e.replay HAVING count(*) > 1
		UNION ALL SELECT 'event ' || e.seq || ', hook ' || e.hook || ', replay ' || e.replay, 'it has a row of its own, but is not owed'
		FROM (SELECT seq, hook, replay FROM ended UNION ALL SELECT seq, hook, replay FROM retries) e
		WHERE NOT EXISTS (SELECT FROM (SELECT block, hook, replay, matched FROM settled UNION ALL SELECT block, hook, replay, matched FROM work) t
			WHERE t.block = e.seq >> 6 AND t.hook = e.hook AND t.replay = e.replay AND t.matched >> (e.seq & 63)::integer & 1 = 1)`)
	if err != nil {
		return err
	}
	return c.each(`SELECT seq, hook::bigint, replay::bigint, attempts, state, log, response FROM ended
		UNION ALL SELECT seq, hook, replay, attempts, 0, log, response FROM retries`, func(rows pgx.Rows) error {
		var k hook.Key
		var seq int64
		var attempts int
		var state int16
		var log [][]byte
		var response []byte
		if err := rows.Scan(&seq, &k.Hook, &k.Replay, &attempts, &state, &log, &response); err != nil {
			return err
		}
		thing := fmt.Sprintf("event %d, hook %d, replay %d", seq, k.Hook, k.Replay)
		if s := hook.State(state); s > hook.Cancelled || s == hook.Sending {
			c.report.Add(store.FaultDelivery, thing, "its state is %d, which is none that is kept", state)
		}
		if kept, want := len(pack.Attempts(slices.Concat(log...))), min(attempts, hook.MaxAttemptsKept); kept != want {
			c.report.Add(store.FaultDelivery, thing, "it was attempted %d times, of which %d are to be kept and %d are", attempts, want, kept)
		}
		if _, err := pack.DecodeResponse(response); err != nil {
			c.report.Add(store.FaultDelivery, thing, "its response cannot be read: %v", err)
		}
		count := c.hooks[k.Hook]
		count.Attempts += int64(attempts)
		c.hooks[k.Hook] = count
		return nil
	})
}

// owingRows is what all rows about one block, hook and replay say.
type owingRows struct {
	block, hook, replay int64
	matched, open, own  int64
	slots               int64 // matched, counted in each row by itself
	events              int64
	outcomes            []byte
	// rows of their own, by state
	retries, delivered, dead, cancelled int64
}

// owed looks at every delivery: each must be open, or have an outcome, or a row
// of its own, and no two of these, unless its hook is deleted.
func (c *checker) owed() error {
	return c.each(`
		SELECT t.block, t.hook::bigint, t.replay::bigint, t.matched, t.open, t.slots, t.outcomes,
			coalesce(o.own, 0), coalesce(o.retries, 0), coalesce(o.delivered, 0), coalesce(o.dead, 0), coalesce(o.cancelled, 0), coalesce(b.events, 64)::bigint
		FROM (
			SELECT block, hook, replay, bit_or(matched) AS matched, bit_or(open) AS open,
				sum(bit_count(matched::bit(64)))::bigint AS slots, string_agg(outcomes, '') AS outcomes
			FROM (SELECT block, hook, replay, matched, 0::bigint AS open, outcomes FROM settled
				UNION ALL SELECT block, hook, replay, matched, open, outcomes FROM work) t
			GROUP BY block, hook, replay
		) t
		LEFT JOIN (
			SELECT seq >> 6 AS block, hook, replay, bit_or(1::bigint << (seq & 63)::integer) AS own,
				count(*) FILTER (WHERE state = 0) AS retries, count(*) FILTER (WHERE state = 2) AS delivered,
				count(*) FILTER (WHERE state = 3) AS dead, count(*) FILTER (WHERE state = 4) AS cancelled
			FROM (SELECT seq, hook, replay, state FROM ended UNION ALL SELECT seq, hook, replay, 0 FROM retries) e
			GROUP BY 1, 2, 3
		) o ON o.block = t.block AND o.hook = t.hook AND o.replay = t.replay
		LEFT JOIN blocks b ON b.id = t.block`, func(rows pgx.Rows) error {
		var r owingRows
		err := rows.Scan(&r.block, &r.hook, &r.replay, &r.matched, &r.open, &r.slots, &r.outcomes,
			&r.own, &r.retries, &r.delivered, &r.dead, &r.cancelled, &r.events)
		c.owing(&r)
		return err
	})
}

func (c *checker) owing(r *owingRows) {
	thing := fmt.Sprintf("block %d, hook %d, replay %d", r.block, r.hook, r.replay)
	parts, ok := pack.SplitOutcomes(r.outcomes)
	if !ok {
		c.report.Add(store.FaultDelivery, thing, "what became of its deliveries cannot be read")
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
		c.report.Add(store.FaultDelivery, thing, "it is owed events that the block of %d does not have", r.events)
	case int64(bits.OnesCount64(matched)) != r.slots:
		c.report.Add(store.FaultDelivery, thing, "two rows owe the same event")
	case open&^matched != 0 || settled&^matched != 0:
		c.report.Add(store.FaultDelivery, thing, "events have an outcome, or wait for one, that are not owed (%#x)", (open|settled)&^matched)
	case twice != 0:
		c.report.Add(store.FaultDelivery, thing, "events are accounted for twice (%#x)", twice)
	case all != matched && !c.deleted[r.hook]:
		c.report.Add(store.FaultDelivery, thing, "events are owed, but neither waiting nor settled (%#x): they are never sent", matched&^all)
	}
	count := c.hooks[r.hook]
	count.Matched += int64(bits.OnesCount64(matched))
	count.Delivered += int64(bits.OnesCount64(settled)) + r.delivered
	count.Dead += r.dead
	count.Cancelled += r.cancelled
	count.Attempts += int64(bits.OnesCount64(settled))
	c.hooks[r.hook] = count
	c.waiting[r.hook] += int64(bits.OnesCount64(open)) + r.retries
	c.report.Deliveries += int64(bits.OnesCount64(matched))
}
