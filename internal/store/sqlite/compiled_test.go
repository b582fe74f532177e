package sqlite

import (
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
)

// TestWorkCompilesNothing has the calls that all work goes through run with
// other values than before: their statements must still be good. SQLite asks an
// authorizer whenever it compiles one.
func TestWorkCompilesNothing(t *testing.T) {
	s := openNew(t)
	work := func(number int64) {
		t.Helper()
		g := newGroup(number, []int64{number}, []byte("{}"), []byte("{}"))
		if _, err := s.Commit(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		claims, _, err := s.Claim(t.Context(), number, time.Now().Add(time.Minute), 10, 1<<20, time.Minute)
		if err != nil || len(claims) != 2 {
			t.Fatalf("%d claims: %v", len(claims), err)
		}
		attempt := &hook.Attempt{At: time.Now(), Status: 200}
		outcomes := []store.Outcome{
			{Key: claims[0].Key, Epoch: claims[0].Epoch, State: hook.Delivered, Attempt: attempt},
			{Key: claims[1].Key, Epoch: claims[1].Epoch, State: hook.Waiting, Due: time.Now().Add(time.Hour), Attempt: attempt},
		}
		if lost, err := s.Settle(t.Context(), outcomes); err != nil || len(lost) > 0 {
			t.Fatal(lost, err)
		}
	}
	compiled := false // to set an authorizer expires what was compiled before
	s.mu.Lock()
	err := s.conn.SetAuthorizer(sqlite.AuthorizeFunc(func(action sqlite.Action) sqlite.AuthResult {
		if compiled && action.Type() != sqlite.OpPragma { // which works by being compiled
			t.Errorf("compiled again: %v", action)
		}
		return sqlite.AuthResultOK
	}))
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	work(1)
	compiled = true
	work(2)
	work(3)
}
