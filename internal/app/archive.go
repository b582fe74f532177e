package app

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// OpenArchive opens a store, named as by --store, to be copied. A *SettingError
// says that it is no name of a store.
func OpenArchive(ctx context.Context, name string) (store.Archive, error) {
	at, err := parseArchive(name)
	switch {
	case err != nil:
		return nil, err
	case at.shared():
		return postgres.OpenArchive(ctx, postgres.Options{URL: at.url})
	default:
		return sqlite.OpenArchive(at.path)
	}
}

// OpenArchiveWriter opens a store to be filled from another, likewise.
func OpenArchiveWriter(ctx context.Context, name string) (store.ArchiveWriter, error) {
	at, err := parseArchive(name)
	switch {
	case err != nil:
		return nil, err
	case at.shared():
		return postgres.OpenArchiveWriter(ctx, postgres.Options{URL: at.url})
	default:
		return sqlite.OpenArchiveWriter(at.path)
	}
}

func parseArchive(name string) (storeAt, error) {
	at, err := parseStore(name)
	if err != nil {
		err = &SettingError{errors.New(strings.TrimPrefix(err.Error(), "--store "))}
	}
	return at, err
}

var passwords = regexp.MustCompile(`^(postgres(?:ql)?://[^:/@]*):[^/]*@|([?&]password=)[^&]*`)

// StoreName is the name of a store without the password in it.
func StoreName(name string) string {
	return passwords.ReplaceAllStringFunc(name, func(found string) string {
		parts := passwords.FindStringSubmatch(found)
		if parts[1] != "" {
			return parts[1] + ":PASSWORD@"
		}
		return parts[2] + "PASSWORD"
	})
}

// Beside returns where the file of a credential is that a gateway on a store has
// made, "" when it makes none there.
func Beside(name, file string) string {
	at, err := parseStore(name)
	if err != nil || at.shared() {
		return ""
	}
	return filepath.Join(filepath.Dir(at.path), file)
}
