package postgrestest

import (
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Standby starts a physical standby that ends with the test. From then on every
// commit on s waits until the standby has it: a standby that is gone stops s
// until another one follows it, or [Server.Alone] is called.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := newServer(s.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.remove(t) })
	standby.Follow(t, s)
	return standby
}

// Follow makes a server that does not run, whatever it was before, the
// synchronous standby of another, and starts it.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	if s.running() != nil {
		t.Fatalf("PostgreSQL %s runs; stop it before it follows another", s.name)
	}
	if err := s.follow(primary); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) follow(primary *Server) error {
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	err := s.run("pg_basebackup", "--pgdata="+s.data(), "--host="+primary.dir, "--port="+strconv.Itoa(primary.port),
		"--username=postgres", "--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf")
	if err == nil {
		err = s.start()
	}
	if err == nil {
		err = primary.exec("ALTER SYSTEM SET synchronous_standby_names = "+s.name, "SELECT pg_reload_conf()")
	}
	if err != nil {
		return err
	}
	return poll("the standby is synchronous", func() (bool, error) {
		var synchronous bool
		err := primary.admin(func(ctx context.Context, db *pgx.Conn) error {
			// A standby's name is its cluster_name, unless told otherwise.
			return db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync')", s.name).
				Scan(&synchronous)
		})
		return synchronous, err
	})
}

// Promote makes a standby a primary, which waits for no standby. The server that
// it followed must not run any more.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	var promoted bool
	err := s.admin(func(ctx context.Context, db *pgx.Conn) error {
		return db.QueryRow(ctx, "SELECT pg_promote(true, $1)", int(patience.Seconds())).Scan(&promoted)
	})
	if err != nil || !promoted {
		t.Fatalf("PostgreSQL %s is not promoted: %v", s.name, err)
	}
	// Its settings are a copy of the primary's, which may have had another standby.
	s.Alone(t)
}

// Alone makes commits wait for no standby.
func (s *Server) Alone(t testing.TB) {
	t.Helper()
	if err := s.exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
}
