-- A process holds the session lock (1735549187, its number) on the connection
-- on which it listens.

-- join_nodes makes a process a member under a number of its own. It fails with
-- lock_not_available while the store is being copied.
CREATE FUNCTION join_nodes(p_node integer, p_every bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('lock_timeout', '3000', true);
	PERFORM pg_advisory_xact_lock(1735549185, 5);
	INSERT INTO nodes (id, ready, beat)
	VALUES (p_node, clock() + CASE WHEN EXISTS (SELECT FROM nodes) THEN 2 * p_every ELSE 0 END, clock())
	ON CONFLICT (id) DO NOTHING;
END $$;

-- leave_nodes ends a membership, and all leases and duties that went with it.
CREATE FUNCTION leave_nodes(p_node integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM nodes WHERE id = p_node;
	DELETE FROM duties WHERE node = p_node;
	UPDATE work SET lease = 0, until = 0, node = 0 WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM work WHERE node = p_node FOR UPDATE SKIP LOCKED));
	UPDATE retries SET lease = 0, until = 0, node = 0 WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM retries WHERE node = p_node FOR UPDATE SKIP LOCKED));
END $$;

-- beat says that a process lives, every p_every, and removes those that are
-- gone: they have not said so for three times as long, and their connection is
-- gone too. One that still has its connection is paused, or hangs; its leases
-- end by their time only. members is NULL when the process itself was removed.
CREATE FUNCTION beat(p_node integer, p_every bigint, OUT members integer[], OUT joined boolean, OUT changes bigint, OUT due bigint[])
LANGUAGE plpgsql AS $$
DECLARE
	c     bigint := clock();
	late  boolean;
	other integer;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	-- A clock may also be behind that of the primary before.
	SELECT abs(c - n.beat) > 3 * p_every INTO late FROM nodes n WHERE n.id = p_node;
	IF late THEN
		-- The others may have shared out what was its part: it is new to them.
		PERFORM pg_advisory_xact_lock(1735549185, 5);
		UPDATE nodes SET ready = clock() + CASE WHEN EXISTS (
			SELECT FROM nodes o WHERE o.id != p_node AND abs(c - o.beat) <= 4 * p_every) THEN 2 * p_every ELSE 0 END
		WHERE id = p_node;
	END IF;
	UPDATE nodes SET beat = c WHERE id = p_node RETURNING ready <= c INTO joined;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	FOR other IN SELECT n.id FROM nodes n WHERE abs(c - n.beat) > 3 * p_every ORDER BY n.id FOR UPDATE SKIP LOCKED LOOP
		IF pg_try_advisory_xact_lock(1735549187, other) THEN
			PERFORM leave_nodes(other);
		END IF;
	END LOOP;
	members := ARRAY(SELECT n.id FROM nodes n WHERE abs(c - n.beat) <= 4 * p_every ORDER BY n.id);
	changes := (SELECT r.changes FROM registry r);
	due := ARRAY(SELECT h.number::bigint FROM hooks h WHERE NOT h.deleted AND (
		EXISTS (SELECT FROM work t WHERE t.hook = h.number AND t.until <= c)
		OR EXISTS (SELECT FROM retries t WHERE t.hook = h.number AND t.until <= c AND t.due <= c))
		ORDER BY h.number);
END $$;

-- take_duty gives a duty to a process for p_for, if no other has it.
CREATE FUNCTION take_duty(p_name text, p_node integer, p_for bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO duties AS d (name, node, until) VALUES (p_name, p_node, clock() + p_for)
	ON CONFLICT (name) DO UPDATE SET node = p_node, until = clock() + p_for
	WHERE d.node = p_node OR d.until <= clock();
	RETURN FOUND;
END $$;
