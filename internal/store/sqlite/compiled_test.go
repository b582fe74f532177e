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
	s.endBackground() // which compiles when it gets there
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
	look := func(number int64, since time.Time) {
		t.Helper()
		if _, _, _, err := s.Events(t.Context(), store.EventQuery{Type: "x", Since: since, Limit: 10}); err != nil {
			t.Fatal(err)
		}
		for _, state := range []hook.State{hook.Waiting, hook.Dead, hook.Delivered} {
			q := store.DeliveryQuery{Hook: number, States: []hook.State{state}, Since: since, Limit: 10}
			if _, _, err := s.Deliveries(t.Context(), q, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(number int64, before time.Time) {
		t.Helper()
		if _, _, err := s.Expire(t.Context(), number, before, time.Now(), hook.ReasonExpired, int(number)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Prune(t.Context(), before, int(number)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Forget(t.Context(), before, int(number)); err != nil {
			t.Fatal(err)
		}
	}
	compiled := false // to set an authorizer expires what was compiled before
	conns := []*sqlite.Conn{<-s.claimers}
	for range maxReaders - 1 {
		conns = append(conns, <-s.readers)
	}
	last := <-s.readers // for all that follows
	conns = append(conns, last)
	s.readers <- last
	s.mu.Lock()
	for _, conn := range append(conns, s.conn) {
		err := conn.SetAuthorizer(sqlite.AuthorizeFunc(func(action sqlite.Action) sqlite.AuthResult {
			if compiled && action.Type() != sqlite.OpPragma { // which works by being compiled
				t.Errorf("compiled again: %v", action)
			}
			return sqlite.AuthResultOK
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Unlock()
	long := time.Now().Add(-time.Hour)
	for i := range int64(3) {
		work(i + 1)
		look(i+1, long.Add(time.Duration(i)*time.Minute))
		keep(i+1, long.Add(time.Duration(i)*time.Minute))
		compiled = true
	}
	compiled = false
	s.claimers <- conns[0]
	for _, conn := range conns[1 : len(conns)-1] {
		s.readers <- conn
	}
}
