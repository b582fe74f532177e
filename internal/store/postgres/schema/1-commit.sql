-- count_up adds to counters, in a slot that no other open transaction uses.
CREATE FUNCTION count_up(p_kinds smallint[], p_numbers bigint[], p_values bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	mine integer := 0;
BEGIN
	WHILE NOT pg_try_advisory_xact_lock(1735549186, mine) LOOP
		mine := mine + 1;
	END LOOP;
	INSERT INTO counts AS c (kind, number, slot, v1, v2, v3, v4, v5, v6, v7)
	SELECT n.kind, n.number, mine, p_values[7*i-6], p_values[7*i-5], p_values[7*i-4], p_values[7*i-3],
		p_values[7*i-2], p_values[7*i-1], p_values[7*i]
	FROM unnest(p_kinds, p_numbers) WITH ORDINALITY AS n (kind, number, i)
	ON CONFLICT (kind, number, slot) DO UPDATE SET
		v1 = c.v1 + excluded.v1, v2 = c.v2 + excluded.v2, v3 = c.v3 + excluded.v3, v4 = c.v4 + excluded.v4,
		v5 = c.v5 + excluded.v5, v6 = c.v6 + excluded.v6, v7 = c.v7 + excluded.v7;
END $$;

-- count_async is count_up for what may be lost in a crash.
CREATE FUNCTION count_async(p_kinds smallint[], p_numbers bigint[], p_values bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	PERFORM count_up(p_kinds, p_numbers, p_values);
END $$;

-- number_blocks draws numbers for blocks. Before that it takes a lock that says
-- so for as long as the transaction is open: a number below the drawn ones. A
-- reader that sees none of these locks, or goes no further than the least of
-- them, has nothing before it that may still appear; see horizon.
CREATE FUNCTION number_blocks(p_tag bigint, p_count integer) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	last  bigint;
	lowest bigint := today()::bigint << 36;
BEGIN
	SELECT last_value INTO last FROM block_ids;
	IF last < lowest THEN
		PERFORM pg_advisory_xact_lock(1735549185, 4);
		SELECT last_value INTO last FROM block_ids;
		IF last < lowest THEN
			last := setval('block_ids', lowest);
		END IF;
	END IF;
	PERFORM pg_advisory_xact_lock_shared(p_tag << 52 | last);
	RETURN ARRAY(SELECT nextval('block_ids') FROM generate_series(1, p_count));
END $$;

-- commit_group takes a group in. status: 0 it is done; 1 the hooks have another
-- revision; 2 some events are duplicates, which dup (their places among the
-- keys, from 1) and dup_seq name, and nothing is done. Events and what belongs
-- to them name their block by its place among the blocks, from 1. Keys are
-- sorted, so that two groups never wait for each other.
CREATE FUNCTION commit_group(
	p_tag bigint, p_revision bigint, p_received bigint,
	k_key uuid[], k_source bigint[], k_block integer[], k_slot integer[],
	b_events smallint[], b_summary bytea[], b_payload bytea[],
	w_block integer[], w_hook bigint[], w_mask bigint[], w_lease bigint[], p_lease_for bigint, p_node integer,
	f_block integer[], f_slot integer[], f_hook bigint[], f_detail bytea[],
	r_source bigint[], r_reason text[], r_detail bytea[], r_size integer[], r_raw bytea[],
	c_kind smallint[], c_number bigint[], c_values bigint[],
	OUT status integer, OUT ids bigint[], OUT rejected_ids bigint[], OUT dup bigint[], OUT dup_seq bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
	ends bigint;
BEGIN
	IF current_setting('synchronous_commit') IN ('off', 'local') THEN
		RAISE EXCEPTION 'synchronous_commit is % now, so events could be lost after they were acknowledged; set it to on',
			current_setting('synchronous_commit');
	END IF;
	-- Whoever copies the store holds this one.
	IF NOT pg_try_advisory_xact_lock_shared(1735549185, 7) THEN
		RAISE EXCEPTION 'the store is being copied; stop this gateway';
	END IF;
	status := 1;
	PERFORM pg_advisory_xact_lock_shared(1735549185, 2);
	IF (SELECT revision FROM registry) != p_revision THEN
		RETURN;
	END IF;
	IF cardinality(b_events) > 0 THEN
		status := 2;
		SELECT array_agg(k.i), array_agg(s.seq) INTO dup, dup_seq
		FROM unnest(k_key, k_source) WITH ORDINALITY AS k (key, source, i)
		JOIN seen s ON s.key = k.key AND s.source = k.source;
		IF dup IS NOT NULL THEN
			RETURN;
		END IF;
		ids := number_blocks(p_tag, cardinality(b_events));
		-- This waits for an open transaction that has the same key.
		INSERT INTO seen (key, source, seq)
		SELECT k.key, k.source, ids[k.block] * 64 + k.slot
		FROM unnest(k_key, k_source, k_block, k_slot) AS k (key, source, block, slot);

		INSERT INTO blocks (id, received, revision, events, summary, payload)
		SELECT ids[b.i], p_received, p_revision, b.events, b.summary, b.payload
		FROM unnest(b_events, b_summary, b_payload) WITH ORDINALITY AS b (events, summary, payload, i);
	END IF;
	IF cardinality(w_block) > 0 THEN
		ends := clock() + p_lease_for;
		INSERT INTO work (block, created, matched, open, lease, until, hook, replay, node)
		SELECT ids[w.block], p_received, w.mask, w.mask, w.lease,
			CASE w.lease WHEN 0 THEN 0 ELSE ends END, w.hook, 0, CASE w.lease WHEN 0 THEN 0 ELSE p_node END
		FROM unnest(w_block, w_hook, w_mask, w_lease) AS w (block, hook, mask, lease);
	END IF;
	IF cardinality(f_block) > 0 THEN
		INSERT INTO filter_errors (seq, hook, detail)
		SELECT ids[f.block] * 64 + f.slot, f.hook, f.detail
		FROM unnest(f_block, f_slot, f_hook, f_detail) AS f (block, slot, hook, detail);
	END IF;
	IF cardinality(r_source) > 0 THEN
		WITH r AS (
			INSERT INTO rejected (source, received, reason, detail, size, raw)
			SELECT r.source, p_received, r.reason, r.detail, r.size, r.raw
			FROM unnest(r_source, r_reason, r_detail, r_size, r_raw) AS r (source, reason, detail, size, raw)
			RETURNING id)
		SELECT array_agg(id ORDER BY id) INTO rejected_ids FROM r;
	END IF;
	IF cardinality(c_kind) > 0 THEN
		PERFORM count_up(c_kind, c_number, c_values);
	END IF;
	status := 0;
END $$;

-- horizon is the number of the newest block below which none may still appear.
-- Blocks are to be read by a later statement than this.
CREATE FUNCTION horizon(p_tag bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	last  bigint;
	first bigint;
BEGIN
	SELECT last_value INTO last FROM block_ids;
	SELECT min((classid::bigint << 32 | objid::bigint) & ((1::bigint << 52) - 1)) INTO first
	FROM pg_locks
	WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ShareLock'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid::bigint >> 20 = p_tag;
	RETURN least(last, first);
END $$;
