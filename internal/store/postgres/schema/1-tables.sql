-- All times are microseconds since 1970 (UTC). A block's number tells the day
-- it was taken in on, by the database's clock: day since 1970 << 36 | counter.
-- An event's number is block * 64 + slot. Masks have a bit per slot.

-- The database's time. Whatever ends leases or decides about days asks it.
CREATE FUNCTION clock() RETURNS bigint LANGUAGE sql VOLATILE AS
	$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

CREATE TABLE meta (name text PRIMARY KEY, value bytea NOT NULL);

CREATE TABLE sources (
	number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name    text    NOT NULL UNIQUE,
	deleted boolean NOT NULL DEFAULT false,
	doc     text    NOT NULL -- JSON
);

CREATE TABLE hooks (
	number       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id           text    NOT NULL UNIQUE,
	deleted      boolean NOT NULL DEFAULT false,
	revision     bigint  NOT NULL,
	doc          text    NOT NULL, -- JSON
	hold_reason  text    NOT NULL DEFAULT '',
	hold_since   bigint  NOT NULL DEFAULT 0,
	hold_total   bigint  NOT NULL DEFAULT 0, -- microseconds
	hold_recheck bigint  NOT NULL DEFAULT 0,
	hold_changes bigint  NOT NULL DEFAULT 0
);

-- What every hook was, at every revision. doc is NULL where it was deleted.
CREATE TABLE revisions (
	revision bigint  PRIMARY KEY,
	hook     integer NOT NULL,
	at       bigint  NOT NULL,
	doc      text -- JSON, without the channel
);
CREATE INDEX revisions_hook ON revisions (hook, revision);

-- The one row counts changes: of sources, hooks and holds, and of hooks only.
CREATE TABLE registry (
	one      boolean PRIMARY KEY DEFAULT true CHECK (one),
	changes  bigint NOT NULL DEFAULT 0,
	revision bigint NOT NULL DEFAULT 0
);
INSERT INTO registry DEFAULT VALUES;

-- Counters are sums over slots: transactions that run at once use a slot each,
-- so that none waits for another's row. v1 to v7 are the fields in the order in
-- which package pack has them.
CREATE TABLE counts (
	kind   smallint NOT NULL, -- 1: of a source, 2: of a hook
	number bigint   NOT NULL,
	slot   integer  NOT NULL,
	v1 bigint NOT NULL, v2 bigint NOT NULL, v3 bigint NOT NULL, v4 bigint NOT NULL,
	v5 bigint NOT NULL, v6 bigint NOT NULL, v7 bigint NOT NULL,
	PRIMARY KEY (kind, number, slot)
) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE SEQUENCE block_ids;

-- The history, a partition per day of each table. It is never updated. Day 0
-- takes all block numbers below 1 << 36: those that come from other stores.
CREATE TABLE blocks (
	id       bigint   NOT NULL,
	received bigint   NOT NULL,
	revision bigint   NOT NULL, -- of the hooks it was routed with
	events   smallint NOT NULL, -- how many
	summary  bytea    NOT NULL, -- what lists need
	payload  bytea    NOT NULL, -- the events' JSON
	PRIMARY KEY (id) INCLUDE (events)
) PARTITION BY RANGE (id);
-- They are compressed already.
ALTER TABLE blocks ALTER summary SET STORAGE EXTERNAL, ALTER payload SET STORAGE EXTERNAL;

-- What blocks owed to hooks, once nothing of it is open. Rows of one block, hook
-- and replay are to be read together: matched are the slots owed at all, and
-- outcomes those that went through at the first attempt, by the time since the
-- block's day began. The others are in ended or retries, or were cancelled with
-- their hook.
CREATE TABLE settled (
	block    bigint  NOT NULL,
	created  bigint  NOT NULL,
	matched  bigint  NOT NULL,
	hook     integer NOT NULL,
	replay   integer NOT NULL,
	outcomes bytea   NOT NULL
) PARTITION BY RANGE (block);
ALTER TABLE settled ALTER outcomes SET STORAGE EXTERNAL;
CREATE INDEX settled_block ON settled (block);

-- Deliveries that have ended, but for those in outcomes of settled.
CREATE TABLE ended (
	seq      bigint   NOT NULL,
	created  bigint   NOT NULL,
	hook     integer  NOT NULL,
	replay   integer  NOT NULL,
	attempts integer  NOT NULL,
	state    smallint NOT NULL, -- hook.State
	reason   text     NOT NULL,
	log      bytea[]  NOT NULL, -- an attempt each
	response bytea              -- the last
) PARTITION BY RANGE (seq);
ALTER TABLE ended ALTER response SET STORAGE EXTERNAL;
CREATE INDEX ended_seq ON ended (seq);
CREATE INDEX ended_dead ON ended (seq) WHERE state = 3;

CREATE TABLE filter_errors (
	seq    bigint  NOT NULL,
	hook   integer NOT NULL,
	detail bytea   NOT NULL
) PARTITION BY RANGE (seq);
CREATE INDEX filter_errors_seq ON filter_errors (seq);

-- Chunks are 64 blocks with numbers next to each other. Those that have a digest
-- are all that have blocks up to the greatest that has one. A search goes by
-- postings there, and reads no blocks but those that may hold what it seeks.
CREATE TABLE digests (
	chunk         bigint NOT NULL, -- block / 64
	received_from bigint NOT NULL, -- when the first of its events was received
	owed_from     bigint,          -- since when anything of it is owed, NULL for nothing
	owed_to       bigint,          -- and since when what was owed last
	PRIMARY KEY (chunk)
) PARTITION BY RANGE (chunk);

-- In which blocks of a chunk there is something: a bit for each. They may tell of
-- too much: of blocks that were removed, and of types with the same hash.
CREATE TABLE postings (
	of     smallint NOT NULL, -- 0: what cannot be read, 1: a type, 2: a source, 3: a hook that is owed something
	thing  bigint   NOT NULL, -- the type's hash or the number; 0 for any hook
	chunk  bigint   NOT NULL,
	blocks bigint   NOT NULL,
	PRIMARY KEY (of, thing, chunk)
) PARTITION BY RANGE (chunk);

-- The days that have partitions, and those that had and whose dedupe keys are
-- still there.
CREATE TABLE days (
	day     integer PRIMARY KEY,
	dropped boolean NOT NULL DEFAULT false,
	freed   bigint  NOT NULL DEFAULT 0, -- bytes of blocks removed one by one
	newest  bigint -- day 0: when the newest event that was brought in was received
);

-- Dedupe keys: which event first bore a uuid of a source.
CREATE TABLE seen (
	key    uuid   NOT NULL,
	source bigint NOT NULL,
	seq    bigint NOT NULL,
	PRIMARY KEY (key, source)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);

-- What is owed of a block to a hook and was never attempted. A row is leased
-- whole or not at all, so one block, hook and replay may have several; no slot
-- is in two of them. Slots that are matched and not open are in outcomes of one
-- of them or have a row of their own.
CREATE TABLE work (
	block    bigint  NOT NULL,
	created  bigint  NOT NULL,
	matched  bigint  NOT NULL,
	open     bigint  NOT NULL CHECK (open != 0),
	lease    bigint  NOT NULL DEFAULT 0,
	until    bigint  NOT NULL DEFAULT 0, -- the lease is held while this is ahead
	hook     integer NOT NULL,
	replay   integer NOT NULL,
	node     integer NOT NULL DEFAULT 0, -- who took the lease
	outcomes bytea   NOT NULL DEFAULT ''
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
-- Nothing that a lease or a settlement changes is in an index.
CREATE INDEX work_block ON work (block);
CREATE INDEX work_queue ON work (hook, created, block);

-- Deliveries that wait with a row of their own, mostly as an attempt failed.
CREATE TABLE retries (
	seq      bigint  NOT NULL,
	created  bigint  NOT NULL,
	due      bigint  NOT NULL,
	first    bigint  NOT NULL, -- the first attempt, 0 before it
	held     bigint  NOT NULL, -- the hook's hold clock then, microseconds
	lease    bigint  NOT NULL DEFAULT 0,
	until    bigint  NOT NULL DEFAULT 0,
	hook     integer NOT NULL,
	replay   integer NOT NULL,
	node     integer NOT NULL DEFAULT 0,
	attempts integer NOT NULL,
	reason   text    NOT NULL,
	log      bytea[] NOT NULL,
	response bytea,
	PRIMARY KEY (seq, hook, replay)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE retries ALTER response SET STORAGE EXTERNAL;
CREATE INDEX retries_due ON retries (hook, due);
CREATE INDEX retries_age ON retries (hook, created);
CREATE INDEX retries_leased ON retries (hook, until) WHERE until > 0;

CREATE TABLE rejected (
	id       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	source   bigint  NOT NULL,
	received bigint  NOT NULL,
	reason   text    NOT NULL,
	detail   bytea   NOT NULL,
	size     integer NOT NULL,
	raw      bytea   NOT NULL -- compressed
);
ALTER TABLE rejected ALTER raw SET STORAGE EXTERNAL;

CREATE TABLE replays (
	number        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id            text    NOT NULL,
	hook          integer NOT NULL,
	created       bigint  NOT NULL,
	origin_hook   integer NOT NULL,
	origin_replay integer NOT NULL
);

-- The processes that share the store.
CREATE SEQUENCE node_ids AS integer CYCLE;
CREATE TABLE nodes (
	id    integer PRIMARY KEY,
	ready bigint NOT NULL, -- from when on all others know of it
	beat  bigint NOT NULL
);
CREATE TABLE duties (
	name  text PRIMARY KEY,
	node  integer NOT NULL,
	until bigint  NOT NULL
);
