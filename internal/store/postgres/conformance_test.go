package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
	"github.com/grapnel-hooks/grapnel/internal/store/storetest"
	"github.com/jackc/pgx/v5"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		db := newDatabase(t)
		db.stopClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		return storetest.Fixture{
			Open:    func() (store.Store, error) { return Open(context.Background(), Options{URL: db.url}) },
			Now:     db.now,
			Advance: db.advance,
			Grain:   24 * time.Hour,
			Break:   func(_ store.Store, broken bool) { db.refuseCommits(broken) },
			Hold:    func(_ store.Store, e *store.Event) storetest.Held { return db.hold(e) },
		}
	})
}

// database is a database of a test's own, with the schema in it.
type database struct {
	testing.TB
	url   string
	mu    sync.Mutex
	clock time.Time
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	d := &database{TB: t, url: postgrestest.Shared(t).Database(t)}
	s := d.open()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// connect returns a connection that no store knows of.
func (d *database) connect() *pgx.Conn {
	d.Helper()
	config, err := pgx.ParseConfig(d.url)
	if err != nil {
		d.Fatal(err)
	}
	config.RuntimeParams["search_path"] = "grapnel"
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		d.Fatal(err)
	}
	return conn
}

func (d *database) open() *Store {
	d.Helper()
	s, err := Open(context.Background(), Options{URL: d.url})
	if err != nil {
		d.Fatal(err)
	}
	return s
}

func (d *database) exec(statement string, args ...any) {
	d.Helper()
	conn := d.connect()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		d.Fatalf("%s: %v", statement, err)
	}
}

// stopClock makes the database's clock stand still at a time.
func (d *database) stopClock(at time.Time) {
	d.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = at
	d.exec(fmt.Sprintf("CREATE OR REPLACE FUNCTION clock() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT %d::bigint'", at.UnixMicro()))
}

func (d *database) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock
}

func (d *database) advance(by time.Duration) { d.stopClock(d.now().Add(by)) }

// refuseCommits makes every transaction that changes a row fail at its very end.
func (d *database) refuseCommits(refuse bool) {
	d.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !refuse {
		d.exec("DROP FUNCTION refuse() CASCADE")
		return
	}
	d.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the test refuses commits'; END $$`)
	d.exec(`DO $$ DECLARE name text; BEGIN
		FOR name IN SELECT relname FROM pg_class
			WHERE relnamespace = 'grapnel'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
		LOOP
			EXECUTE format('CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON %I
				DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()', name);
		END LOOP;
	END $$`)
}

// hold takes the dedupe key that a commit of e needs: it waits, once it has
// numbers, until the transaction that has the key is undone.
func (d *database) hold(e *store.Event) storetest.Held {
	d.Helper()
	ctx := context.Background()
	holder, watcher := d.connect(), d.connect()
	tx, err := holder.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "INSERT INTO seen (key, source, seq) VALUES ($1, $2, 64)", dedupeKey(e.UUID), e.Source)
	}
	if err != nil {
		d.Fatal(err)
	}
	return storetest.Held{
		Others: true,
		Ready: func() {
			for waits := false; !waits; {
				err := watcher.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')").Scan(&waits)
				if err != nil {
					d.Fatal(err)
				}
			}
		},
		Release: func() {
			if err := tx.Rollback(ctx); err != nil {
				d.Error(err)
			}
			holder.Close(ctx)
			watcher.Close(ctx)
		},
	}
}
