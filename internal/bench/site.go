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
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// site is where gateways run, one after the other: a store, and the credentials
// that go with it.
type site struct {
	dir   string // holds the credentials, and a store in a file
	token string // of the admin
	store string // as serve --store takes it
	// server has the store as a database of that name, nil for a store in a file.
	server *database
	name   string
}

// newSite makes a site with an empty store.
func (o *Options) newSite(ctx context.Context) (_ *site, err error) {
	s := &site{token: rand.Text()}
	if s.dir, err = os.MkdirTemp(o.Dir, "grapnel-bench-"); err != nil {
		return nil, fmt.Errorf("no directory for the store can be made; name another with --dir: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key)
	err = errors.Join(
		os.WriteFile(s.path("admin-token"), []byte(s.token+"\n"), 0o600),
		os.WriteFile(s.path("secret-key"), []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600))
	if s.store = "sqlite:" + s.path("grapnel.db"); err == nil && o.server != nil {
		s.server, s.name = o.server, "grapnel_bench_"+strings.ToLower(rand.Text()[:10])
		s.store, err = s.server.create(ctx, s.name)
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// arguments are those of serve that name the site.
func (s *site) arguments() []string {
	return []string{
		"--store", s.store, "--admin-token-file", s.path("admin-token"), "--secret-key-file", s.path("secret-key"),
	}
}

// open opens the store in this process; no gateway may be running.
func (s *site) open(ctx context.Context) (store.Store, error) {
	if s.server != nil {
		return postgres.Open(ctx, postgres.Options{URL: s.store})
	}
	return sqlite.Open(ctx, sqlite.Options{Path: s.path("grapnel.db")})
}

// size is how many bytes the store takes on disk, the log of one in a file
// included, 0 before there is one.
func (s *site) size(ctx context.Context) (bytes int64, err error) {
	if s.server != nil {
		return s.server.size(ctx, s.name)
	}
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

// remove removes the site, whether or not the benchmark has been interrupted.
func (s *site) remove() error {
	err := os.RemoveAll(s.dir)
	if s.server != nil {
		err = errors.Join(err, s.server.drop(s.name))
	}
	return err
}
