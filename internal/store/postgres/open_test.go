package postgres

import (
	"bytes"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
)

// Many processes start at once on an empty database.
func TestOpenAtOnce(t *testing.T) {
	at := postgrestest.Shared(t).Database(t)
	const n = 8
	stores := make([]*Store, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			s, err := Open(t.Context(), Options{URL: at})
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
		})
	}
	wait.Wait()
	identities, nodes := make(map[store.Identity]bool), make(map[int32]bool)
	for _, s := range stores {
		if s == nil {
			continue
		}
		identities[s.Identity()], nodes[s.node.Load()] = true, true
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(identities) != 1 || len(nodes) != n {
		t.Errorf("%d identities and %d numbers of %d processes", len(identities), len(nodes), n)
	}
}

// next is a made-up migration.
func next(oldest int) []migration {
	return append(append([]migration(nil), migrations...), migration{oldest: oldest, script: "ALTER TABLE hooks ADD made_up integer"})
}

func (d *database) migrate(known []migration) error {
	d.Helper()
	return migrateAt(d.url, known)
}

// A process goes on, and may start again, after the next version has migrated the
// store, if that says so.
func TestMigrationThatOldProcessesBear(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h := d.hook(s)
	for range 2 {
		d.must(d.migrate(next(len(migrations))))
		d.commit(s, 2, h.Number)
		for _, c := range d.claim(d.open(), h.Number, 2, lease) {
			d.equal("lost", len(d.settle(s, c)), 0)
		}
	}
	d.equal("version", ask[int](d, "SELECT version FROM schema_version"), len(migrations)+1)
}

func TestMigrationThatLeavesOldProcessesBehind(t *testing.T) {
	d := newStopped(t)
	d.must(d.migrate(next(len(migrations) + 1)))
	_, err := Open(t.Context(), Options{URL: d.url})
	if err == nil || !strings.Contains(err.Error(), "run the newer grapnel") {
		t.Errorf("Open: %v", err)
	}
	d.must(d.migrate(next(len(migrations) + 1)))
}

func TestMigrationThatFails(t *testing.T) {
	d := newStopped(t)
	before := d.contents()
	broken := append(append([]migration(nil), migrations...), migration{oldest: 1, script: "CREATE TABLE half (); SELECT nonsense"})
	if err := d.migrate(broken); err == nil || !strings.Contains(err.Error(), "from schema version 1") {
		t.Errorf("migrate: %v", err)
	}
	d.equal("the store", d.contents(), before)
	d.open()
}

func TestOpenRefuses(t *testing.T) {
	server := postgrestest.Shared(t)
	at := server.Database(t)
	super := strings.Replace(server.URL("postgres"), "grapnel@", "postgres@", 1)
	d := &database{TB: t, url: super}
	d.exec("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 OWNER grapnel")
	d.exec("CREATE DATABASE others")
	for name, c := range map[string]struct{ url, says string }{
		"no URL":             {"postgres://%zz", "cannot read the URL"},
		"nobody there":       {"postgres://grapnel@127.0.0.1:1/x?sslmode=disable", "cannot use the database"},
		"no such database":   {server.URL("nowhere"), "does not exist"},
		"lost commits":       {at + "&options=-c%20synchronous_commit%3Doff", "set it to on"},
		"unreplicated":       {at + "&options=-c%20synchronous_commit%3Dlocal", "set it to on"},
		"another encoding":   {server.URL("ascii"), "ENCODING 'UTF8'"},
		"not allowed":        {server.URL("others"), "GRANT CREATE ON DATABASE"},
		"not for writing":    {at + "&options=-c%20default_transaction_read_only%3Don", "read-only"},
		"no schema to write": {at + "&pool_max_conns=x", "cannot read the URL"},
	} {
		s, err := Open(t.Context(), Options{URL: c.url})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestOpenFindsThePrimary(t *testing.T) {
	at, err := url.Parse(postgrestest.Shared(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	at.Host = "127.0.0.1:1," + at.Host
	at.RawQuery += "&target_session_attrs=read-write&pool_max_conns=2"
	var said bytes.Buffer
	s, err := Open(t.Context(), Options{URL: at.String(), Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := s.pool.Config().MaxConns; n != 2 {
		t.Errorf("%d connections, want the 2 of the URL", n)
	}
	if !strings.Contains(said.String(), "fsync off") {
		t.Errorf("the log says %q of fsync", said.String())
	}
}

func TestCloseTwice(t *testing.T) {
	d := newDatabase(t)
	s := d.openAt(d.url)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != errClosed {
		t.Errorf("Close again: %v", err)
	}
}
