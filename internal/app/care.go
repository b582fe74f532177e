package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// Check looks at everything in a store, named as by --store, which gateways may
// use meanwhile. progress is told how many blocks of how many were looked at. A
// *SettingError says that it is no name of a store.
func Check(ctx context.Context, name string, progress func(done, total int64)) (store.Report, error) {
	at, err := parseArchive(name)
	switch {
	case err != nil:
		return store.Report{}, err
	case at.shared():
		return postgres.Check(ctx, postgres.Options{URL: at.url}, progress)
	default:
		return sqlite.Check(ctx, at.path, progress)
	}
}

// Backup copies a SQLite store, which a gateway may be serving from, into a new
// file. progress is told how many bytes of how many were copied. A *SettingError
// says that a name is wrong, or that the store is a PostgreSQL database.
func Backup(ctx context.Context, name, file string, progress func(done, total int64)) error {
	at, err := parseFile(name)
	if err == nil {
		err = plainFile(file)
	}
	if err != nil {
		return err
	}
	return sqlite.Backup(ctx, at.path, file, progress)
}

// Restore makes a SQLite store from a backup, and reports what is in it. It is
// there only if nothing is wrong with it: otherwise the error says
// sqlite.ErrDamaged, and the report what is. A *SettingError is as of Backup.
func Restore(ctx context.Context, file, name string, progress sqlite.RestoreProgress) (store.Report, error) {
	at, err := parseFile(name)
	if err == nil {
		err = plainFile(file)
	}
	if err != nil {
		return store.Report{}, err
	}
	return sqlite.Restore(ctx, file, at.path, progress)
}

// parseFile reads the name of a store that must be a SQLite file.
func parseFile(name string) (storeAt, error) {
	at, err := parseArchive(name)
	if err == nil && at.shared() {
		err = &SettingError{fmt.Errorf("%s is a PostgreSQL database, which has its own tools: take a base backup with pg_basebackup, or a dump of the schema grapnel with pg_dump, and restore that", StoreName(name))}
	}
	return at, err
}

// plainFile refuses what is the name of a store where a backup is to be named.
func plainFile(file string) error {
	switch path, isName := strings.CutPrefix(file, "sqlite:"); {
	case isName:
		return &SettingError{fmt.Errorf("the backup is a file; without sqlite: its name is %s", path)}
	case strings.Contains(file, "://"):
		return &SettingError{fmt.Errorf("the backup is a file, and %s is none", StoreName(file))}
	case file == "":
		return &SettingError{errors.New("name a file for the backup")}
	}
	return nil
}
