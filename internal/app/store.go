package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// storeAt is where a store is: in a file, or in a database.
type storeAt struct {
	path string // of the SQLite file
	url  string // of the PostgreSQL database
}

// shared reports whether other processes may use the store at the same time.
func (at storeAt) shared() bool { return at.url != "" }

// parseStore reads the value of --store.
func parseStore(text string) (storeAt, error) {
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		return storeAt{url: text}, nil
	}
	path, ok := strings.CutPrefix(text, "sqlite:")
	if !ok || path == "" {
		return storeAt{}, errors.New("--store is neither sqlite:PATH nor postgres://USER:PASSWORD@HOST/DATABASE; write one of them") // it may hold a password
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return storeAt{}, fmt.Errorf("--store %q is a directory; name a file in it, like sqlite:%s", text, filepath.Join(path, "grapnel.db"))
	}
	return storeAt{path: path}, nil
}

// openAt opens the store that the value of --store names.
func (o *Options) openAt(ctx context.Context, at storeAt) (store.Store, error) {
	if at.shared() {
		return postgres.Open(ctx, postgres.Options{URL: at.url, Log: o.Log})
	}
	return sqlite.Open(ctx, sqlite.Options{Path: at.path, Log: o.Log})
}

func (a *App) openStore(ctx context.Context, at storeAt) error {
	c, err := a.options.loadCredentials(at)
	if err != nil {
		return err
	}
	a.key, a.token, a.TokenFile, a.Made = c.key, c.token, c.tokenFile, c.made
	s, err := a.options.openAt(ctx, at)
	if err != nil {
		return err
	}
	a.store = s
	a.undo.add("store", func(context.Context) {
		if err := s.Close(); err != nil {
			a.log.Error("the store did not close well", "error", err)
		}
	})
	return checkCanary(ctx, s, a.key)
}
