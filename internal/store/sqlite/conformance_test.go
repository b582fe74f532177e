package sqlite

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/storetest"
	"zombiezen.com/go/sqlite"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		path := filepath.Join(t.TempDir(), "new", "grapnel.db")
		var clock atomic.Int64
		clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
		return storetest.Fixture{
			Open:    func() (store.Store, error) { return Open(context.Background(), Options{Path: path}) },
			Now:     func() time.Time { return time.Unix(0, clock.Load()) },
			Advance: func(d time.Duration) { clock.Add(int64(d)) },
			Break:   func(s store.Store, broken bool) { refuseCommits(t, s.(*Store), broken) },
			Hold: func(s store.Store, _ *store.Event) storetest.Held {
				mu := &s.(*Store).mu // nobody writes without it
				mu.Lock()
				return storetest.Held{Ready: func() {}, Release: mu.Unlock}
			},
		}
	})
}

// refuseCommits makes every transaction of the writing connection fail at its
// very end.
func refuseCommits(t testing.TB, s *Store, refuse bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var authorizer sqlite.Authorizer
	if refuse {
		authorizer = sqlite.AuthorizeFunc(func(action sqlite.Action) sqlite.AuthResult {
			if action.Type() == sqlite.OpTransaction && action.Operation() == "COMMIT" {
				return sqlite.AuthResultDeny
			}
			return sqlite.AuthResultOK
		})
	}
	if err := s.conn.SetAuthorizer(authorizer); err != nil {
		t.Fatal(err)
	}
}
