package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

var errClosed = errors.New("the store is closed")

// How long operations may take at most, since a network that is cut never
// answers, and callers do not always set a limit.
const (
	commitTime  = 5 * time.Second
	callTime    = 15 * time.Second
	adminTime   = 15 * time.Second
	connectTime = 5 * time.Second
)

// maxConns is how many connections there are at most, unless the URL says.
const maxConns = 16

// settings are those of every connection.
var settings = map[string]string{
	"application_name": "grapnel",
	"search_path":      "grapnel",
	"timezone":         "UTC",
	// Commits look at what others have just changed.
	"default_transaction_isolation": "read committed",
	// What a connection holds a lock for may wait long.
	"idle_session_timeout": "0",
	// Should the client be gone without the server having noticed.
	"statement_timeout":                   "20s",
	"idle_in_transaction_session_timeout": "10s",
	"tcp_keepalives_idle":                 "5",
	"tcp_keepalives_interval":             "2",
	"tcp_keepalives_count":                "3",
	"tcp_user_timeout":                    "10000",
	// Every query is written for an index, and what the planner knows of a queue
	// is always out of date: it must not change its mind.
	"enable_seqscan":    "off",
	"enable_hashjoin":   "off",
	"enable_mergejoin":  "off",
	"enable_sort":       "off",
	"enable_bitmapscan": "off",
	"enable_material":   "off",
	"jit":               "off",
}

func configure(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("cannot read the URL of the database: %w", err)
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = maxConns
	}
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > connectTime {
		config.ConnConfig.ConnectTimeout = connectTime
	}
	config.ConnConfig.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.Routine == waitForStandby {
			conn.CustomData()[waitForStandby] = true
		}
	}
	for name, value := range settings {
		if _, given := config.ConnConfig.RuntimeParams[name]; !given || name == "search_path" {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// waitForStandby is the function of PostgreSQL that waits until a synchronous
// standby has a commit (syncrep.c). If somebody cancels the wait, it warns and
// says that all is well.
const waitForStandby = "SyncRepWaitForLSN"

// errNotReplicated says that a call was kept by the primary alone.
var errNotReplicated = errors.New("the database has not waited for its synchronous standby, as somebody cancelled that")

// checkServer refuses a server that would lose what it has committed.
func (s *Store) checkServer(ctx context.Context) error {
	var version int
	var commits, fsync, encoding string
	err := s.call(ctx, adminTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::integer, current_setting('synchronous_commit'),
			current_setting('fsync'), current_setting('server_encoding')`).Scan(&version, &commits, &fsync, &encoding)
	})
	switch {
	case err != nil:
		return err
	case version < 15_00_00:
		return fmt.Errorf("it is PostgreSQL %d; PostgreSQL 15 or later is needed", version/10000)
	case commits == "off" || commits == "local":
		return fmt.Errorf("synchronous_commit is %s for this role and database, so events could be lost after they were acknowledged; set it to on", commits)
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s; create the database with ENCODING 'UTF8'", encoding)
	case fsync != "on":
		s.log.Warn("the database runs with fsync off: a power cut may lose events that were acknowledged")
	}
	return nil
}

// Of the connections, so many are kept for intake and the beat: a database on
// which all else is slow must not end either.
const keptConns = 3

// limits bound how many calls may be under way at once: less than there are
// connections, and of lists and searches, which may be many and take their time,
// half of them.
type limits struct{ calls, reads chan struct{} }

func newLimits(conns int32) limits {
	return limits{make(chan struct{}, max(1, conns-keptConns)), make(chan struct{}, max(1, conns/2))}
}

// enter waits for room, and returns how to leave it.
func enter(ctx context.Context, room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// call runs do with a connection, for so long at most. do must be one statement,
// or a transaction that a broken connection undoes.
func (s *Store) call(ctx context.Context, limit time.Duration, do func(context.Context, *pgxpool.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	leave, err := enter(limited, s.limits.calls)
	if err != nil {
		return tell(ctx, limit, err)
	}
	defer leave()
	return s.urgent(ctx, limit, do)
}

// read is call for lists and searches.
func (s *Store) read(ctx context.Context, do func(context.Context, *pgxpool.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	leave, err := enter(limited, s.limits.reads)
	if err != nil {
		return tell(ctx, callTime, err)
	}
	defer leave()
	return s.call(ctx, callTime, do)
}

// urgent is call for intake and the beat, which wait for no other calls.
func (s *Store) urgent(ctx context.Context, limit time.Duration, do func(context.Context, *pgxpool.Conn) error) error {
	if s.closed.Load() {
		return errClosed
	}
	s.calls.RLock()
	defer s.calls.RUnlock()
	if s.closed.Load() {
		return errClosed
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := s.pool.Acquire(limited)
	if err != nil {
		return tell(ctx, limit, err)
	}
	defer conn.Release()
	err = do(limited, conn)
	if data := conn.Conn().PgConn().CustomData(); data[waitForStandby] != nil {
		delete(data, waitForStandby)
		err = cmp.Or(err, errNotReplicated)
	}
	if err != nil {
		if code(err) == readOnly {
			// A server that was the primary: look for the new one.
			s.pool.Reset()
		}
		return tell(ctx, limit, err)
	}
	return nil
}

// write is call for what changes something: it does not end with its caller's
// context, so that its end is known.
func (s *Store) write(ctx context.Context, limit time.Duration, do func(context.Context, *pgxpool.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.call(context.WithoutCancel(ctx), limit, do)
}

// writeNow is write for intake and the beat.
func (s *Store) writeNow(ctx context.Context, do func(context.Context, *pgxpool.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.urgent(context.WithoutCancel(ctx), commitTime, do)
}

// tell says whose time is over.
func tell(ctx context.Context, limit time.Duration, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the database has not answered within %v: %w", limit, err)
	}
	return err
}

// Codes of errors that the database answers with (PostgreSQL, Appendix A), and
// our own.
const (
	uniqueViolation  = "23505"
	checkViolation   = "23514" // there is no partition
	readOnly         = "25006"
	deadlock         = "40P01"
	lockNotAvailable = "55P03"
	partlySettled    = "GR001" // see schema/1-settle.sql
)

func code(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// answered reports whether the database has answered a call, so that its end is
// known.
func answered(err error) bool { return err == nil || code(err) != "" || pgconn.SafeToRetry(err) }
