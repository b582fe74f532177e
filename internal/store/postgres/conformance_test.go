package postgres

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/storetest"
)

// TestMain has fewer random histories than usual, unless told how many: each
// needs a database, and is lived twice, with digests and without.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "rapid.checks" })
	if !told {
		checks := "20"
		if testing.Short() {
			checks = "15" // of which rapid takes a fifth
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		return fixture(newStopped(t))
	})
}

func fixture(db *database) storetest.Fixture {
	return storetest.Fixture{
		Open:    func() (store.Store, error) { return Open(context.Background(), Options{URL: db.url}) },
		Now:     db.now,
		Advance: db.advance,
		Grain:   24 * time.Hour,
		Break:   func(_ store.Store, broken bool) { db.refuseCommits(broken) },
		Hold:    func(_ store.Store, e *store.Event) storetest.Held { return db.hold(e) },
	}
}

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
			d.waitFor(watcher)
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
