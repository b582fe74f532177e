-- make_digest digests a chunk that nothing more may be committed to, unless
-- somebody was quicker: p_of, p_thing and p_blocks are what is in its blocks,
-- and what they owe is looked up here. Chunks are digested in their order.
CREATE FUNCTION make_digest(p_chunk bigint, p_received bigint, p_of smallint[], p_thing bigint[], p_blocks bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	low  bigint := p_chunk << 6;
	high bigint := (p_chunk + 1) << 6;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	-- A replay owes before this, and is seen, or after it, and amends; so do two
	-- makers come one after the other.
	PERFORM pg_advisory_xact_lock(1735549185, 6);
	IF EXISTS (SELECT FROM digests WHERE chunk >= p_chunk) THEN
		RETURN;
	END IF;
	WITH owed AS (
		SELECT block, hook, created FROM work WHERE block >= low AND block < high
		UNION ALL
		SELECT block, hook, created FROM settled WHERE block >= low AND block < high
	), posted AS (
		INSERT INTO postings (of, thing, chunk, blocks)
		SELECT 3, t.thing, p_chunk, bit_or(1::bigint << (block & 63)::integer)
		FROM (SELECT 0 AS thing, block FROM owed UNION ALL SELECT hook, block FROM owed) t GROUP BY t.thing
		UNION ALL
		SELECT p.of, p.thing, p_chunk, p.blocks FROM unnest(p_of, p_thing, p_blocks) AS p (of, thing, blocks)
	)
	INSERT INTO digests (chunk, received_from, owed_from, owed_to)
	SELECT p_chunk, p_received, min(created), max(created) FROM owed;
END $$;

-- amend_digests notes that blocks owe something to a hook since p_created. What
-- has no digest yet needs none of it.
CREATE FUNCTION amend_digests(p_hook bigint, p_created bigint, p_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(1735549185, 6);
	-- In one order, so that two replays never wait for each other.
	INSERT INTO postings AS p (of, thing, chunk, blocks)
	SELECT 3, h.thing, b.chunk, b.blocks
	FROM (VALUES (0::bigint), (p_hook)) AS h (thing), (
		SELECT i >> 6 AS chunk, bit_or(1::bigint << (i & 63)::integer) AS blocks FROM unnest(p_ids) i GROUP BY 1) b
	WHERE EXISTS (SELECT FROM digests d WHERE d.chunk = b.chunk)
	ORDER BY h.thing, b.chunk
	ON CONFLICT (of, thing, chunk) DO UPDATE SET blocks = p.blocks | excluded.blocks
	WHERE p.blocks | excluded.blocks != p.blocks;
	UPDATE digests d SET owed_from = least(d.owed_from, p_created), owed_to = greatest(d.owed_to, p_created)
	WHERE d.chunk = ANY (ARRAY(SELECT DISTINCT i >> 6 FROM unnest(p_ids) i))
		AND (d.owed_from IS NULL OR p_created NOT BETWEEN d.owed_from AND d.owed_to);
END $$;
