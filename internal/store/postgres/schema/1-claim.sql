-- not_deleted tells whether what is owed to a hook counts although nobody holds
-- it, or its lease has ended: with a deleted hook all was cancelled that was not
-- being sent.
CREATE FUNCTION not_deleted(p_hook bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM hooks h WHERE h.number = p_hook AND NOT h.deleted);
END $$;

-- slots_of tells which slots a mask has.
CREATE FUNCTION slots_of(p_mask bigint) RETURNS SETOF integer LANGUAGE sql IMMUTABLE AS
	$$ SELECT s FROM generate_series(0, 63) s WHERE (p_mask >> s) & 1 = 1 $$;

-- lowest_slots is a mask of the first so many slots of a mask.
CREATE FUNCTION lowest_slots(p_mask bigint, p_count integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	lowest bigint := 0;
	room   integer := p_count;
BEGIN
	FOR s IN 0..63 LOOP
		EXIT WHEN room = 0;
		IF (p_mask >> s) & 1 = 1 THEN
			lowest := lowest | (1::bigint << s);
			room := room - 1;
		END IF;
	END LOOP;
	RETURN lowest;
END $$;

-- claim leases up to p_limit deliveries of a hook that are due, those due
-- longest first. What was never attempted is due at once, though the clock of
-- the process that took it in may be ahead. A row of kind 0 is of a block's work (at is the block, mask the
-- slots), one of kind 1 of retries (at is the event). Their leases are numbered
-- from p_lease on. The last row, of kind 2, tells in due when the next is due, 0
-- for never.
CREATE FUNCTION claim(p_hook bigint, p_now bigint, p_limit integer, p_for bigint, p_node integer, p_lease bigint)
RETURNS TABLE (kind smallint, at bigint, replay integer, created bigint, mask bigint, due bigint,
	first bigint, held bigint, attempts integer) LANGUAGE plpgsql AS $$
DECLARE
	c     bigint := clock();
	lease_number bigint := p_lease;
	room  integer := p_limit;
	more  boolean := false;
	w     record;
	r     record;
	fresh boolean;
	retry boolean;
	queue CURSOR FOR SELECT t.ctid AS place, t.* FROM work t
		WHERE t.hook = p_hook AND t.until <= c
		ORDER BY t.created, t.block FOR UPDATE SKIP LOCKED;
	again CURSOR FOR SELECT t.ctid AS place, t.* FROM retries t
		WHERE t.hook = p_hook AND t.until <= c AND t.due <= p_now
		ORDER BY t.due FOR UPDATE SKIP LOCKED;
BEGIN
	-- A lease that is lost in a crash is a delivery that is repeated.
	PERFORM set_config('synchronous_commit', 'off', true);
	kind := 2;
	due := 0;
	IF NOT not_deleted(p_hook) THEN
		RETURN NEXT;
		RETURN;
	END IF;
	OPEN queue;
	FETCH queue INTO w;
	fresh := FOUND;
	OPEN again;
	FETCH again INTO r;
	retry := FOUND;
	WHILE room > 0 AND (fresh OR retry) LOOP
		IF fresh AND (NOT retry OR w.created <= r.due) THEN
			mask := w.open;
			IF bit_count(mask::bit(64)) > room THEN
				mask := lowest_slots(mask, room);
				more := true;
				UPDATE work t SET open = t.open & ~mask, matched = t.matched & ~mask WHERE t.ctid = w.place;
				INSERT INTO work (block, created, matched, open, lease, until, hook, replay, node)
				VALUES (w.block, w.created, mask, mask, lease_number, c + p_for, w.hook, w.replay, p_node);
			ELSE
				UPDATE work t SET lease = lease_number, until = c + p_for, node = p_node WHERE t.ctid = w.place;
			END IF;
			room := room - bit_count(mask::bit(64));
			kind := 0; at := w.block; replay := w.replay; created := w.created; due := w.created;
			first := 0; held := 0; attempts := 0;
			RETURN NEXT;
			FETCH queue INTO w;
			fresh := FOUND;
		ELSE
			UPDATE retries t SET lease = lease_number, until = c + p_for, node = p_node WHERE t.ctid = r.place;
			room := room - 1;
			kind := 1; at := r.seq; replay := r.replay; created := r.created; mask := 0; due := r.due;
			first := r.first; held := r.held; attempts := r.attempts;
			RETURN NEXT;
			FETCH again INTO r;
			retry := FOUND;
		END IF;
		lease_number := lease_number + 1;
	END LOOP;
	CLOSE queue;
	CLOSE again;
	kind := 2;
	due := CASE WHEN more OR fresh OR retry THEN p_now
		ELSE coalesce(next_due(p_hook, p_now, c, p_lease, lease_number), 0) END;
	RETURN NEXT;
END $$;

-- next_due tells when the next delivery of a hook is due of which none is now:
-- what is leased, but for the leases from p_lease up to p_end, is due at the end
-- of its lease. p_now is the time by the clock that due times go by, p_clock the
-- same time by the clock that leases go by.
CREATE FUNCTION next_due(p_hook bigint, p_now bigint, p_clock bigint, p_lease bigint, p_end bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN least(
		(SELECT t.due FROM retries t WHERE t.hook = p_hook AND t.due > p_now AND t.until <= p_clock ORDER BY t.due LIMIT 1),
		(SELECT min(t.until) FROM work t WHERE t.hook = p_hook AND t.until > p_clock
			AND (t.lease < p_lease OR t.lease >= p_end)) - p_clock + p_now,
		(SELECT min(t.until) FROM retries t WHERE t.hook = p_hook AND t.until > 0 AND t.until > p_clock
			AND (t.lease < p_lease OR t.lease >= p_end)) - p_clock + p_now);
END $$;

-- renew lengthens leases that are held to p_for from now. lost are the slots,
-- for each of the work's leases, that are not, and own_lost the places, from 1,
-- among the leases of retries.
CREATE FUNCTION renew(
	g_block bigint[], g_hook bigint[], g_replay bigint[], g_lease bigint[], g_mask bigint[],
	x_seq bigint[], x_hook bigint[], x_replay bigint[], x_lease bigint[], p_for bigint,
	OUT lost bigint[], OUT own_lost bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
	c   bigint := clock();
	w   record;
	hit bigint;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	lost := g_mask;
	FOR i IN 1..cardinality(g_block) LOOP
		FOR w IN SELECT t.ctid AS place, t.* FROM work t
			WHERE t.block = g_block[i] AND t.hook + 0 = g_hook[i] AND t.replay = g_replay[i]
				AND t.lease = g_lease[i] AND t.until > c
			FOR UPDATE
		LOOP
			hit := w.open & lost[i];
			IF hit = w.open THEN
				UPDATE work t SET until = c + p_for WHERE t.ctid = w.place;
			ELSIF hit != 0 THEN
				UPDATE work t SET open = t.open & ~hit, matched = t.matched & ~hit WHERE t.ctid = w.place;
				INSERT INTO work (block, created, matched, open, lease, until, hook, replay, node)
				VALUES (w.block, w.created, hit, hit, w.lease, c + p_for, w.hook, w.replay, w.node);
			END IF;
			lost[i] := lost[i] & ~hit;
		END LOOP;
	END LOOP;
	WITH x AS (
		SELECT * FROM unnest(x_seq, x_hook, x_replay, x_lease) WITH ORDINALITY AS x (seq, hook, replay, lease, i)
	), u AS (
		UPDATE retries t SET until = c + p_for FROM x
		WHERE t.seq = x.seq AND t.hook + 0 = x.hook AND t.replay = x.replay AND t.lease = x.lease AND t.until + 0 > c -- not by retries_leased
		RETURNING x.i)
	SELECT array_agg(x.i) INTO own_lost FROM x WHERE x.i NOT IN (SELECT i FROM u);
END $$;

-- retry makes a waiting delivery due. It returns 0 when there is none, 1 when it
-- does not wait, 2 when it is due.
CREATE FUNCTION retry(p_seq bigint, p_hook bigint, p_replay bigint, p_now bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	c     bigint := clock();
	bit   bigint := 1::bigint << (p_seq & 63)::integer;
	ends  bigint;
	alive boolean := not_deleted(p_hook);
BEGIN
	SELECT t.until INTO ends FROM work t
	WHERE t.block = p_seq >> 6 AND t.hook + 0 = p_hook AND t.replay = p_replay AND t.open & bit != 0;
	IF FOUND THEN
		RETURN CASE WHEN alive AND ends <= c THEN 2 ELSE 1 END;
	END IF;
	UPDATE retries t SET due = p_now
	WHERE t.seq = p_seq AND t.hook + 0 = p_hook AND t.replay = p_replay AND t.until <= c AND alive;
	IF FOUND THEN
		RETURN 2;
	END IF;
	IF EXISTS (SELECT FROM work t WHERE t.block = p_seq >> 6 AND t.hook + 0 = p_hook AND t.replay = p_replay AND t.matched & bit != 0)
		OR EXISTS (SELECT FROM settled t WHERE t.block = p_seq >> 6 AND t.hook + 0 = p_hook AND t.replay = p_replay AND t.matched & bit != 0)
	THEN
		RETURN 1;
	END IF;
	RETURN 0;
END $$;

-- release gives back leases from p_lease up to p_end that nobody knows of.
CREATE FUNCTION release(p_lease bigint, p_end bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	UPDATE work SET lease = 0, until = 0, node = 0 WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM work WHERE lease >= p_lease AND lease < p_end FOR UPDATE SKIP LOCKED));
	UPDATE retries SET lease = 0, until = 0, node = 0 WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM retries WHERE lease >= p_lease AND lease < p_end FOR UPDATE SKIP LOCKED));
END $$;
