package sqlite

import (
	"fmt"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// migrations take a store from version n to version n+1. A migration that was
// ever released is never edited.
//
// All times are microseconds since 1970 (UTC).
var migrations = []string{
	`
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE sources (
	number  INTEGER PRIMARY KEY,
	name    TEXT NOT NULL UNIQUE,
	deleted INTEGER NOT NULL DEFAULT 0,
	doc     TEXT NOT NULL
);

CREATE TABLE hooks (
	number       INTEGER PRIMARY KEY,
	id           TEXT NOT NULL UNIQUE,
	deleted      INTEGER NOT NULL DEFAULT 0,
	revision     INTEGER NOT NULL,
	doc          TEXT NOT NULL,
	hold_reason  TEXT NOT NULL DEFAULT '',
	hold_since   INTEGER NOT NULL DEFAULT 0,
	hold_total   INTEGER NOT NULL DEFAULT 0, -- microseconds
	hold_recheck INTEGER NOT NULL DEFAULT 0
);

-- What every hook was, at every revision. doc is NULL where it was deleted.
CREATE TABLE revisions (
	revision INTEGER PRIMARY KEY AUTOINCREMENT,
	hook     INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	doc      TEXT -- without the channel
);
CREATE INDEX revisions_hook ON revisions (hook, revision);

CREATE TABLE counts (
	kind   INTEGER NOT NULL, -- 1: of a source, 2: of a hook
	number INTEGER NOT NULL,
	value  BLOB NOT NULL,    -- uvarints
	PRIMARY KEY (kind, number)
) WITHOUT ROWID;

-- An event's number is block * 64 + slot.
CREATE TABLE blocks (
	id       INTEGER PRIMARY KEY,
	received INTEGER NOT NULL,
	revision INTEGER NOT NULL, -- of the hooks it was routed with
	summary  BLOB NOT NULL,    -- what lists need; see block.go
	payload  BLOB NOT NULL     -- the events' JSON, compressed
);

-- Dedupe keys. entries holds every (source, uuid, event) of one key.
CREATE TABLE seen (key INTEGER PRIMARY KEY, entries BLOB NOT NULL);

-- The dedupe keys of blocks that retention has removed.
CREATE TABLE removed_keys (
	block    INTEGER PRIMARY KEY,
	received INTEGER NOT NULL,
	keys     BLOB NOT NULL
);

-- What one block owes to one hook. matched and open have a bit per slot:
-- owed at all, and neither settled in outcomes nor moved to a row of its own.
CREATE TABLE owed (
	block    INTEGER NOT NULL,
	hook     INTEGER NOT NULL,
	replay   INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	matched  INTEGER NOT NULL,
	open     INTEGER NOT NULL,
	outcomes BLOB,
	PRIMARY KEY (block, hook, replay)
) WITHOUT ROWID;
CREATE INDEX owed_open ON owed (hook, created, block) WHERE open != 0;

-- Deliveries that did not go through at the first attempt.
CREATE TABLE deliveries (
	id       INTEGER PRIMARY KEY,
	seq      INTEGER NOT NULL,
	hook     INTEGER NOT NULL,
	replay   INTEGER NOT NULL,
	state    INTEGER NOT NULL, -- hook.State
	reason   TEXT NOT NULL,
	created  INTEGER NOT NULL,
	due      INTEGER NOT NULL,
	first    INTEGER NOT NULL, -- the first attempt, 0 before it
	held     INTEGER NOT NULL, -- the hook's hold clock then, microseconds
	attempts INTEGER NOT NULL,
	log      BLOB,             -- the attempts; see attempts.go
	response BLOB              -- the last response; see attempts.go
);
CREATE UNIQUE INDEX deliveries_key ON deliveries (seq, hook, replay);
CREATE INDEX deliveries_due ON deliveries (hook, due) WHERE state = 0;
CREATE INDEX deliveries_owed ON deliveries (hook, created) WHERE state = 0;
CREATE INDEX deliveries_dead ON deliveries (seq) WHERE state = 3;

CREATE TABLE filter_errors (
	seq    INTEGER NOT NULL,
	hook   INTEGER NOT NULL,
	detail TEXT NOT NULL,
	PRIMARY KEY (seq, hook)
) WITHOUT ROWID;

CREATE TABLE rejected (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	source   INTEGER NOT NULL,
	received INTEGER NOT NULL,
	reason   TEXT NOT NULL,
	detail   TEXT NOT NULL,
	size     INTEGER NOT NULL,
	raw      BLOB NOT NULL -- compressed
);

CREATE TABLE replays (
	number        INTEGER PRIMARY KEY AUTOINCREMENT,
	id            TEXT NOT NULL,
	hook          INTEGER NOT NULL,
	created       INTEGER NOT NULL,
	origin_hook   INTEGER NOT NULL,
	origin_replay INTEGER NOT NULL
);
`,
	`ALTER TABLE hooks ADD COLUMN hold_changes INTEGER NOT NULL DEFAULT 0;`,
	// From here on payloads may be of the kinds that name a dictionary.
	`
-- What is owed to a hook, in the order of the events: for claims and listings.
-- A replay owes old events anew, so it is claimed in the order of its making.
DROP INDEX owed_open;
CREATE INDEX owed_first ON owed (hook, block) WHERE open != 0 AND replay = 0;
CREATE INDEX owed_again ON owed (hook, created, block) WHERE open != 0 AND replay != 0;
CREATE INDEX owed_again_block ON owed (hook, block) WHERE open != 0 AND replay != 0;

DROP INDEX deliveries_dead;
CREATE INDEX deliveries_state ON deliveries (hook, state, seq);

-- What is where in each run of blocks, so that a search can pass it by; see
-- digest.go. A run without one is searched.
CREATE TABLE digests (chunk INTEGER PRIMARY KEY, body BLOB NOT NULL);
`,
	`
-- Digests are of shorter runs from here on, and are made again beside intake.
DELETE FROM digests;
-- What is in each volume of them; see digest.go.
CREATE TABLE volumes (volume INTEGER PRIMARY KEY, body BLOB NOT NULL);
`,
}

// migrate brings the schema up to this program's version, one transaction a step.
func migrate(conn *sqlite.Conn) (err error) {
	version, err := sqlitex.ResultInt(prep(conn, "PRAGMA user_version"))
	if err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("this store has schema version %d, which is newer than this program's %d; run the newer grapnel", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		step := fmt.Sprintf("%s; PRAGMA user_version = %d;", migrations[version], version+1)
		if err := sqlitex.ExecuteScript(conn, step, nil); err != nil {
			return fmt.Errorf("cannot migrate the store from schema version %d: %w", version, err)
		}
	}
	return nil
}
