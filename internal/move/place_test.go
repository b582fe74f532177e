package move

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// place is where a store may be, or is.
type place struct {
	name   string
	open   func() (store.Store, error)
	source func() (store.Archive, error)
	target func() (store.ArchiveWriter, error)
	// setClock makes the store's own clock, if it has one, stand still.
	setClock func(t rapid.TB, at time.Time)
	// check finds what is wrong with the store.
	check func(t rapid.TB)
	// contents is what the place holds, bit by bit.
	contents func(t rapid.TB) map[string]string
}

func file(path string) place {
	return place{
		name:     "sqlite:" + path,
		open:     func() (store.Store, error) { return sqlite.Open(context.Background(), sqlite.Options{Path: path}) },
		source:   func() (store.Archive, error) { return sqlite.OpenArchive(path) },
		target:   func() (store.ArchiveWriter, error) { return sqlite.OpenArchiveWriter(path) },
		setClock: func(rapid.TB, time.Time) {},
		check: func(t rapid.TB) {
			t.Helper()
			report, err := sqlite.Check(context.Background(), path, nil)
			mustBeWhole(t, report, err)
		},
		contents: func(t rapid.TB) map[string]string {
			t.Helper()
			found := make(map[string]string)
			files, err := filepath.Glob(path + "*")
			for _, name := range files {
				b, failed := os.ReadFile(name)
				found[name], err = fmt.Sprintf("%x", sha256.Sum256(b)), errors.Join(err, failed)
			}
			if err != nil {
				t.Fatal(err)
			}
			return found
		},
	}
}

func database(t testing.TB) place {
	t.Helper()
	address := postgrestest.Shared(t).Database(t)
	o := postgres.Options{URL: address}
	return place{
		name:   address,
		open:   func() (store.Store, error) { return postgres.Open(context.Background(), o) },
		source: func() (store.Archive, error) { return postgres.OpenArchive(context.Background(), o) },
		target: func() (store.ArchiveWriter, error) { return postgres.OpenArchiveWriter(context.Background(), o) },
		setClock: func(t rapid.TB, at time.Time) {
			t.Helper()
			execute(t, address, fmt.Sprintf("CREATE OR REPLACE FUNCTION clock() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT %d::bigint'", at.UnixMicro()))
		},
		check: func(t rapid.TB) {
			t.Helper()
			report, err := postgres.Check(context.Background(), o, nil)
			mustBeWhole(t, report, err)
		},
		contents: func(t rapid.TB) map[string]string {
			t.Helper()
			found := make(map[string]string)
			beside(t, address, func(ctx context.Context, conn *pgx.Conn) error {
				rows, err := conn.Query(ctx, `SELECT relname, CASE relkind WHEN 'S' THEN 'last_value' ELSE 't' END
					FROM pg_class WHERE relnamespace = 'grapnel'::regnamespace AND relkind IN ('r', 'p', 'S')`)
				if err != nil {
					return err
				}
				tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (table [2]string, err error) {
					err = row.Scan(&table[0], &table[1])
					return table, err
				})
				for _, table := range tables {
					name, row := table[0], table[1]+"::text"
					var text *string
					err = errors.Join(err, conn.QueryRow(ctx, "SELECT md5(string_agg("+row+", ';' ORDER BY "+row+")) FROM "+name+" t").Scan(&text))
					if text != nil {
						found[name] = *text
					}
				}
				return err
			})
			return found
		},
	}
}

func mustBeWhole(t rapid.TB, report store.Report, err error) {
	t.Helper()
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("the check finds %+v (%v)", report.Findings, err)
	}
}

// execute runs statements beside a store in a database.
func execute(t rapid.TB, address, statements string) {
	t.Helper()
	beside(t, address, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statements)
		return err
	})
}

// beside works on a database beside its store.
func beside(t rapid.TB, address string, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", "grapnel")
	u.RawQuery = q.Encode()
	conn, err := pgx.Connect(context.Background(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	err = do(context.Background(), conn)
	if err := errors.Join(err, conn.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func (p place) mustOpen(t rapid.TB) store.Store {
	t.Helper()
	s, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t rapid.TB, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func closeArchive(t rapid.TB, a store.Archive) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// with opens the store at a place for one question.
func (w *world) with(p place, do func()) {
	w.Helper()
	w.s = p.mustOpen(w.TB)
	defer closeStore(w.TB, w.s)
	p.setClock(w.TB, w.clock)
	do()
}

// try copies one store into another.
func try(t rapid.TB, from, to place, change func(*Options)) (*Report, error) {
	t.Helper()
	source, err := from.source()
	if err != nil {
		t.Fatal(err)
	}
	defer closeArchive(t, source)
	target, err := to.target()
	if err != nil {
		t.Fatal(err)
	}
	defer closeArchive(t, target)
	o := Options{From: source, To: target, FromName: from.name, ToName: to.name, Command: "copy " + from.name + " " + to.name}
	if change != nil {
		change(&o)
	}
	return Copy(context.Background(), o)
}

func mustCopy(t rapid.TB, from, to place, batch int) {
	t.Helper()
	report, err := try(t, from, to, func(o *Options) { o.Batch = batch })
	if err != nil {
		t.Fatal(err)
	}
	if report.Resumed {
		t.Errorf("the report is %+v", report)
	}
	from.check(t)
	to.check(t)
}

func inDir(dir, name string) place { return file(filepath.Join(dir, name)) }
