package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// openElsewhere names, in the environment, a store that this test binary opens
// instead of running tests: it plays the second process.
const openElsewhere = "GRAPNEL_TEST_OPEN"

func TestMain(m *testing.M) {
	if path := os.Getenv(openElsewhere); path != "" {
		s, err := Open(context.Background(), Options{Path: path})
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if from, to, ok := strings.Cut(os.Getenv(backUpElsewhere), "\n"); ok {
		to, dies := strings.CutSuffix(to, "\n"+diesMidway)
		err := Backup(context.Background(), from, to, func(done, total int64) {
			if dies && done < total {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		})
		if err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openNew(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "grapnel.db"))
}

// mustFail opens a store that must not open, and returns what it says.
func mustFail(t *testing.T, path string) string {
	t.Helper()
	s, err := Open(context.Background(), Options{Path: path})
	if err == nil {
		t.Error(s.Close())
		t.Fatalf("%s opens", path)
	}
	return err.Error()
}

func TestOneProcessOwnsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	s, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := func() (string, error) {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), openElsewhere+"="+path)
		out, err := c.Output()
		return string(out), err
	}
	said, err := elsewhere()
	if err == nil || !strings.Contains(said, path) || !strings.Contains(said, "in use") {
		t.Errorf("a second process opens the store: %q, %v", said, err)
	}
	if said := mustFail(t, path); !strings.Contains(said, "in use") {
		t.Errorf("the same process opens the store again: %s", said)
	}
	if _, err := s.Sources(t.Context()); err != nil {
		t.Errorf("the first owner cannot read any more: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if said, err := elsewhere(); err != nil {
		t.Errorf("a closed store cannot be opened: %s, %v", said, err)
	}
}

func TestOnlyTheOwnerCanReadTheFiles(t *testing.T) {
	top := t.TempDir()
	path := filepath.Join(top, "a", "b", "grapnel.db")
	s := openAt(t, path)
	if err := s.Count(t.Context(), map[int64]hook.SourceCount{0: {Deliveries: 1}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		"a": 0o700, "a/b": 0o700,
		"a/b/grapnel.db": 0o600, "a/b/grapnel.db-wal": 0o600, "a/b/grapnel.db-shm": 0o600, "a/b/grapnel.db.lock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(top, name))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestRefusesWhatIsNoStore(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := mustFail(t, text); !strings.Contains(said, text) {
		t.Errorf("the error does not name the file: %s", said)
	}
	mustFail(t, dir)
	mustFail(t, filepath.Join(text, "below.db"))
}

// raw opens the file without Open.
func raw(t *testing.T, path string, do func(conn *sqlite.Conn)) {
	t.Helper()
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	do(conn)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func version(t *testing.T, conn *sqlite.Conn) int {
	t.Helper()
	v, err := sqlitex.ResultInt(conn.Prep("PRAGMA user_version"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func exec1(t testing.TB, conn *sqlite.Conn, query string) {
	t.Helper()
	if err := sqlitex.ExecuteTransient(conn, query, nil); err != nil {
		t.Fatal(err)
	}
}

func TestMigratesFromNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	s := openAt(t, path)
	if got := version(t, s.conn); got != len(migrations) {
		t.Errorf("schema version %d, want %d", got, len(migrations))
	}
	if err := s.CreateSource(t.Context(), &hook.Source{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path) // and again, with nothing to migrate
	if sources, err := s.Sources(t.Context()); err != nil || len(sources) != 1 {
		t.Errorf("sources %v: %v", sources, err)
	}
}

// TestMigratesStepByStep has a store of every older version opened.
func TestMigratesStepByStep(t *testing.T) {
	for from := range migrations {
		path := filepath.Join(t.TempDir(), "grapnel.db")
		raw(t, path, func(conn *sqlite.Conn) {
			for to := range from {
				if err := sqlitex.ExecuteScript(conn, migrations[to], nil); err != nil {
					t.Fatal(err)
				}
			}
			exec1(t, conn, fmt.Sprintf("PRAGMA user_version = %d", from))
		})
		if got := version(t, openAt(t, path).conn); got != len(migrations) {
			t.Errorf("from version %d: schema version %d, want %d", from, got, len(migrations))
		}
	}
}

func TestRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	if err := openAt(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	newer := len(migrations) + 1
	raw(t, path, func(conn *sqlite.Conn) { exec1(t, conn, fmt.Sprintf("PRAGMA user_version = %d", newer)) })
	said := mustFail(t, path)
	if !strings.Contains(said, fmt.Sprint(newer)) || !strings.Contains(said, "newer") {
		t.Errorf("the error does not say what to do: %s", said)
	}
	raw(t, path, func(conn *sqlite.Conn) {
		if got := version(t, conn); got != newer {
			t.Errorf("the refused store has version %d now", got)
		}
		exec1(t, conn, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
	})
	openAt(t, path) // so the refusal has let go of the file
}

func TestAMigrationThatFailsLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	s := openAt(t, path)
	if err := s.CreateSource(t.Context(), &hook.Source{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good := migrations
	t.Cleanup(func() { migrations = good })
	migrations = append(migrations[:len(good):len(good)], "CREATE TABLE half (a); DELETE FROM sources; CREATE TABLE sources (a)")
	if said := mustFail(t, path); !strings.Contains(said, fmt.Sprintf("version %d", len(good))) {
		t.Errorf("the error does not name the step: %s", said)
	}
	migrations = good
	s = openAt(t, path)
	if sources, err := s.Sources(t.Context()); err != nil || len(sources) != 1 {
		t.Errorf("sources %v: %v", sources, err)
	}
	if n, err := sqlitex.ResultInt(s.conn.Prep("SELECT count(*) FROM sqlite_schema WHERE name = 'half'")); err != nil || n != 0 {
		t.Errorf("half a migration is left: %d, %v", n, err)
	}
}
