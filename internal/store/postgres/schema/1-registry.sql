-- later is the number after another. It is of the clock: the number of a change
-- that a fail-over has lost, but that others have seen, is never that of another.
CREATE FUNCTION later(p_number bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
	$$ SELECT greatest(p_number + 1, clock()) $$;

-- bump counts a change of the registry, unless there was another since the
-- caller looked: it returns false then, and nothing may be changed. The other
-- processes are told. Changes of hooks keep commits out until they are done.
CREATE FUNCTION bump(p_seen bigint, p_node integer, p_hooks boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF p_hooks THEN
		PERFORM pg_advisory_xact_lock(1735549185, 2);
	END IF;
	UPDATE registry SET changes = later(changes) WHERE changes = p_seen;
	IF FOUND THEN
		PERFORM pg_notify('grapnel', p_node || ' changed');
	END IF;
	RETURN FOUND;
END $$;

-- save_source makes a source (p_number 0) or changes it. It returns its number,
-- NULL when the registry has changed.
CREATE FUNCTION save_source(p_seen bigint, p_node integer, p_number bigint, p_name text, p_deleted boolean, p_doc text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	made bigint := p_number;
BEGIN
	IF NOT bump(p_seen, p_node, false) THEN
		RETURN NULL;
	END IF;
	IF p_number = 0 THEN
		INSERT INTO sources (name, doc) VALUES (p_name, p_doc) RETURNING number INTO made;
	ELSE
		UPDATE sources SET deleted = p_deleted, doc = p_doc WHERE number = p_number;
	END IF;
	RETURN made;
END $$;

-- save_hook makes a hook (p_number 0) or changes it, as a new revision; p_past
-- is what history keeps, NULL when the hook is deleted. made is its number, NULL
-- when the registry has changed.
CREATE FUNCTION save_hook(
	p_seen bigint, p_node integer, p_number bigint, p_id text, p_at bigint, p_past text, p_doc text,
	p_hold_reason text, p_hold_since bigint, p_hold_total bigint, p_hold_recheck bigint, p_hold_changes bigint,
	OUT made bigint, OUT revised bigint
) LANGUAGE plpgsql AS $$
BEGIN
	IF NOT bump(p_seen, p_node, true) THEN
		RETURN;
	END IF;
	made := p_number;
	IF p_number = 0 THEN
		INSERT INTO hooks (id, revision, doc) VALUES (p_id, 0, '') RETURNING number INTO made;
	END IF;
	UPDATE registry SET revision = later(revision) RETURNING revision INTO revised;
	INSERT INTO revisions (revision, hook, at, doc) VALUES (revised, made, p_at, p_past);
	UPDATE hooks SET revision = revised, deleted = p_past IS NULL, doc = p_doc,
		hold_reason = p_hold_reason, hold_since = p_hold_since, hold_total = p_hold_total,
		hold_recheck = p_hold_recheck, hold_changes = p_hold_changes
	WHERE number = made;
END $$;

-- save_hold changes a hook's hold. It returns false when the registry has changed.
CREATE FUNCTION save_hold(
	p_seen bigint, p_node integer, p_number bigint,
	p_reason text, p_since bigint, p_total bigint, p_recheck bigint, p_changes bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF NOT bump(p_seen, p_node, false) THEN
		RETURN false;
	END IF;
	UPDATE hooks SET hold_reason = p_reason, hold_since = p_since, hold_total = p_total,
		hold_recheck = p_recheck, hold_changes = p_changes
	WHERE number = p_number;
	RETURN true;
END $$;

-- create_replay returns the number of a new replay, NULL when its hook is deleted.
CREATE FUNCTION create_replay(p_id text, p_hook bigint, p_created bigint, p_origin_hook bigint, p_origin_replay bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	made bigint;
BEGIN
	PERFORM pg_advisory_xact_lock_shared(1735549185, 2);
	IF EXISTS (SELECT FROM hooks WHERE number = p_hook AND deleted) THEN
		RETURN NULL;
	END IF;
	INSERT INTO replays (id, hook, created, origin_hook, origin_replay)
	VALUES (p_id, p_hook, p_created, p_origin_hook, p_origin_replay) RETURNING number INTO made;
	RETURN made;
END $$;

-- add_to_replay owes slots of blocks to a replay's hook, but for those that are
-- not there or owed by it already. It returns how many it added, NULL when the
-- hook is deleted.
CREATE FUNCTION add_to_replay(p_replay bigint, p_hook bigint, p_created bigint, p_blocks bigint[], p_masks bigint[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	b     record;
	mask  bigint;
	added bigint := 0;
	owed  bigint[] := '{}';
BEGIN
	PERFORM pg_advisory_xact_lock_shared(1735549185, 2);
	IF EXISTS (SELECT FROM hooks WHERE number = p_hook AND deleted) THEN
		RETURN NULL;
	END IF;
	PERFORM pg_advisory_xact_lock(1735549188, p_replay::integer);
	FOR i IN 1..cardinality(p_blocks) LOOP
		SELECT t.id, t.events INTO b FROM blocks t WHERE t.id = p_blocks[i] FOR KEY SHARE;
		CONTINUE WHEN NOT FOUND;
		mask := p_masks[i];
		IF b.events < 64 THEN
			mask := mask & ~(-1::bigint << b.events);
		END IF;
		mask := mask & ~coalesce((
			SELECT bit_or(t.matched) FROM (
				SELECT matched FROM work WHERE block = b.id AND hook + 0 = p_hook AND replay = p_replay
				UNION ALL
				SELECT matched FROM settled WHERE block = b.id AND hook + 0 = p_hook AND replay = p_replay) t), 0);
		CONTINUE WHEN mask = 0;
		INSERT INTO work (block, created, matched, open, hook, replay)
		VALUES (b.id, p_created, mask, mask, p_hook, p_replay);
		added := added + bit_count(mask::bit(64));
		owed := owed || b.id;
	END LOOP;
	IF added > 0 THEN
		PERFORM amend_digests(p_hook, p_created, owed);
		PERFORM count_up(ARRAY[2::smallint], ARRAY[p_hook], ARRAY[added, 0, 0, 0, 0, 0, 0]);
	END IF;
	RETURN added;
END $$;
