package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var errClosed = errors.New("the store is closed")

// flushPages is how many pages may gather in the WAL, 4 KiB each, before they
// are moved into the database file.
const flushPages = 4096

// write runs do in one transaction on the one connection that writes, with
// s.mu held. With sync it is on disk on return; without, a power cut may undo
// it, and only it. do must leave memory alone: what it changes there it changes
// in then, which runs when the commit has succeeded.
func (s *Store) write(sync bool, pages int, do func(*sqlite.Conn) (then func(), err error)) (err error) {
	defer catch(&err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if err := s.setSync(sync); err != nil {
		return err
	}
	if err := run(prep(s.conn, "BEGIN IMMEDIATE")); err != nil {
		return unavailable(err)
	}
	// It is still open when do or COMMIT has failed, and when a caller's function
	// has panicked inside do.
	defer rollback(s.conn, &err)
	then, err := do(s.conn)
	if err == nil {
		err = run(prep(s.conn, "COMMIT"))
	}
	if err != nil {
		return unavailable(err)
	}
	if then != nil {
		then()
	}
	if s.unflushed += pages; s.unflushed > flushPages {
		s.unflushed = 0
		select {
		case s.checkpoint <- struct{}{}:
		default:
		}
	}
	return nil
}

// setSync makes the next transaction synced or not. In WAL mode NORMAL writes
// without a sync, and the sync of a later FULL covers what went before.
func (s *Store) setSync(on bool) error {
	if s.synced == on {
		return nil
	}
	pragma := "PRAGMA synchronous = NORMAL"
	if on {
		pragma = "PRAGMA synchronous = " + full
	}
	if err := run(prep(s.conn, pragma)); err != nil {
		return err
	}
	s.synced = on
	return nil
}

// unavailable keeps the errors that callers tell apart and says of SQLite's
// what they mean.
func unavailable(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return fmt.Errorf("the disk is full: %w", err)
	case sqlite.ResultIOErr:
		return fmt.Errorf("the disk fails: %w", err)
	default:
		return err
	}
}

// read runs do on a connection of its own, in one snapshot. It ends early when
// ctx does.
func (s *Store) read(ctx context.Context, do func(*sqlite.Conn) error) error {
	return s.readOn(ctx, s.readers, nil, do)
}

// readOn is read on a connection of either of two sets.
func (s *Store) readOn(ctx context.Context, one, other chan *sqlite.Conn, do func(*sqlite.Conn) error) (err error) {
	defer catch(&err)
	var conn *sqlite.Conn
	from := one
	select {
	case conn = <-one:
	case conn = <-other:
		from = other
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errClosed
	}
	defer func() { from <- conn }()
	conn.SetInterrupt(ctx.Done())
	defer func() {
		conn.SetInterrupt(nil)
		rollback(conn, &err)
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	defer catch(&err) // before the above, which may need to be caught itself
	if err := run(prep(conn, "BEGIN")); err != nil {
		return unavailable(err)
	}
	return unavailable(do(conn))
}

// rollback ends a transaction that is still open.
func rollback(conn *sqlite.Conn, err *error) {
	if conn.AutocommitEnabled() {
		return
	}
	if undo := run(prep(conn, "ROLLBACK")); undo != nil {
		*err = errors.Join(*err, undo)
	}
}

// runCheckpoints moves pages from the WAL to the database file whenever enough
// have gathered. Most of it happens beside the writer; only the rest, with the
// writer waiting, so that the WAL can start again from its beginning.
func (s *Store) runCheckpoints(conn *sqlite.Conn) {
	defer conn.Close()
	for {
		select {
		case <-s.done:
			return
		case <-s.checkpoint:
		}
		// A checkpoint that fails (full disk) loses nothing: the WAL keeps
		// the pages, and a later one moves them.
		if sqlitex.ExecuteTransient(conn, "PRAGMA wal_checkpoint(PASSIVE)", nil) != nil {
			continue
		}
		s.mu.Lock()
		if !s.closed {
			_ = sqlitex.ExecuteTransient(s.conn, "PRAGMA wal_checkpoint(PASSIVE)", nil)
		}
		s.mu.Unlock()
	}
}

// unprepared is the panic of prep: catch takes it for what it is.
type unprepared struct{ error }

// prep returns a statement that is kept compiled. It can fail only because of
// the disk, or of ctx, at any of a hundred places: it panics, and whoever began
// the transaction catches that and returns the error.
func prep(conn *sqlite.Conn, query string) *sqlite.Stmt {
	stmt, err := conn.Prepare(query)
	if err != nil {
		panic(unprepared{err})
	}
	return stmt
}

// catch makes the panic of prep an error.
func catch(err *error) {
	switch failure := recover().(type) {
	case nil:
	case unprepared:
		*err = unavailable(failure.error)
	default:
		panic(failure)
	}
}

// run executes a statement that returns no rows, or whose rows nobody wants.
func run(stmt *sqlite.Stmt) error {
	_, err := stmt.Step()
	return errors.Join(err, stmt.Reset())
}

// each calls f for every row of a statement. f reads the row from the statement.
func each(stmt *sqlite.Stmt, f func() error) error {
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return errors.Join(err, stmt.Reset())
		}
		if err := f(); err != nil {
			return errors.Join(err, stmt.Reset())
		}
	}
}

// upTo calls f for one row of a statement after the other until it has found
// limit of what it looks for in them.
func upTo(limit int, stmt *sqlite.Stmt, f func() (found int, err error)) error {
	for found := 0; found < limit; {
		more, err := stmt.Step()
		if err != nil || !more {
			return errors.Join(err, stmt.Reset())
		}
		n, err := f()
		if err != nil {
			return errors.Join(err, stmt.Reset())
		}
		found += n
	}
	return stmt.Reset()
}

// blob returns a copy of a column's bytes, nil for NULL.
func blob(stmt *sqlite.Stmt, column int) []byte {
	n := stmt.ColumnLen(column)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	stmt.ColumnBytes(column, b)
	return b
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
