package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Archive is a store in one file that is copied, or filled from another. It
// keeps every other process away as an open Store does.
type Archive struct {
	path string
	lock *os.File
	conn *sqlite.Conn
}

var _ store.ArchiveWriter = (*Archive)(nil)

// What a store that is being filled has in meta.
const (
	copyCommand = "copy_command" // told to whoever opens it
	copyMark    = "copy_mark"    // of the last item
)

// OpenArchive opens a store to be copied. It refuses one that another process
// has open, that was not finished, or that is not of this program's version: it
// is only read.
func OpenArchive(path string) (_ *Archive, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no store to copy: %w", err)
	}
	a, err := lockArchive(path)
	if err != nil {
		return nil, err
	}
	defer a.closeUnless(&err)
	defer catch(&err)
	if a.conn, err = openReadOnly(path); err != nil {
		return nil, err
	}
	version, err := storeVersion(a.conn, path)
	if err != nil {
		return nil, err
	}
	if err := notOlder(version, path); err != nil {
		return nil, err
	}
	return a, refuseCopy(a.conn, path)
}

// openReadOnly opens a file for reading such that nothing is written beside it
// either, if that is possible: not where the WAL holds something.
func openReadOnly(path string) (*sqlite.Conn, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	uri := url.URL{Scheme: "file", Path: abs}
	if wal, err := os.Stat(path + "-wal"); err != nil || wal.Size() == 0 {
		uri.RawQuery = "immutable=1"
	}
	conn, err := sqlite.OpenConn(uri.String(), sqlite.OpenReadOnly, sqlite.OpenURI)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	return conn, nil
}

// OpenArchiveWriter opens a store to be filled, and makes it where there is
// none. What it holds already is left alone; see Begin.
func OpenArchiveWriter(path string) (_ *Archive, err error) {
	if err := MakeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	a, err := lockArchive(path)
	if err != nil {
		return nil, err
	}
	defer a.closeUnless(&err)
	defer catch(&err)
	if err := makeFile(path); err != nil {
		return nil, err
	}
	if a.conn, err = (&Store{path: path}).connect(); err != nil {
		return nil, err
	}
	version, err := schemaVersion(a.conn)
	if err != nil {
		return nil, err
	}
	if version != 0 && version != len(migrations) {
		return nil, fmt.Errorf("%s: %w", path, store.ErrHolds)
	}
	if err := migrate(a.conn); err != nil {
		return nil, err
	}
	// A power cut may undo the latest Imports, and with them their marks.
	for _, pragma := range []string{"PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -65536"} {
		if err := sqlitex.ExecuteTransient(a.conn, pragma, nil); err != nil {
			return nil, err
		}
	}
	return a, syncDir(filepath.Dir(path))
}

func lockArchive(path string) (*Archive, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	return &Archive{path: path, lock: lock}, nil
}

func (a *Archive) closeUnless(err *error) {
	if *err != nil {
		_ = a.Close()
	}
}

// Close lets other processes open the store.
func (a *Archive) Close() (err error) {
	if a.conn != nil {
		err = a.conn.Close()
	}
	return errors.Join(err, syscall.Flock(int(a.lock.Fd()), syscall.LOCK_UN), a.lock.Close())
}

func schemaVersion(conn *sqlite.Conn) (int, error) {
	return sqlitex.ResultInt(prep(conn, "PRAGMA user_version"))
}

// refuseCopy refuses a store that was not filled to the end.
func refuseCopy(conn *sqlite.Conn, path string) error {
	command, err := metaText(conn, copyCommand)
	if err != nil || command == "" {
		return err
	}
	return fmt.Errorf("%s: %w; finish it with: %s", path, store.ErrUnfinished, command)
}

func metaText(conn *sqlite.Conn, name string) (text string, err error) {
	stmt := prep(conn, "SELECT value FROM meta WHERE name = ?")
	stmt.BindText(1, name)
	err = each(stmt, func() error { text = string(blob(stmt, 0)); return nil })
	return text, err
}

func setMeta(conn *sqlite.Conn, name string, value []byte) error {
	stmt := prep(conn, "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")
	stmt.BindText(1, name)
	stmt.BindBytes(2, value)
	return run(stmt)
}

// Begin makes the store a copy, or goes on; see store.ArchiveWriter.
func (a *Archive) Begin(_ context.Context, command string) (mark store.Mark, err error) {
	err = a.write(func() error {
		before, err := metaText(a.conn, copyCommand)
		if err != nil {
			return err
		}
		if before == "" {
			holds, err := a.holdsAnything()
			if err == nil && holds {
				err = fmt.Errorf("%s: %w", a.path, store.ErrHolds)
			}
			return errors.Join(err, setMeta(a.conn, copyCommand, []byte(command)))
		}
		text, err := metaText(a.conn, copyMark)
		if err != nil {
			return err
		}
		mark, err = store.ParseMark(text)
		return errors.Join(err, setMeta(a.conn, copyCommand, []byte(command)))
	})
	return mark, err
}

// holdsAnything looks into all tables: a store that was opened has its identity.
func (a *Archive) holdsAnything() (bool, error) {
	var tables []string
	stmt := prep(a.conn, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name != 'meta'")
	if err := each(stmt, func() error { tables = append(tables, stmt.ColumnText(0)); return nil }); err != nil {
		return false, err
	}
	tables = append(tables, "meta WHERE name != 'identity'")
	for _, table := range tables {
		found, err := sqlitex.ResultBool(prep(a.conn, "SELECT EXISTS (SELECT 1 FROM "+table+")"))
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// write runs do in one transaction.
func (a *Archive) write(do func() error) (err error) {
	defer catch(&err)
	end, err := sqlitex.ImmediateTransaction(a.conn)
	if err != nil {
		return unavailable(err)
	}
	defer func() {
		end(&err)
		err = unavailable(err)
	}()
	return do()
}

// Finish makes the store one like any other; see store.ArchiveWriter.
func (a *Archive) Finish(context.Context) error {
	for _, statement := range []string{
		"PRAGMA synchronous = " + full,
		"DELETE FROM meta WHERE name IN ('" + copyCommand + "', '" + copyMark + "')",
		"PRAGMA wal_checkpoint(TRUNCATE)",
	} {
		if err := sqlitex.ExecuteTransient(a.conn, statement, nil); err != nil {
			return unavailable(err)
		}
	}
	return nil
}
