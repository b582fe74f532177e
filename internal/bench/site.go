package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// site is where gateways run, one after the other: a store, and the credentials
// that go with it.
type site struct {
	dir   string // holds all of it
	token string // of the admin
}

// newSite makes a site with an empty store.
func (o *Options) newSite() (_ *site, err error) {
	s := &site{token: rand.Text()}
	if s.dir, err = os.MkdirTemp(o.Dir, "grapnel-bench-"); err != nil {
		return nil, fmt.Errorf("no directory for the store can be made; name another with --dir: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key)
	err = errors.Join(
		os.WriteFile(s.path("admin-token"), []byte(s.token+"\n"), 0o600),
		os.WriteFile(s.path("secret-key"), []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600))
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// arguments are those of serve that name the site.
func (s *site) arguments() []string {
	return []string{
		"--store", "sqlite:" + s.path("grapnel.db"),
		"--admin-token-file", s.path("admin-token"), "--secret-key-file", s.path("secret-key"),
	}
}

// open opens the store in this process; no gateway may be running.
func (s *site) open(ctx context.Context) (store.Store, error) {
	return sqlite.Open(ctx, sqlite.Options{Path: s.path("grapnel.db")})
}

// size is how many bytes the store takes on disk, its log included, 0 before
// there is one.
func (s *site) size() (bytes int64, err error) {
	for _, name := range []string{"grapnel.db", "grapnel.db-wal"} {
		info, err := os.Stat(s.path(name))
		if err == nil {
			bytes += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	return bytes, nil
}

func (s *site) remove() error { return os.RemoveAll(s.dir) }
