package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
)

// backupPages is how many pages are copied before ctx is looked at again.
const backupPages = 1024

// Backup copies the store at path, as it is at one moment, into a new file, and
// syncs it. A gateway may be serving from the store and go on: it waits for
// nothing. But what it writes meanwhile stays in the WAL beside the store, which
// grows by about 2 KiB an event until the copy is made.
//
// to must not exist. The copy is a store. progress is told how many bytes of how
// many are copied; it may be nil.
func Backup(ctx context.Context, path, to string, progress func(done, total int64)) (err error) {
	source, err := openBeside(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	defer catch(&err)
	if err := refuseCopy(source, path); err != nil {
		return err
	}
	return makeWhole(to, func(part string) error {
		return copyPages(ctx, source, part, progress)
	})
}

// makeWhole makes a file that has its name only once it is whole and on disk:
// no part of a copy is ever taken for a copy. fill writes what it is to hold.
func makeWhole(to string, fill func(part string) error) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s exists already; name a file that does not", to)
	}
	part, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".part-*") // for its owner only
	if err != nil {
		return fmt.Errorf("cannot make the copy: %w", err)
	}
	defer func() {
		err = errors.Join(err, part.Close())
		for _, name := range []string{part.Name(), part.Name() + "-wal", part.Name() + "-shm"} {
			if gone := os.Remove(name); !errors.Is(gone, os.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}()
	if err := fill(part.Name()); err != nil {
		return err
	}
	if err := part.Sync(); err != nil {
		return fmt.Errorf("cannot make the copy: %w", err)
	}
	if err := name(part.Name(), to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// name gives a file a name that no other has: as a second one, which is refused
// where there is one meanwhile, or where files have but one name, by a look.
func name(file, to string) error {
	err := os.Link(file, to)
	if err == nil {
		return nil
	}
	if _, there := os.Lstat(to); there == nil || errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already; name a file that does not", to)
	}
	return os.Rename(file, to)
}

// openBeside opens a store that another process may have open, to be read, and
// begins a transaction: all that follows sees one moment.
func openBeside(path string) (_ *sqlite.Conn, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no store: %w", err)
	}
	// Not for reading only: whoever closes a store last moves its WAL into it.
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	defer catch(&err)
	conn.SetBusyTimeout(10 * time.Second)
	if _, err := storeVersion(conn, path); err != nil {
		return nil, err
	}
	if err := run(prep(conn, "BEGIN")); err != nil {
		return nil, err
	}
	return conn, run(prep(conn, "SELECT 1 FROM meta"))
}

// storeVersion returns the version of a store that this program can read.
func storeVersion(conn *sqlite.Conn, path string) (int, error) {
	version, err := schemaVersion(conn)
	switch known := len(migrations); {
	case err != nil:
		return 0, fmt.Errorf("%s is not a store: %w", path, err)
	case version == 0:
		return 0, fmt.Errorf("%s is not a store", path)
	case version > known:
		return 0, fmt.Errorf("%s has schema version %d, which is newer than this program's %d; run the newer grapnel", path, version, known)
	default:
		return version, nil
	}
}

// notOlder refuses what could only be read once it is brought up to date.
func notOlder(version int, path string) error {
	if known := len(migrations); version < known {
		return fmt.Errorf("%s has schema version %d, older than this program's %d; start and stop grapnel serve on it once, which brings it up to date", path, version, known)
	}
	return nil
}

// copyPages copies what a connection sees into a file.
func copyPages(ctx context.Context, source *sqlite.Conn, to string, progress func(done, total int64)) (err error) {
	target, err := sqlite.OpenConn(to, sqlite.OpenReadWrite)
	if err != nil {
		return fmt.Errorf("cannot make the copy: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	defer catch(&err)
	// Whoever makes the copy syncs it, once.
	for _, pragma := range []string{"PRAGMA synchronous = OFF", "PRAGMA journal_mode = OFF"} {
		if err := run(prep(target, pragma)); err != nil {
			return err
		}
	}
	size, err := pageSize(source)
	if err != nil {
		return err
	}
	backup, err := sqlite.NewBackup(target, "main", source, "main")
	if err != nil {
		return fmt.Errorf("cannot make the copy: %w", err)
	}
	defer func() { err = errors.Join(err, backup.Close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := backup.Step(backupPages)
		if err != nil {
			return fmt.Errorf("cannot make the copy: %w", unavailable(err))
		}
		if progress != nil {
			total := int64(backup.PageCount()) * size
			progress(total-int64(backup.Remaining())*size, total)
		}
		if !more {
			return nil
		}
	}
}

func pageSize(conn *sqlite.Conn) (size int64, err error) {
	stmt := prep(conn, "PRAGMA page_size")
	err = each(stmt, func() error { size = stmt.ColumnInt64(0); return nil })
	return size, err
}
