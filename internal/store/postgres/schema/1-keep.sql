-- still_owed tells whether anybody is owed anything of the blocks from p_first
-- up to p_end. What is held of a deleted hook counts too: its last attempt may
-- be under way.
CREATE FUNCTION still_owed(p_first bigint, p_end bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	c bigint := clock();
BEGIN
	RETURN EXISTS (
			SELECT FROM work t WHERE t.block >= p_first AND t.block < p_end AND (t.until > c OR not_deleted(t.hook)))
		OR EXISTS (
			SELECT FROM retries t WHERE t.seq >= p_first * 64 AND t.seq < p_end * 64 AND (t.until > c OR not_deleted(t.hook)));
END $$;

-- cancel moves to the history what waited for hooks that were deleted, at most
-- p_limit rows each of work and retries. Nobody sees a difference.
CREATE FUNCTION cancel(p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	c bigint := clock();
	n integer;
	m integer;
BEGIN
	WITH over AS (
		DELETE FROM work WHERE ctid = ANY (ARRAY(
			SELECT t.ctid FROM hooks h JOIN work t ON t.hook = h.number
			WHERE h.deleted AND t.until <= c LIMIT p_limit FOR UPDATE OF t SKIP LOCKED))
		RETURNING *)
	INSERT INTO settled (block, created, matched, hook, replay, outcomes)
	SELECT block, created, matched, hook, replay, outcomes FROM over;
	GET DIAGNOSTICS n = ROW_COUNT;
	WITH over AS (
		DELETE FROM retries WHERE ctid = ANY (ARRAY(
			SELECT t.ctid FROM hooks h JOIN retries t ON t.hook = h.number
			WHERE h.deleted AND t.until <= c LIMIT p_limit FOR UPDATE OF t SKIP LOCKED))
		RETURNING *)
	INSERT INTO ended (seq, created, hook, replay, attempts, state, reason, log, response)
	SELECT seq, created, hook, replay, attempts, 4, 'hook_deleted', log, response FROM over;
	GET DIAGNOSTICS m = ROW_COUNT;
	RETURN greatest(n, m);
END $$;

-- drop_day removes a day whole, if nobody is owed anything of it, and returns
-- how many events it had; NULL when it stays. It waits for readers no longer
-- than intake may wait for it; then it fails with lock_not_available.
CREATE FUNCTION drop_day(p_day integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	low    bigint := p_day::bigint << 36;
	high   bigint := (p_day + 1)::bigint << 36;
	events bigint;
	parent text;
BEGIN
	PERFORM pg_advisory_xact_lock(1735549185, 3);
	IF still_owed(low, high) THEN
		RETURN NULL;
	END IF;
	SELECT coalesce(sum(b.events), 0) INTO events FROM blocks b WHERE b.id >= low AND b.id < high;
	-- The day's own tables first: only who looks at that day waits then.
	PERFORM set_config('lock_timeout', '2000', true);
	FOREACH parent IN ARRAY ARRAY['blocks', 'settled', 'ended', 'filter_errors', 'digests', 'postings'] LOOP
		EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', day_table(parent, p_day));
	END LOOP;
	PERFORM set_config('lock_timeout', '250', true);
	LOCK TABLE ONLY blocks, ONLY settled, ONLY ended, ONLY filter_errors, ONLY digests, ONLY postings IN ACCESS EXCLUSIVE MODE;
	IF still_owed(low, high) THEN
		RETURN NULL; -- a replay was quicker
	END IF;
	FOREACH parent IN ARRAY ARRAY['blocks', 'settled', 'ended', 'filter_errors', 'digests', 'postings'] LOOP
		EXECUTE format('DROP TABLE %I', day_table(parent, p_day));
	END LOOP;
	-- What is left was cancelled.
	DELETE FROM work t WHERE t.block >= low AND t.block < high;
	DELETE FROM retries t WHERE t.seq >= low * 64 AND t.seq < high * 64;
	UPDATE days SET dropped = true, freed = 0 WHERE day = p_day;
	RETURN events;
END $$;

-- remove_blocks removes those of some blocks that nobody is owed anything of,
-- and returns how many events they had.
CREATE FUNCTION remove_blocks(p_ids bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	gone   bigint[];
	events bigint;
BEGIN
	-- Replays lock the blocks that they owe again.
	PERFORM FROM blocks b WHERE b.id = ANY (p_ids) FOR UPDATE;
	gone := ARRAY(SELECT i FROM unnest(p_ids) i WHERE NOT still_owed(i, i + 1));
	IF cardinality(gone) = 0 THEN
		RETURN 0;
	END IF;
	WITH b AS (
		DELETE FROM blocks b WHERE b.id = ANY (gone)
		RETURNING b.id, b.events, 200 + octet_length(summary) + octet_length(payload) AS size
	), s AS (
		DELETE FROM settled t WHERE t.block = ANY (gone) RETURNING t.block AS id, 0, 100 + octet_length(outcomes)
	), e AS (
		DELETE FROM ended t USING unnest(gone) g (id) WHERE t.seq >= g.id * 64 AND t.seq < g.id * 64 + 64
		RETURNING g.id, 0, 200 + coalesce(octet_length(response), 0)
	), removed AS (
		SELECT * FROM b UNION ALL SELECT * FROM s UNION ALL SELECT * FROM e
	), freed AS (
		UPDATE days d SET freed = d.freed + r.size
		FROM (SELECT id >> 36 AS day, sum(size) AS size FROM removed GROUP BY 1) r WHERE d.day = r.day
	)
	SELECT sum(r.events) INTO events FROM removed r;
	DELETE FROM filter_errors t USING unnest(gone) g (id) WHERE t.seq >= g.id * 64 AND t.seq < g.id * 64 + 64;
	DELETE FROM work t WHERE t.block = ANY (gone);
	DELETE FROM retries t USING unnest(gone) g (id) WHERE t.seq >= g.id * 64 AND t.seq < g.id * 64 + 64;
	RETURN events;
END $$;

-- remove_rejected removes up to p_limit of the oldest rejected bodies, received
-- before p_before.
CREATE FUNCTION remove_rejected(p_before bigint, p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	n integer;
BEGIN
	DELETE FROM rejected WHERE id = ANY (ARRAY(
		SELECT id FROM (SELECT id, received FROM rejected ORDER BY id LIMIT 1024) r
		WHERE received < p_before ORDER BY id LIMIT p_limit));
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;

-- prune makes the days to come, and removes what was received before p_before:
-- whole days where nobody is owed anything of them; of the others, block by
-- block, what nobody is owed. It goes on from the block p_from; next is where the next call is to go on, NULL
-- when all was looked at.
CREATE FUNCTION prune(p_before bigint, p_limit integer, p_from bigint, OUT removed bigint, OUT rest boolean, OUT next bigint)
LANGUAGE plpgsql AS $$
DECLARE
	d      integer;
	found  bigint[];
	window_end bigint;
BEGIN
	PERFORM make_days_ahead(3);
	removed := 0;
	rest := cancel(p_limit) = p_limit;
	rest := remove_rejected(p_before, p_limit) = p_limit OR rest;
	FOR d IN SELECT day FROM days
		WHERE NOT dropped AND day < p_before / 86400000000 AND day >= p_from >> 36
		ORDER BY day
	LOOP
		next := greatest(p_from, d::bigint << 36);
		IF d > 0 THEN
			removed := drop_day(d);
			next := CASE WHEN removed IS NULL THEN next ELSE (d + 1)::bigint << 36 END;
			IF removed IS NOT NULL THEN
				RETURN;
			END IF;
		END IF;
		SELECT array_agg(id ORDER BY id) FILTER (WHERE received < p_before), max(id) INTO found, window_end
		FROM (SELECT id, received FROM blocks WHERE id >= next AND id < (d + 1)::bigint << 36 ORDER BY id LIMIT 1024) b;
		removed := 0;
		CONTINUE WHEN window_end IS NULL;
		found := ARRAY(SELECT i FROM unnest(found) i WHERE NOT still_owed(i, i + 1) ORDER BY i LIMIT p_limit);
		next := CASE WHEN cardinality(found) = p_limit THEN found[p_limit] ELSE window_end END + 1;
		IF cardinality(found) > 0 THEN
			removed := remove_blocks(found);
		END IF;
		RETURN;
	END LOOP;
	next := NULL;
	DELETE FROM revisions r WHERE EXISTS (
		SELECT FROM revisions n WHERE n.hook = r.hook AND n.revision > r.revision
			AND n.revision <= (SELECT revision FROM blocks ORDER BY id LIMIT 1));
	-- Those of other days go with their day.
	IF NOT EXISTS (SELECT FROM blocks WHERE id < 1::bigint << 36) THEN
		DELETE FROM digests WHERE chunk < 1 << 30;
		DELETE FROM postings WHERE chunk < 1 << 30;
	END IF;
	DELETE FROM replays WHERE created < (SELECT received FROM blocks ORDER BY id LIMIT 1);
END $$;

-- prune_oldest removes the oldest events that nobody is owed: a past day whole,
-- or up to p_limit blocks from p_from on. next is where to go on when nothing
-- was found, NULL at the end.
CREATE FUNCTION prune_oldest(p_limit integer, p_from bigint, OUT removed bigint, OUT next bigint) LANGUAGE plpgsql AS $$
DECLARE
	d      integer;
	ids    bigint[];
	before bigint := 9223372036854775807;
BEGIN
	d := (SELECT min(day) FROM days WHERE NOT dropped AND day > 0);
	IF p_from = 0 AND d < today() AND NOT EXISTS (SELECT FROM blocks WHERE id < d::bigint << 36) THEN
		removed := drop_day(d);
		IF removed IS NOT NULL THEN
			removed := removed + remove_rejected((d + 1) * 86400000000, p_limit);
			next := 0;
			RETURN;
		END IF;
	END IF;
	ids := ARRAY(SELECT id FROM blocks WHERE id >= p_from ORDER BY id LIMIT p_limit);
	IF cardinality(ids) = p_limit THEN
		next := ids[p_limit] + 1;
		before := (SELECT received FROM blocks WHERE id = ids[p_limit]);
	END IF;
	removed := CASE cardinality(ids) WHEN 0 THEN 0 ELSE remove_blocks(ids) END + remove_rejected(before, p_limit);
END $$;

-- forgettable are the days whose events are gone and whose dedupe keys are old
-- enough to go.
CREATE FUNCTION forgettable(p_before bigint) RETURNS bigint[] LANGUAGE sql VOLATILE AS $$
	SELECT ARRAY(
		SELECT day::bigint FROM days WHERE dropped AND day < p_before / 86400000000
		UNION ALL
		SELECT 0 FROM days WHERE day = 0 AND newest < p_before AND NOT EXISTS (SELECT FROM blocks WHERE id < 1::bigint << 36))
$$;

-- forget removes the dedupe keys of some days from p_pages pages of the table,
-- from p_page on. rest tells whether there are pages after them; if not, the
-- days are done. The table is read from end to end, once a day: an index that is
-- in the order of days would cost every event 20 bytes, and a BRIN index never
-- narrows once freed space was used again.
CREATE FUNCTION forget(p_days bigint[], p_page bigint, p_pages bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('DELETE FROM seen WHERE ctid >= ''(%s,0)'' AND ctid < ''(%s,0)'' AND seq >> 42 = ANY ($1)', p_page, p_page + p_pages)
	USING p_days;
	IF (p_page + p_pages) * current_setting('block_size')::bigint < pg_relation_size('seen') THEN
		RETURN true;
	END IF;
	DELETE FROM days WHERE day = ANY (p_days) AND dropped;
	UPDATE days SET newest = NULL WHERE day = 0 AND 0 = ANY (p_days);
	RETURN false;
END $$;
