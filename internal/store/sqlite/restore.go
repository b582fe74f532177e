package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

// RestoreProgress is told how far a Restore has come: first bytes are copied,
// then blocks are checked.
type RestoreProgress struct {
	Copied, Checked func(done, total int64) // each may be nil
}

// ErrDamaged says that a backup is not whole; the report tells more.
var ErrDamaged = errors.New("the backup is damaged")

// Restore makes the store at path from a backup, which is only read, and may be
// where nothing can be written. It checks what it has copied, and makes nothing
// when that is not whole (ErrDamaged). One of an older version is brought up to
// date. It refuses a path at which a store is, or was and has left a part, and
// one that another process has open.
func Restore(ctx context.Context, backup, path string, progress RestoreProgress) (report store.Report, err error) {
	if _, err := os.Stat(backup); err != nil {
		return report, fmt.Errorf("there is no backup: %w", err)
	}
	if err := MakeDir(filepath.Dir(path)); err != nil {
		return report, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, syscall.Flock(int(lock.Fd()), syscall.LOCK_UN), lock.Close()) }()
	// SQLite would take what is in an old WAL for the newest of this store.
	for _, beside := range []string{path + "-wal", path + "-shm", path + "-journal"} {
		if _, err := os.Lstat(beside); err == nil {
			return report, fmt.Errorf("%s is there, of a store that was at %s; move it away, or name another file", beside, path)
		}
	}
	err = makeWhole(path, func(part string) error {
		if err := copyBackup(ctx, backup, part, progress.Copied); err != nil {
			return err
		}
		report, err = Check(ctx, part, progress.Checked)
		if err == nil && len(report.Findings) > 0 {
			err = ErrDamaged
		}
		return err
	})
	return report, err
}

// copyBackup copies a backup, and brings the copy up to date.
func copyBackup(ctx context.Context, backup, part string, progress func(done, total int64)) (err error) {
	// A store that was never opened has no lock, and needs none: backups are
	// where nothing can be written.
	if lock, err := os.Open(backup + ".lock"); err == nil {
		defer lock.Close()
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
			return fmt.Errorf("%s is in use by another process: restore from a backup of it, made with grapnel store backup", backup)
		}
	}
	source, err := openReadOnly(backup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	defer catch(&err)
	version, err := storeVersion(source, backup)
	if err != nil {
		return err
	}
	if err := copyPages(ctx, source, part, progress); err != nil || version == len(migrations) {
		return err
	}
	conn, err := (&Store{path: part}).connect()
	if err != nil {
		return err
	}
	return errors.Join(migrate(conn), conn.Close())
}
