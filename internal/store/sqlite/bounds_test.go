package sqlite

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// many fills a store with n blocks, each a copy of one block of two events, of
// which one is owed and one is dead.
func many(t *testing.T, n int) *Store {
	t.Helper()
	s := openNew(t)
	h := hook.EventHook{ID: "who1", Status: hook.Active, Verified: true}
	if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	g := newGroup(1, []int64{h.Number}, []byte("1"), []byte("2"))
	g.Revision, g.LeaseFor = h.Revision, time.Minute
	g.Lease = func(_ int64, e *store.Event) bool { return e == g.Events[1] }
	claims, err := s.Commit(t.Context(), g)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d claims: %v", len(claims), err)
	}
	dead := store.Outcome{Key: claims[0].Key, Epoch: claims[0].Epoch, State: hook.Dead, Reason: hook.ReasonExhausted}
	if _, err := s.Settle(t.Context(), []store.Outcome{dead}); err != nil {
		t.Fatal(err)
	}
	err = sqlitex.ExecuteScript(s.conn, `
		CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n WHERE i < :n) SELECT i FROM n;
		INSERT INTO blocks SELECT i, received, revision, summary, payload FROM blocks, n;
		INSERT INTO owed SELECT i, hook, replay, created, matched, open, outcomes FROM owed, n;
		INSERT INTO deliveries (seq, hook, replay, state, reason, created, due, first, held, attempts, log, response)
			SELECT i * 64 + 1, hook, replay, state, reason, created, due, first, held, attempts, log, response FROM deliveries, n;
		`, &sqlitex.ExecOptions{Named: map[string]any{":n": n}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestListsGoOnBeyondTheirBounds selects nothing, and then all, of a store so
// large that one call of a list does not look at all of it.
func TestListsGoOnBeyondTheirBounds(t *testing.T) {
	const n = maxScan + 10
	s := many(t, n)
	calls := 0
	for q := (store.EventQuery{Type: "none", Limit: 10}); ; {
		found, next, more, err := s.Events(t.Context(), q)
		if calls++; err != nil || len(found) > 0 {
			t.Fatalf("%d events: %v", len(found), err)
		}
		if !more {
			break
		}
		q.Before = next
	}
	if calls != 2 {
		t.Errorf("Events went through %d blocks in %d calls, want 2", n, calls)
	}
	for _, state := range []hook.State{hook.Waiting, hook.Dead} {
		for kind, want := range map[string]int{"none": 0, "user.session.start": n} {
			visited := make(map[hook.Seq]bool)
			calls := 0
			for q := (store.DeliveryQuery{States: []hook.State{state}, Type: kind, Limit: n}); ; {
				found, next, err := s.Deliveries(t.Context(), q, time.Now())
				if calls++; err != nil {
					t.Fatal(err)
				}
				for _, d := range found {
					visited[d.Seq] = true
				}
				if next == nil {
					break
				}
				q.Before = next
			}
			if len(visited) != want || calls != 2 {
				t.Errorf("%v, %s: visited %d in %d calls, want %d in 2", state, kind, len(visited), calls, want)
			}
		}
	}
}

// TestDamageIsTold damages what is stored: reads must say so.
func TestDamageIsTold(t *testing.T) {
	for _, damage := range []string{
		"UPDATE blocks SET summary = x''",
		"UPDATE blocks SET summary = x'02'",
		"UPDATE blocks SET summary = substr(summary, 1, length(summary) - 1)",
		"UPDATE blocks SET summary = summary || x'00'",
		"UPDATE blocks SET summary = substr(summary, 1, length(summary) - 1) || x'ffffffffffffffffff01'",
		"UPDATE blocks SET payload = x''",
		"UPDATE blocks SET payload = x'0102030405'",
		"UPDATE blocks SET payload = substr(payload, 1, length(payload) - 1)",
	} {
		s := openNew(t)
		g := newGroup(1, []int64{1}, []byte(`{"a":1}`), []byte(`{"b":2}`))
		if _, err := s.Commit(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		exec1(t, s.conn, damage)
		if e, err := s.Event(t.Context(), g.Events[1].Seq); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %q, %v", damage, e.JSON, err)
		}
	}
}

// TestDamageIsPassedBy damages the first of two blocks: what was in it ends, and
// what was not goes on.
func TestDamageIsPassedBy(t *testing.T) {
	for _, damage := range []string{"summary = x''", "payload = x'0102030405'", "payload = x''"} {
		var said bytes.Buffer
		path := filepath.Join(t.TempDir(), "grapnel.db")
		s, err := Open(t.Context(), Options{Path: path, Log: slog.New(slog.NewTextHandler(&said, nil))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		h := hook.EventHook{ID: "who1", Status: hook.Active, Verified: true}
		if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		bad, good := commit(t, s, "bad", at, h.Number), commit(t, s, "good", at, h.Number)
		exec1(t, s.conn, "UPDATE blocks SET "+damage+" WHERE id = 1")
		claims, next, err := s.Claim(t.Context(), h.Number, at, 1, 1<<20, time.Minute)
		if err != nil || len(claims) != 0 || !next.Equal(at) {
			t.Fatalf("%s: %v, next %v, %v; want none, and more at once", damage, claims, next, err)
		}
		claims, _, err = s.Claim(t.Context(), h.Number, at, 10, 1<<20, time.Minute)
		if err != nil || len(claims) != 1 || claims[0].Seq != good {
			t.Fatalf("%s: %v, %v; want what is good", damage, claims, err)
		}
		stats, err := s.Stats(t.Context())
		if want := (hook.HookCount{Matched: 2, Dead: 1}); err != nil || stats.Hooks[h.Number] != want {
			t.Errorf("%s: counted %+v, %v", damage, stats.Hooks[h.Number], err)
		}
		if !strings.Contains(said.String(), "reason=event_damaged") {
			t.Errorf("%s: the log says %q", damage, said.String())
		}
		row := s.conn.Prep("SELECT reason FROM deliveries WHERE seq = ? AND state = 3")
		row.BindInt64(1, int64(bad))
		if reason, err := sqlitex.ResultText(row); err != nil || reason != string(hook.ReasonDamaged) {
			t.Errorf("%s: the reason is %q, %v", damage, reason, err)
		}
		if removed, more, err := s.Prune(t.Context(), at.Add(time.Hour), 10); err != nil || removed != 1 || more {
			t.Errorf("%s: removed %d, %v, %v", damage, removed, more, err)
		}
		if n, err := sqlitex.ResultInt(s.conn.Prep("SELECT count(*) FROM blocks")); err != nil || n != 1 {
			t.Errorf("%s: %d blocks are left, %v", damage, n, err)
		}
	}
}

// TestAStatementThatCannotBeMade has the system refuse what SQLite needs to
// compile a statement, as a disk that is gone does.
func TestAStatementThatCannotBeMade(t *testing.T) {
	s := openNew(t)
	deny := sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult { return sqlite.AuthResultDeny })
	conns := []*sqlite.Conn{s.conn, <-s.claimers}
	for range maxReaders {
		conns = append(conns, <-s.readers)
	}
	authorize := func(a sqlite.Authorizer) {
		for _, conn := range conns {
			if err := conn.SetAuthorizer(a); err != nil {
				t.Fatal(err)
			}
		}
	}
	authorize(deny)
	for i, conn := range conns[1:] {
		if i == 0 {
			s.claimers <- conn
		} else {
			s.readers <- conn
		}
	}
	failing := map[string]func() error{
		"Commit":  func() error { _, err := s.Commit(t.Context(), newGroup(1, []int64{1}, []byte("{}"))); return err },
		"Claim":   func() error { _, _, err := s.Claim(t.Context(), 1, time.Now(), 1, 1, time.Minute); return err },
		"Sources": func() error { _, err := s.Sources(t.Context()); return err },
		"Prune":   func() error { _, _, err := s.Prune(t.Context(), time.Now(), 1); return err },
		"Stats":   func() error { _, err := s.Stats(t.Context()); return err },
	}
	for name, do := range failing {
		if err := do(); err == nil {
			t.Errorf("%s does not fail", name)
		}
	}
	authorize(nil)
	for name, do := range failing {
		if err := do(); err != nil {
			t.Errorf("%s fails afterwards: %v", name, err)
		}
	}
}

// TestClaimsDoNotWaitForReaders takes every connection that reads away.
func TestClaimsDoNotWaitForReaders(t *testing.T) {
	s := openNew(t)
	commit(t, s, "one", time.Now(), 1)
	var taken []*sqlite.Conn
	for range maxReaders {
		taken = append(taken, <-s.readers)
	}
	if claims, _, err := s.Claim(t.Context(), 1, time.Now(), 1, 1<<20, time.Minute); err != nil || len(claims) != 1 {
		t.Errorf("%d claims: %v", len(claims), err)
	}
	for _, conn := range taken {
		s.readers <- conn
	}
}

// TestClaimLoadsWhatFits has many large events due and room for one of them.
func TestClaimLoadsWhatFits(t *testing.T) {
	s := openNew(t)
	const n, size = 32, 1 << 20
	for range n {
		if _, err := s.Commit(t.Context(), newGroup(1, []int64{1}, bytesOf(size))); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	claims, _, err := s.Claim(t.Context(), 1, time.Now(), n, size, time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d claims: %v", len(claims), err)
	}
	runtime.ReadMemStats(&after)
	if loaded := after.TotalAlloc - before.TotalAlloc; loaded > n*size/2 {
		t.Errorf("to claim 1 of %d events of 1 MiB took %d MiB of memory", n, loaded>>20)
	}
}

// TestClaimHoldsItsEventsOnly claims one small event of each of many blocks
// that are otherwise owed to nobody.
func TestClaimHoldsItsEventsOnly(t *testing.T) {
	s := openNew(t)
	const n, size = 64, 200 << 10
	for range n {
		g := newGroup(1, []int64{1}, []byte("{}"), bytesOf(size))
		g.Events[1].Hooks = nil
		if _, err := s.Commit(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	claims, _, err := s.Claim(t.Context(), 1, time.Now(), n, 1<<20, time.Minute)
	if err != nil || len(claims) != n {
		t.Fatalf("%d claims: %v", len(claims), err)
	}
	if after := inUse(); after > before+n*size/4 {
		t.Errorf("%d claims of 2 bytes hold %d KiB", n, (after-before)>>10)
	}
	runtime.KeepAlive(claims)
}
