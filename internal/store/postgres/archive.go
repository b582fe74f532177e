package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Archive is a store in a database that is copied, or filled from another. It
// keeps gateways from joining as long as it is open, and refuses while any has.
type Archive struct {
	pool *pgxpool.Pool
	// lock holds the lock on joining, and does nothing else: what is broken off
	// takes its connection with it.
	lock *pgxpool.Conn
}

var _ store.ArchiveWriter = (*Archive)(nil)

// What a store that is being filled has in meta.
const (
	copyCommand = "copy_command" // told to whoever opens it
	copyMark    = "copy_mark"    // of the last item
)

// archiveSettings are those of an Archive's connections, where they differ: what
// it asks is large, and takes its time, and what it reads may wait for others.
var archiveSettings = map[string]string{
	"application_name":                    "grapnel store",
	"statement_timeout":                   "0",
	"idle_in_transaction_session_timeout": "0",
	"tcp_user_timeout":                    "0",
	"work_mem":                            "64MB",
	"maintenance_work_mem":                "256MB",
	"enable_seqscan":                      "on",
	"enable_hashjoin":                     "on",
	"enable_mergejoin":                    "on",
	"enable_material":                     "on",
}

// OpenArchive opens a store to be copied. It refuses one that a gateway uses,
// that was not finished, or that is not of this program's version: it is only
// read.
func OpenArchive(ctx context.Context, opts Options) (_ *Archive, err error) {
	a, err := connectArchive(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer a.closeUnless(&err)
	if err := a.checkVersion(ctx); err != nil {
		return nil, err
	}
	if err := a.keepOut(ctx); err != nil {
		return nil, err
	}
	return a, refuseCopy(ctx, a.pool)
}

// OpenArchiveWriter opens a store to be filled, and makes it in an empty
// database. What it holds already is left alone; see Begin.
func OpenArchiveWriter(ctx context.Context, opts Options) (_ *Archive, err error) {
	a, err := connectArchive(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer a.closeUnless(&err)
	version, err := a.version(ctx)
	if err != nil {
		return nil, err
	}
	if version != 0 && version != len(migrations) {
		return nil, store.ErrHolds
	}
	if err := (&Store{pool: a.pool, log: logOf(opts), limits: newLimits(a.pool.Config().MaxConns)}).checkServer(ctx); err != nil {
		return nil, fmt.Errorf("cannot use the database: %w", err)
	}
	if err := migrate(ctx, a.pool, migrations); err != nil {
		return nil, err
	}
	return a, a.keepOut(ctx)
}

func logOf(opts Options) *slog.Logger {
	if opts.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return opts.Log
}

func connectArchive(ctx context.Context, opts Options) (*Archive, error) {
	config, err := configure(opts.URL)
	if err != nil {
		return nil, err
	}
	for name, value := range archiveSettings {
		config.ConnConfig.RuntimeParams[name] = value
	}
	config.MinConns, config.MaxConns = 0, 2
	config.MaxConnLifetime, config.MaxConnIdleTime = 24*365*time.Hour, 24*365*time.Hour
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Archive{pool: pool, lock: conn}, nil
}

func (a *Archive) closeUnless(err *error) {
	if *err != nil {
		_ = a.Close()
	}
}

// Close lets gateways join again.
func (a *Archive) Close() error {
	a.lock.Release()
	a.pool.Close()
	return nil
}

// checkVersion refuses what this program cannot read as it is.
func (a *Archive) checkVersion(ctx context.Context) error {
	version, err := a.version(ctx)
	switch known := len(migrations); {
	case err != nil:
		return err
	case version == 0:
		return errors.New("there is no store in the database")
	case version > known:
		return fmt.Errorf("the store has schema version %d, which is newer than this program's %d; run the newer grapnel", version, known)
	case version < known:
		return fmt.Errorf("the store has schema version %d, older than this program's %d; start and stop grapnel serve on it once, which brings it up to date", version, known)
	default:
		return nil
	}
}

// version returns the store's version, 0 where there is none.
func (a *Archive) version(ctx context.Context) (version int, err error) {
	var there bool
	if err := a.pool.QueryRow(ctx, "SELECT to_regclass('grapnel.schema_version') IS NOT NULL").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = a.pool.QueryRow(ctx, "SELECT version FROM schema_version").Scan(&version)
	return version, err
}

// keepOut keeps gateways from joining until Close, and refuses when one has.
func (a *Archive) keepOut(ctx context.Context) error {
	_, err := a.lock.Exec(ctx, "SET lock_timeout = '3s'; SELECT pg_advisory_lock(1735549185, 5), pg_advisory_lock(1735549185, 7); SET lock_timeout = 0")
	if code(err) == lockNotAvailable {
		return errors.New("the store is being copied already, or a gateway is just starting on it; stop that first")
	}
	if err != nil {
		return err
	}
	var nodes []int32
	err = a.lock.QueryRow(ctx, `SELECT ARRAY(
		SELECT id FROM nodes WHERE beat >= clock() - $1 OR EXISTS (
			SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $2 AND objid = id::bigint AND objsubid = 2
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
		ORDER BY id)`, goneAfter.Microseconds(), nodeLocks).Scan(&nodes)
	if err == nil && len(nodes) > 0 {
		err = fmt.Errorf("gateways use the store (nodes %v); stop them first: one that was killed counts as gone %v later", nodes, goneAfter)
	}
	return err
}

// goneAfter is how long nobody may have heard of a gateway that has ended.
const goneAfter = 4 * store.BeatEvery

// refuseCopy refuses a store that was not filled to the end.
func refuseCopy(ctx context.Context, db querier) error {
	command, err := metaText(ctx, db, copyCommand)
	if err != nil || command == "" {
		return err
	}
	return fmt.Errorf("%w; finish it with: %s", store.ErrUnfinished, command)
}

func metaText(ctx context.Context, db querier, name string) (string, error) {
	rows, err := db.Query(ctx, "SELECT value FROM meta WHERE name = $1", name)
	if err != nil {
		return "", err
	}
	value, err := pgx.CollectOneRow(rows, pgx.RowTo[[]byte])
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return string(value), err
}

func setMeta(ctx context.Context, tx pgx.Tx, name string, value []byte) error {
	_, err := tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	return err
}

// Begin makes the store a copy, or goes on; see store.ArchiveWriter.
func (a *Archive) Begin(ctx context.Context, command string) (mark store.Mark, err error) {
	err = pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		before, err := metaText(ctx, tx, copyCommand)
		if err != nil {
			return err
		}
		if before == "" {
			holds, err := holdsAnything(ctx, tx)
			if err == nil && holds {
				err = store.ErrHolds
			}
			if err != nil {
				return err
			}
		} else {
			text, err := metaText(ctx, tx, copyMark)
			if err != nil {
				return err
			}
			if mark, err = store.ParseMark(text); err != nil {
				return err
			}
		}
		return setMeta(ctx, tx, copyCommand, []byte(command))
	})
	return mark, err
}

// holdsAnything looks into all tables, but for those in which a store has
// something as soon as it was made or opened.
func holdsAnything(ctx context.Context, tx pgx.Tx) (holds bool, err error) {
	rows, err := tx.Query(ctx, `SELECT relname FROM pg_class
		WHERE relnamespace = 'grapnel'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
			AND relname NOT IN ('schema_version', 'meta', 'registry', 'days', 'nodes', 'duties')`)
	if err != nil {
		return false, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return false, err
	}
	for _, table := range append(tables, "meta WHERE name != 'identity'") {
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")").Scan(&holds); err != nil || holds {
			return holds, err
		}
	}
	return false, nil
}

// Finish makes the store one like any other; see store.ArchiveWriter.
func (a *Archive) Finish(ctx context.Context) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		for _, table := range []string{"sources", "hooks"} {
			_, err := tx.Exec(ctx, "SELECT setval(pg_get_serial_sequence($1, 'number'), max(number)) FROM "+table+" HAVING max(number) > 0", table)
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "DELETE FROM meta WHERE name IN ($1, $2)", copyCommand, copyMark)
		return err
	})
}
