package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema/*.sql
var schema embed.FS

// migration takes a store from one version to the next. One that was ever
// released is never edited. A process of the version before may be running: a
// migration keeps the functions that it calls, or leaves it behind by oldest.
type migration struct {
	// oldest is the first version of the program that can work with a store
	// after this migration: programs are numbered by the migrations they know.
	oldest int
	files  []string // in schema
	script string   // after them
}

var migrations = []migration{
	{oldest: 1, files: []string{
		"1-tables.sql", "1-days.sql", "1-commit.sql", "1-claim.sql", "1-settle.sql", "1-keep.sql", "1-registry.sql", "1-cluster.sql", "1-digests.sql",
	}},
}

func (m migration) text() (string, error) {
	all := ""
	for _, name := range m.files {
		text, err := schema.ReadFile("schema/" + name)
		if err != nil {
			return "", err
		}
		all += string(text)
	}
	return all + m.script, nil
}

// migrate brings the schema up to this program's version, in one transaction.
// Several processes may do so at once: one does it, the others wait for it.
func migrate(ctx context.Context, pool *pgxpool.Pool, known []migration) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		version, oldest, err := lockVersion(ctx, tx)
		if err != nil {
			return err
		}
		if version >= len(known) {
			if len(known) < oldest {
				return fmt.Errorf("this store has schema version %d, which grapnel can use from version %d on, and this is version %d; run the newer grapnel",
					version, oldest, len(known))
			}
			return nil
		}
		for ; version < len(known); version++ {
			text, err := known[version].text()
			if err == nil {
				_, err = tx.Exec(ctx, text)
			}
			if err != nil {
				return fmt.Errorf("cannot migrate the store from schema version %d: %w", version, err)
			}
			oldest = known[version].oldest
		}
		_, err = tx.Exec(ctx, "UPDATE schema_version SET version = $1, oldest = $2", version, oldest)
		return err
	})
}

// lockVersion reads the store's version, 0 for none, and keeps others from
// migrating it until the transaction ends.
func lockVersion(ctx context.Context, tx pgx.Tx) (version, oldest int, err error) {
	// The first waits for whoever migrates; the migration itself may take its time.
	_, err = tx.Exec(ctx, `
		SET LOCAL statement_timeout = 0;
		SET LOCAL idle_in_transaction_session_timeout = 0;
		SELECT pg_advisory_xact_lock(1735549185, 1);
	`)
	if err != nil {
		return 0, 0, err
	}
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('grapnel.schema_version') IS NOT NULL").Scan(&there); err != nil {
		return 0, 0, err
	}
	if !there {
		// One that somebody has made for the role is taken as it is.
		_, err = tx.Exec(ctx, `
			DO $$ BEGIN
				IF to_regnamespace('grapnel') IS NULL THEN
					CREATE SCHEMA grapnel;
				END IF;
			END $$;
			CREATE TABLE grapnel.schema_version (version integer NOT NULL, oldest integer NOT NULL);
			INSERT INTO grapnel.schema_version VALUES (0, 0);
		`)
		if code(err) == insufficientPrivilege {
			err = fmt.Errorf("the role may not create the schema grapnel in the database, or nothing in it; GRANT CREATE ON DATABASE, or on the schema, to it: %w", err)
		}
		return 0, 0, err
	}
	err = tx.QueryRow(ctx, "SELECT version, oldest FROM grapnel.schema_version").Scan(&version, &oldest)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errors.New("the store is damaged: its schema has no version")
	}
	return version, oldest, err
}

const insufficientPrivilege = "42501"
