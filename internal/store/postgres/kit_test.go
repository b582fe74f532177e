package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// start is when the tests' clock stands still at first: noon of a day.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// lease is how long the tests' leases last.
const lease = time.Minute

// database is a database of a test's own, with the schema in it.
type database struct {
	testing.TB
	url   string
	mu    sync.Mutex
	clock time.Time
	made  int // events and hooks so far
}

// migrated holds the schema, and nobody has opened the store yet.
var migrated = postgrestest.Template{Fill: func(url string) error { return migrateAt(url, migrations) }}

func migrateAt(url string, known []migration) error {
	config, err := configure(url)
	if err != nil {
		return err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return err
	}
	defer pool.Close()
	return migrate(context.Background(), pool, known)
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	return &database{TB: t, url: migrated.Database(t)}
}

// newStopped returns a database whose clock stands still.
func newStopped(t testing.TB) *database {
	t.Helper()
	d := newDatabase(t)
	d.stopClock(start)
	return d
}

// openAt opens the store by a URL of it.
func (d *database) openAt(url string) *Store {
	d.Helper()
	s, err := Open(context.Background(), Options{URL: url})
	if err != nil {
		d.Fatal(err)
	}
	return s
}

// open opens the store for a test: one more process that shares it.
func (d *database) open() *Store {
	d.Helper()
	s := d.openAt(d.url)
	d.Cleanup(func() {
		if err := s.Close(); err != nil && err != errClosed {
			d.Error(err)
		}
	})
	return s
}

// crash ends a process as a kill does: its connections break, and it tells nobody.
func crash(s *Store) {
	s.closed.Store(true)
	s.cluster.close()
	s.pool.Close()
}

// connect returns a connection that no store knows of.
func (d *database) connect() *pgx.Conn {
	d.Helper()
	config, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		d.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = "grapnel"
	config.ConnConfig.RuntimeParams["application_name"] = "test"
	conn, err := pgx.ConnectConfig(context.Background(), config.ConnConfig)
	if err != nil {
		d.Fatal(err)
	}
	return conn
}

func (d *database) exec(statement string, args ...any) {
	d.Helper()
	conn := d.connect()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		d.Fatalf("%s: %v", statement, err)
	}
}

// ask returns the one value that a query returns.
func ask[T any](d *database, query string, args ...any) (value T) {
	d.Helper()
	conn := d.connect()
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), query, args...).Scan(&value); err != nil {
		d.Fatalf("%s: %v", query, err)
	}
	return value
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

func (d *database) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *database) equal(what string, got, want any) {
	d.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		d.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// hook keeps a new hook.
func (d *database) hook(s *Store) hook.EventHook {
	d.Helper()
	d.made++
	h := hook.EventHook{
		ID: fmt.Sprint("who", d.made), Status: hook.Active, Verified: true, EverVerified: true,
		Types: []string{"*"}, Policy: hook.DefaultPolicy(), Created: start, LastUpdated: start,
	}
	d.must(s.CreateEventHook(context.Background(), &h, func([]hook.EventHook) error { return nil }))
	return h
}

func (d *database) events(n int, hooks ...int64) (events []*store.Event) {
	for range n {
		d.made++
		uuid := fmt.Sprintf("%08x-5dd2-11f0-9c1a-0242ac120002", d.made)
		events = append(events, &store.Event{
			Event: hook.Event{Source: 1, UUID: uuid, Type: "a", Published: start, JSON: []byte(`{"uuid":"` + uuid + `"}`)},
			Hooks: hooks,
		})
	}
	return events
}

func (d *database) group(s *Store, events []*store.Event) *store.Group {
	d.Helper()
	_, revision, err := s.EventHooks(context.Background())
	d.must(err)
	return &store.Group{Received: d.now(), Revision: revision, Events: events, LeaseFor: lease}
}

// commit commits new events, owed to hooks.
func (d *database) commit(s *Store, n int, hooks ...int64) []*store.Event {
	d.Helper()
	events := d.events(n, hooks...)
	_, err := s.Commit(context.Background(), d.group(s, events))
	d.must(err)
	return events
}

func (d *database) claim(s *Store, number int64, limit int, length time.Duration) []store.Claim {
	d.Helper()
	claims, _, err := s.Claim(context.Background(), number, d.now(), limit, 1<<20, length)
	d.must(err)
	return claims
}

func (d *database) outcome(c store.Claim, state hook.State) store.Outcome {
	return store.Outcome{
		Key: c.Key, Epoch: c.Epoch, State: state, Due: d.now(),
		Attempt: &hook.Attempt{At: d.now(), Duration: time.Millisecond, Status: 204},
	}
}

// settle settles claims as delivered, and returns those that are lost.
func (d *database) settle(s *Store, claims ...store.Claim) []hook.Key {
	d.Helper()
	var outcomes []store.Outcome
	for _, c := range claims {
		outcomes = append(outcomes, d.outcome(c, hook.Delivered))
	}
	lost, err := s.Settle(context.Background(), outcomes)
	d.must(err)
	return lost
}

func (d *database) beat(s *Store) store.Members {
	d.Helper()
	m, err := s.Beat(context.Background())
	d.must(err)
	// Leases of which nobody knows are given back beside it.
	s.cluster.releasing.Lock()
	defer s.cluster.releasing.Unlock()
	return m
}

// contents is all that the tables hold, in any order of the rows.
func (d *database) contents() map[string]string {
	d.Helper()
	ctx := context.Background()
	conn := d.connect()
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT relname FROM pg_class WHERE relnamespace = 'grapnel'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition")
	d.must(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	d.must(err)
	contents := make(map[string]string)
	for _, name := range names {
		var text *string
		d.must(conn.QueryRow(ctx, "SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM "+name+" t").Scan(&text))
		if text != nil {
			contents[name] = *text
		}
	}
	return contents
}

// waitFor waits until a backend of a store waits for a lock, and returns it.
func (d *database) waitFor(conn *pgx.Conn) (pid int) {
	d.Helper()
	for pid == 0 {
		err := conn.QueryRow(context.Background(), `SELECT coalesce(min(pid), 0) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'grapnel' AND wait_event_type = 'Lock'`).Scan(&pid)
		d.must(err)
	}
	return pid
}

func keys(claims []store.Claim) string {
	var list []string
	for _, c := range claims {
		list = append(list, fmt.Sprint(c.Key))
	}
	return strings.Join(list, " ")
}
