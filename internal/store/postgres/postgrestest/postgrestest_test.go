package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// inChild makes the test program be another one, which says where its server is
// and waits to be killed.
const inChild = "POSTGRESTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(inChild) != "" {
		s, err := start(Options{})
		fmt.Println(s.dir, s.process.Process.Pid, err)
		_, _ = io.ReadAll(os.Stdin)
	}
	os.Exit(m.Run())
}

// ask sends one statement to a database and reads one value.
func ask[T any](t *testing.T, url, statement string) (value T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	if err := db.QueryRow(ctx, statement).Scan(&value); err != nil && err != pgx.ErrNoRows {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

const (
	makeTable = "CREATE TABLE kept (number int)"
	keepOne   = "INSERT INTO kept VALUES (1) RETURNING number"
	countKept = "SELECT count(*) FROM kept"
)

func TestDatabasesAreFreshAndGoAway(t *testing.T) {
	began := time.Now()
	s := Shared(t)
	t.Logf("a server after %v", time.Since(began))
	var first string
	t.Run("one", func(t *testing.T) {
		began = time.Now()
		first = s.Database(t)
		t.Logf("a database after %v", time.Since(began))
		second := s.Database(t)
		ask[any](t, first, makeTable)
		ask[any](t, second, makeTable)
		if ask[bool](t, first, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") {
			t.Error("the role of the URL is a superuser")
		}
	})
	db, err := pgx.Connect(t.Context(), first)
	if err == nil {
		db.Close(t.Context())
		t.Fatal("the database is still there after its test")
	}
	if Shared(t) != s {
		t.Error("there are two shared servers")
	}
}

func TestTemplateIsFilledOnceAndNeverChanges(t *testing.T) {
	filled := 0
	p := Template{Fill: func(url string) error {
		filled++
		ask[any](t, url, makeTable)
		return nil
	}}
	first, second := p.Database(t), p.Database(t)
	ask[int](t, first, keepOne)
	if kept := ask[int](t, second, countKept); kept != 0 || filled != 1 {
		t.Errorf("%d rows of another test, filled %d times", kept, filled)
	}
	if db, err := pgx.Connect(t.Context(), Shared(t).URL(p.name)); err == nil {
		db.Close(t.Context())
		t.Error("a test can connect to the template")
	}
}

func TestStopKillAndStart(t *testing.T) {
	s := Start(t, Options{Fsync: true, Settings: map[string]string{"application_name": "it's set"}})
	url := s.Database(t)
	if name := ask[string](t, url, "SHOW application_name"); name != "it's set" {
		t.Errorf("the setting is %q", name)
	}
	if fsync := ask[string](t, url, "SHOW fsync"); fsync != "on" {
		t.Errorf("fsync is %s", fsync)
	}
	ask[any](t, url, makeTable)
	family, err := children(s.process.Process.Pid)
	if err != nil || len(family) == 0 {
		t.Fatalf("PostgreSQL has no processes: %v", err)
	}
	for n, end := range []func(testing.TB){s.Kill, s.Stop} {
		ask[int](t, url, keepOne)
		end(t)
		if db, err := pgx.Connect(t.Context(), url); err == nil {
			db.Close(t.Context())
			t.Fatal("PostgreSQL still takes connections")
		}
		for _, pid := range family {
			if state, _ := stat(pid); state != "" && state != "Z" {
				t.Errorf("process %d lives on: %s", pid, state)
			}
		}
		s.Start(t)
		if kept := ask[int](t, url, countKept); kept != n+1 {
			t.Errorf("%d rows after %d commits", kept, n+1)
		}
	}
}

func TestFailOver(t *testing.T) {
	primary := Start(t, Options{})
	began := time.Now()
	standby := primary.Standby(t)
	t.Logf("a standby after %v", time.Since(began))
	url := primary.Database(t)
	either := strings.Replace(url, primary.Addr(), primary.Addr()+","+standby.Addr(), 1) + "&target_session_attrs=read-write"
	ask[any](t, url, makeTable)
	for n := range 2 {
		ask[int](t, either, keepOne)
		primary.Kill(t)
		began = time.Now()
		standby.Promote(t)
		t.Logf("promoted after %v", time.Since(began))
		if kept := ask[int](t, either, countKept); kept != n+1 {
			t.Fatalf("%d rows after %d commits", kept, n+1)
		}
		began = time.Now()
		primary.Follow(t, standby)
		t.Logf("a standby again after %v", time.Since(began))
		primary, standby = standby, primary
	}
	// A commit waits for a standby that does not answer.
	standby.Pause(t)
	kept := keepLater(t, either)
	primary.awaitWaiting(t)
	standby.Resume(t)
	if err := <-kept; err != nil {
		t.Fatal(err)
	}
	// And for one that is gone, until nobody waits any more.
	standby.Pause(t)
	standby.Kill(t)
	kept = keepLater(t, either)
	primary.awaitWaiting(t)
	primary.Alone(t)
	if err := <-kept; err != nil {
		t.Fatal(err)
	}
}

// keepLater commits a row and tells how that went.
func keepLater(t *testing.T, url string) <-chan error {
	kept := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		db, err := pgx.Connect(ctx, url)
		if err == nil {
			_, err = db.Exec(ctx, keepOne)
			err = errors.Join(err, db.Close(ctx))
		}
		kept <- err
	}()
	return kept
}

// awaitWaiting returns once a commit waits for a standby.
func (s *Server) awaitWaiting(t *testing.T) {
	t.Helper()
	err := poll("the commit waits for the standby", func() (waits bool, err error) {
		err = s.admin(func(ctx context.Context, db *pgx.Conn) error {
			return db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')").Scan(&waits)
		})
		return waits, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestServersEndWithTheirProcess(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), inChild+"=yes")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var dir, failed string
	var pid int
	if _, err := fmt.Sscan(line, &dir, &pid, &failed); err != nil || failed != "<nil>" {
		t.Fatalf("the child says: %s", line)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	err = poll("the server and its files are gone", func() (bool, error) {
		_, err := os.Stat(filepath.Dir(dir))
		state, _ := stat(pid)
		return errors.Is(err, fs.ErrNotExist) && (state == "" || state == "Z"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewestProgramsAreFound(t *testing.T) {
	dir := t.TempDir()
	if _, err := programs(dir); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("without PostgreSQL: %v", err)
	}
	for _, version := range []string{"9.6", "15", "17"} {
		bin := filepath.Join(dir, version, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "postgres"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := programs(dir); err != nil || found != filepath.Join(dir, "17", "bin") {
		t.Errorf("found %s, %v", found, err)
	}
}
