-- today is the day since 1970.
CREATE FUNCTION today() RETURNS integer LANGUAGE sql VOLATILE AS
	$$ SELECT (clock() / 86400000000)::integer $$;

-- day_table names a day's partition of a table.
CREATE FUNCTION day_table(parent text, day integer) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$ SELECT parent || CASE day WHEN 0 THEN '_other' ELSE to_char(date '1970-01-01' + day, '"_"YYYYMMDD') END $$;

-- make_days makes the partitions of days, where they are missing. Nobody waits
-- for it who writes or reads: attaching locks the parent only against changes
-- of its schema.
CREATE FUNCTION make_days(p_first integer, p_last integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	d      integer;
	parent text;
	part   text;
	lower  text;
	shift  integer; -- of a day, to the partition's first key
BEGIN
	PERFORM pg_advisory_xact_lock(1735549185, 3);
	FOR d IN p_first..p_last LOOP
		CONTINUE WHEN EXISTS (SELECT FROM days WHERE day = d AND NOT dropped);
		FOREACH parent IN ARRAY ARRAY['blocks', 'settled', 'ended', 'filter_errors', 'digests', 'postings'] LOOP
			part  := day_table(parent, d);
			shift := CASE WHEN parent IN ('ended', 'filter_errors') THEN 42 WHEN parent IN ('digests', 'postings') THEN 30 ELSE 36 END;
			lower := CASE d WHEN 0 THEN 'MINVALUE' ELSE (d::bigint << shift)::text END;
			EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
			EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
				parent, part, lower, (d + 1)::bigint << shift);
		END LOOP;
		INSERT INTO days (day) VALUES (d) ON CONFLICT (day) DO UPDATE SET dropped = false;
	END LOOP;
END $$;

-- make_days_ahead makes the partitions of the newest day and some after it.
CREATE FUNCTION make_days_ahead(p_days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	d integer := greatest(today(), (SELECT last_value >> 36 FROM block_ids)::integer);
BEGIN
	IF (SELECT count(*) FROM days WHERE day BETWEEN d AND d + p_days AND NOT dropped) <= p_days THEN
		PERFORM make_days(d, d + p_days);
	END IF;
END $$;

SELECT make_days(0, 0);
