package postgres

import (
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

const digestRemedy = "searches pass by what is there; TRUNCATE grapnel.digests, grapnel.postings, and a gateway makes them again"

// digest holds the digest of a chunk, if it must have one, to what its blocks
// hold. What could not be read is for others to tell.
func (c *checker) digest(d *digest) error {
	if d == nil {
		return nil
	}
	delete(d.in, term{ofUnread, 0})
	of, things, blocks := d.columns()
	return c.list(store.FaultDigest, `SELECT $1::text, '`+digestRemedy+`'
		WHERE (SELECT max(chunk) FROM digests) >= $2 AND (
			NOT EXISTS (SELECT FROM digests WHERE chunk = $2 AND received_from <= $3)
			OR EXISTS (
				SELECT FROM unnest($4::smallint[], $5::bigint[], $6::bigint[]) AS e (of, thing, blocks)
				LEFT JOIN postings p ON p.of = e.of AND p.thing = e.thing AND p.chunk = $2
				WHERE coalesce(p.blocks, 0) & e.blocks != e.blocks))`,
		fmt.Sprintf("blocks %d to %d", d.chunk<<chunkBits, d.chunk<<chunkBits+chunkBlocks-1), d.chunk, d.received, of, things, blocks)
}

// digestsOfOwed holds all digests to what blocks owe.
func (c *checker) digestsOfOwed() error {
	return c.list(store.FaultDigest, `SELECT 'blocks ' || (t.chunk << 6) || ' to ' || (t.chunk << 6) + 63, '`+digestRemedy+`'
		FROM (
			SELECT block >> 6 AS chunk, hook, bit_or(1::bigint << (block & 63)::integer) AS blocks, min(created) AS since, max(created) AS until
			FROM (SELECT block, hook, created FROM work UNION ALL SELECT block, hook, created FROM settled) o
			WHERE block < (`+digestedQuery+`) GROUP BY 1, 2) t
		LEFT JOIN digests d ON d.chunk = t.chunk AND d.owed_from <= t.since AND d.owed_to >= t.until
		LEFT JOIN postings p ON p.of = 3 AND p.thing = t.hook AND p.chunk = t.chunk
		LEFT JOIN postings a ON a.of = 3 AND a.thing = 0 AND a.chunk = t.chunk
		WHERE d.chunk IS NULL OR coalesce(p.blocks & a.blocks, 0) & t.blocks != t.blocks
		GROUP BY t.chunk ORDER BY t.chunk`)
}
