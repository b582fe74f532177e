package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds every wait for a server. It is long, as the machine may be
// busy with other tests.
const patience = time.Minute

// role owns the databases and is who URLs log in as. It is no superuser, as a
// user's role should not be one.
const role = "grapnel"

// Options say how a server differs from the usual.
type Options struct {
	// Fsync makes commits durable, as PostgreSQL does unless told otherwise.
	// Without it a commit survives the end of the server, but not a power cut, and
	// the data is in memory where there is room.
	Fsync bool
	// Settings are parameters of postgresql.conf.
	Settings map[string]string
}

// Server is a PostgreSQL server.
type Server struct {
	name    string // also its application_name as a standby
	dir     string // holds the socket, the log, and the data in data
	port    int
	options Options
	lasting bool // it outlives its tests

	mu      sync.Mutex
	process *process // nil while it does not run
}

// Start starts a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.remove(t) })
	return s
}

var shared = sync.OnceValues(func() (*Server, error) {
	s, err := start(Options{})
	if err == nil {
		s.lasting = true
	}
	return s, err
})

// Shared returns the one server of all tests of this process, without Fsync. It
// ends after the process, so no TestMain is needed.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(o Options) (*Server, error) {
	s, err := newServer(o)
	if err != nil {
		return nil, err
	}
	// Not even the files of a server that is thrown away are synced.
	err = s.run("initdb", "--no-sync", "--no-instructions", "--auth=trust", "--username=postgres",
		"--encoding=UTF8", "--locale=C", "--pgdata="+s.data())
	if err == nil {
		err = s.include()
	}
	if err == nil {
		err = s.start()
	}
	if err == nil {
		err = s.exec("CREATE ROLE " + role + " LOGIN")
	}
	return s, err
}

// newServer makes the place for a server.
func newServer(o Options) (*Server, error) {
	if err := findPlace(); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{port: port, options: o}
	s.name, s.dir, err = addServer(o)
	return s, err
}

// freePort finds a port that nobody listens on, outside of Linux's ephemeral
// ports (net.ipv4.ip_local_port_range, from 32768): of those one could be taken,
// while the server is down, by a client's own connection, even one to itself.
func freePort() (int, error) {
	var config net.ListenConfig
	var err error
	for range 100 {
		port := 10_000 + rand.IntN(22_000)
		var listener net.Listener
		listener, err = config.Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, err
}

const host = "127.0.0.1"

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Addr is the TCP address, the same for as long as there is the Server.
func (s *Server) Addr() string { return net.JoinHostPort(host, strconv.Itoa(s.port)) }

// URL is that of a database, over TCP.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role), Host: s.Addr(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Start starts a server that was stopped or killed, with its data, where it was.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop stops a server cleanly, breaking connections off.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// Kill ends a server and all its processes at once, as a crash does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.kill(); err != nil {
		t.Fatal(err)
	}
}

// Pause stops a server and all its processes as they are, as an overloaded
// machine may; Resume lets them go on. Nobody notices but by waiting.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	if _, err := s.pause(); err != nil {
		t.Fatal(err)
	}
}

// Resume lets a server go on that was paused.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	if err := s.resume(); err != nil {
		t.Fatal(err)
	}
}

// remove ends a server without care for its data.
func (s *Server) remove(t testing.TB) {
	t.Helper()
	if s.running() != nil {
		if err := errors.Join(s.resume(), s.end(syscall.SIGQUIT)); err != nil {
			t.Error(err)
		}
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Error(err)
	}
}

const settingsFile = "test.conf"

// include makes postgresql.conf include the settings. Standbys have a copy of it.
func (s *Server) include() error {
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("include '" + settingsFile + "'\n")
	return errors.Join(err, file.Close())
}

// configure writes the settings.
func (s *Server) configure() error {
	settings := map[string]string{
		"listen_addresses":        host,
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": s.dir,
		"cluster_name":            s.name,
		"max_connections":         "200",
	}
	if !s.options.Fsync {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
		settings["max_wal_size"], settings["min_wal_size"] = "128MB", "32MB" // as it may be in memory
	}
	for name, value := range s.options.Settings {
		settings[name] = value
	}
	var lines []string
	for name, value := range settings {
		lines = append(lines, name+" = '"+strings.ReplaceAll(value, "'", "''")+"'\n")
	}
	return os.WriteFile(filepath.Join(s.data(), settingsFile), []byte(strings.Join(lines, "")), 0o644)
}

// exec runs statements one by one as the superuser.
func (s *Server) exec(statements ...string) error {
	return s.admin(func(ctx context.Context, db *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := db.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// admin connects as the superuser, through the socket.
func (s *Server) admin(do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.dir, s.port))
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, db), db.Close(ctx))
}

// poll asks again and again until done or wrong.
func poll(what string, done func() (bool, error)) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			return fmt.Errorf("still not, after %v: %s", patience, what)
		}
	}
}
