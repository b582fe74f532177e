package sqlite

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
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
		if claims, _, err := s.Claim(t.Context(), 1, time.Now().Add(time.Minute), 10, 1<<20, time.Minute); err == nil {
			t.Errorf("%s: claimed %v", damage, claims)
		}
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
