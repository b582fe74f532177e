-- log_attempt adds an attempt to a log and keeps it within bounds: the first ten
-- and the last of the others stay, a hundred in all (hook.MaxAttemptsKept).
CREATE FUNCTION log_attempt(p_log bytea[], p_one bytea) RETURNS bytea[] LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_one IS NULL THEN p_log
		WHEN cardinality(p_log) < 100 THEN p_log || p_one
		ELSE p_log[1:10] || p_log[12:100] || p_one END
$$;

-- settle keeps outcomes.
--
-- g are leases of work: closed are the slots that are to be settled, outs the
-- outcomes of those that went through at once, back the slots given back; then
-- what it changes of the hook's counters. x are outcomes that need a row of
-- their own: of a slot of the lease x_group of g, or, where that is 0, of a lease
-- of retries. x_state is a hook.State, or 255 for given back; x_due 0 leaves the
-- due time; x_log is NULL when there was no attempt.
--
-- kept are the places, from 1, of those of g whose lease was held, own those of
-- x with x_group 0. c are the counters that change if all are held. A lease of
-- which some slots are open and others are settled already is an error (GR001),
-- and nothing is kept: such outcomes are to be settled one by one.
CREATE FUNCTION settle(
	g_block bigint[], g_hook bigint[], g_replay bigint[], g_lease bigint[], g_closed bigint[], g_outs bytea[], g_back bigint[],
	g_delivered integer[], g_dead integer[], g_attempts integer[],
	x_group integer[], x_seq bigint[], x_hook bigint[], x_replay bigint[], x_lease bigint[], x_state smallint[],
	x_reason text[], x_due bigint[], x_first bigint[], x_held bigint[], x_log bytea[], x_response bytea[],
	c_kind smallint[], c_number bigint[], c_values bigint[],
	OUT kept bigint[], OUT own bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
	created_at bigint[];
	started    bigint;
	c          bigint := clock();
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	-- What a lease has open is settled whole most of the time, or else in part.
	-- (hook + 0: work_queue is not to be used, it would have to be searched.)
	WITH whole AS (
		DELETE FROM work t
		USING unnest(g_block, g_hook, g_replay, g_lease, g_closed, g_outs, g_back) WITH ORDINALITY
			AS g (block, hook, replay, lease, closed, outs, back, i)
		WHERE g.back = 0 AND t.block = g.block AND t.hook + 0 = g.hook AND t.replay = g.replay AND t.lease = g.lease
			AND t.open = g.closed AND (t.until > c OR not_deleted(t.hook))
		RETURNING g.i, t.block, t.created, t.matched, t.hook, t.replay, t.outcomes || g.outs AS outcomes
	), history AS (
		INSERT INTO settled (block, created, matched, hook, replay, outcomes)
		SELECT block, created, matched, hook, replay, outcomes FROM whole
	)
	SELECT array_agg(i), array_agg(created) INTO kept, created_at FROM whole;
	kept := coalesce(kept, '{}');
	IF cardinality(kept) < cardinality(g_block) THEN
		WITH part AS (
			UPDATE work t SET open = t.open & ~g.closed, outcomes = t.outcomes || g.outs
			FROM unnest(g_block, g_hook, g_replay, g_lease, g_closed, g_outs, g_back) WITH ORDINALITY
				AS g (block, hook, replay, lease, closed, outs, back, i)
			WHERE g.back = 0 AND g.i != ALL (kept)
				AND t.block = g.block AND t.hook + 0 = g.hook AND t.replay = g.replay AND t.lease = g.lease
				AND t.open & g.closed = g.closed AND t.open != g.closed AND (t.until > c OR not_deleted(t.hook))
			RETURNING g.i, t.created
		)
		SELECT kept || array_agg(i), created_at || array_agg(created) INTO kept, created_at FROM part;
	END IF;
	IF cardinality(kept) < cardinality(g_block) THEN
		FOR i IN 1..cardinality(g_block) LOOP
			CONTINUE WHEN i = ANY(kept);
			started := settle_apart(g_block[i], g_hook[i], g_replay[i], g_lease[i], g_closed[i], g_outs[i], g_back[i], c);
			IF started IS NOT NULL THEN
				kept := kept || i::bigint;
				created_at := created_at || started;
			END IF;
		END LOOP;
	END IF;
	own := '{}';
	IF cardinality(x_group) > 0 THEN
		own := settle_own(c, kept, created_at, x_group, x_seq, x_hook, x_replay, x_lease, x_state,
			x_reason, x_due, x_first, x_held, x_log, x_response);
	END IF;
	IF cardinality(kept) < cardinality(g_block) OR cardinality(own) < cardinality(array_positions(x_group, 0)) THEN
		PERFORM count_settled(kept, g_hook, g_delivered, g_dead, g_attempts, own, x_hook, x_state, x_log);
	ELSIF cardinality(c_kind) > 0 THEN
		PERFORM count_up(c_kind, c_number, c_values);
	END IF;
END $$;

-- settle_apart settles one lease that settle cannot in one stroke: some of it is
-- given back, or it lies in several rows, or it is not held. It returns when the
-- deliveries were created, NULL when the lease is not held.
CREATE FUNCTION settle_apart(
	p_block bigint, p_hook bigint, p_replay bigint, p_lease bigint, p_closed bigint, p_outs bytea, p_back bigint, p_clock bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	w       record;
	have    bigint := 0;
	started bigint;
	outs    bytea := p_outs;
	rest    bigint;
	back    bigint;
BEGIN
	FOR w IN SELECT t.ctid AS place, t.* FROM work t
		WHERE t.block = p_block AND t.hook + 0 = p_hook AND t.replay = p_replay AND t.lease = p_lease
			AND (t.until > p_clock OR not_deleted(t.hook))
		FOR UPDATE
	LOOP
		CONTINUE WHEN w.open & (p_closed | p_back) = 0;
		have := have | (w.open & (p_closed | p_back));
		started := w.created;
		back := w.open & p_back;
		rest := w.open & ~(p_closed | p_back);
		IF rest != 0 AND back != 0 THEN
			INSERT INTO work (block, created, matched, open, hook, replay)
			VALUES (w.block, w.created, back, back, w.hook, w.replay);
			UPDATE work t SET open = rest, matched = t.matched & ~back, outcomes = t.outcomes || outs WHERE t.ctid = w.place;
		ELSIF rest != 0 THEN
			UPDATE work t SET open = rest, outcomes = t.outcomes || outs WHERE t.ctid = w.place;
		ELSIF back != 0 THEN
			UPDATE work t SET open = back, outcomes = t.outcomes || outs, lease = 0, until = 0, node = 0 WHERE t.ctid = w.place;
		ELSE
			DELETE FROM work t WHERE t.ctid = w.place;
			INSERT INTO settled (block, created, matched, hook, replay, outcomes)
			VALUES (w.block, w.created, w.matched, w.hook, w.replay, w.outcomes || outs);
		END IF;
		outs := '';
	END LOOP;
	IF have != 0 AND have != p_closed | p_back THEN
		RAISE EXCEPTION 'some slots of a lease are settled already' USING ERRCODE = 'GR001';
	END IF;
	RETURN started;
END $$;

-- settle_own keeps the outcomes that need rows of their own; see settle. It
-- returns the places of those with x_group 0 whose lease was held.
CREATE FUNCTION settle_own(
	p_clock bigint, p_kept bigint[], p_created bigint[],
	x_group integer[], x_seq bigint[], x_hook bigint[], x_replay bigint[], x_lease bigint[], x_state smallint[],
	x_reason text[], x_due bigint[], x_first bigint[], x_held bigint[], x_log bytea[], x_response bytea[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	kept bigint[];
BEGIN
	WITH x AS (
		SELECT x.*, k.created
		FROM unnest(x_group, x_seq, x_hook, x_replay, x_lease, x_state, x_reason, x_due, x_first, x_held, x_log, x_response)
			WITH ORDINALITY AS x (lot, seq, hook, replay, lease, state, reason, due, first, held, log, response, i)
		LEFT JOIN unnest(p_kept, p_created) AS k (i, created) ON k.i = x.lot
	), back AS (
		UPDATE retries t SET lease = 0, until = 0, node = 0
		FROM x
		WHERE x.lot = 0 AND x.state = 255
			AND t.seq = x.seq AND t.hook + 0 = x.hook AND t.replay = x.replay AND t.lease = x.lease
			AND (t.until > p_clock OR not_deleted(t.hook))
		RETURNING x.i
	), later AS (
		UPDATE retries t SET lease = 0, until = 0, node = 0, reason = x.reason,
			due = CASE x.due WHEN 0 THEN t.due ELSE x.due END,
			first = CASE WHEN t.first = 0 AND x.log IS NOT NULL THEN x.first ELSE t.first END,
			held = CASE WHEN t.first = 0 AND x.log IS NOT NULL THEN x.held ELSE t.held END,
			attempts = t.attempts + (x.log IS NOT NULL)::integer,
			log = log_attempt(t.log, x.log), response = x.response
		FROM x
		WHERE x.lot = 0 AND x.state = 0
			AND t.seq = x.seq AND t.hook + 0 = x.hook AND t.replay = x.replay AND t.lease = x.lease
			AND (t.until > p_clock OR not_deleted(t.hook))
		RETURNING x.i
	), over AS (
		DELETE FROM retries t USING x
		WHERE x.lot = 0 AND x.state IN (2, 3)
			AND t.seq = x.seq AND t.hook + 0 = x.hook AND t.replay = x.replay AND t.lease = x.lease
			AND (t.until > p_clock OR not_deleted(t.hook))
		RETURNING x.i, t.seq, t.created, t.hook, t.replay, t.attempts + (x.log IS NOT NULL)::integer AS attempts,
			x.state, x.reason, log_attempt(t.log, x.log) AS log, x.response
	), history AS (
		INSERT INTO ended (seq, created, hook, replay, attempts, state, reason, log, response)
		SELECT seq, created, hook, replay, attempts, state, reason, log, response FROM over
		UNION ALL
		SELECT seq, created, hook, replay, (log IS NOT NULL)::integer, state, reason, log_attempt('{}', log), response
		FROM x WHERE created IS NOT NULL AND state != 0
	), waiting AS (
		INSERT INTO retries (seq, created, due, first, held, hook, replay, attempts, reason, log, response)
		SELECT seq, created, due, first, held, hook, replay, (log IS NOT NULL)::integer, reason, log_attempt('{}', log), response
		FROM x WHERE created IS NOT NULL AND state = 0
	)
	SELECT array_agg(i) INTO kept FROM (SELECT i FROM back UNION ALL SELECT i FROM later UNION ALL SELECT i FROM over) t;
	RETURN coalesce(kept, '{}');
END $$;

-- count_settled counts what settle has kept, when it has not kept all.
CREATE FUNCTION count_settled(
	p_kept bigint[], g_hook bigint[], g_delivered integer[], g_dead integer[], g_attempts integer[],
	p_own bigint[], x_hook bigint[], x_state smallint[], x_log bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	kinds   smallint[];
	numbers bigint[];
	vals    bigint[];
BEGIN
	SELECT array_agg(2::smallint), array_agg(hook), array_agg(ARRAY[0, delivered, dead, 0, attempts, 0, 0])
	INTO kinds, numbers, vals
	FROM (
		SELECT hook, sum(delivered) AS delivered, sum(dead) AS dead, sum(attempts) AS attempts
		FROM (
			SELECT g_hook[i] AS hook, g_delivered[i] AS delivered, g_dead[i] AS dead, g_attempts[i] AS attempts
			FROM unnest(p_kept) AS i
			UNION ALL
			SELECT x_hook[i], (x_state[i] = 2)::integer, (x_state[i] = 3)::integer, (x_log[i] IS NOT NULL)::integer
			FROM unnest(p_own) AS i
		) t
		GROUP BY hook HAVING sum(delivered + dead + attempts) > 0
	) t;
	IF kinds IS NOT NULL THEN
		PERFORM count_up(kinds, numbers, ARRAY(SELECT unnest(vals)));
	END IF;
END $$;

-- expire makes up to p_limit deliveries of a hook dead that were created before
-- p_before and that nobody holds. It returns how many.
CREATE FUNCTION expire(p_hook bigint, p_before bigint, p_reason text, p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	c    bigint := clock();
	n    integer;
	mask bigint;
	w    record;
	queue CURSOR FOR SELECT t.ctid AS place, t.* FROM work t
		WHERE t.hook = p_hook AND t.until <= c AND t.created < p_before
		ORDER BY t.created, t.block FOR UPDATE SKIP LOCKED;
BEGIN
	IF NOT not_deleted(p_hook) THEN
		RETURN 0;
	END IF;
	WITH over AS (
		DELETE FROM retries WHERE ctid = ANY (ARRAY(
			SELECT t.ctid FROM retries t
			WHERE t.hook = p_hook AND t.until <= c AND t.created < p_before
			ORDER BY t.created LIMIT p_limit FOR UPDATE SKIP LOCKED))
		RETURNING *)
	INSERT INTO ended (seq, created, hook, replay, attempts, state, reason, log, response)
	SELECT seq, created, hook, replay, attempts, 3, p_reason, log, response FROM over;
	GET DIAGNOSTICS n = ROW_COUNT;
	OPEN queue;
	WHILE n < p_limit LOOP
		FETCH queue INTO w;
		EXIT WHEN NOT FOUND;
		mask := lowest_slots(w.open, p_limit - n);
		n := n + bit_count(mask::bit(64));
		INSERT INTO ended (seq, created, hook, replay, attempts, state, reason, log)
		SELECT w.block * 64 + s, w.created, w.hook, w.replay, 0, 3, p_reason, '{}' FROM slots_of(mask) s;
		IF mask = w.open THEN
			DELETE FROM work t WHERE t.ctid = w.place;
			INSERT INTO settled (block, created, matched, hook, replay, outcomes)
			VALUES (w.block, w.created, w.matched, w.hook, w.replay, w.outcomes);
		ELSE
			UPDATE work t SET open = t.open & ~mask WHERE t.ctid = w.place;
		END IF;
	END LOOP;
	CLOSE queue;
	IF n > 0 THEN
		PERFORM count_up(ARRAY[2::smallint], ARRAY[p_hook], ARRAY[0, 0, n, 0, 0, 0, 0]::bigint[]);
	END IF;
	RETURN n;
END $$;
