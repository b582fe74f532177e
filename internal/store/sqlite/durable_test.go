package sqlite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite/sqlitex"
)

func newGroup(source int64, hooks []int64, jsons ...[]byte) *store.Group {
	g := &store.Group{Received: time.Now().UTC()}
	for _, raw := range jsons {
		g.Events = append(g.Events, &store.Event{
			Event: hook.Event{Source: source, UUID: newUUID(), Type: "user.session.start", Published: g.Received, JSON: raw},
			Hooks: hooks,
		})
	}
	return g
}

// newUUID is a version 1 uuid of about now, as Okta's are.
func newUUID() string {
	ticks := uint64(time.Now().UnixNano()/100) + 0x01b21dd213814000 // since 1582
	return fmt.Sprintf("%08x-%04x-1%03x-%04x-%012x",
		uint32(ticks), uint16(ticks>>32), ticks>>48&0xfff, 0x8000|rand.Uint32N(0x4000), rand.Uint64N(1<<48))
}

func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestSyncsWhatMustBe changes between what must be on disk and what need not
// be, again and again: a pragma works when it is compiled, and these statements
// are kept compiled.
func TestSyncsWhatMustBe(t *testing.T) {
	s := openNew(t)
	synchronous := func() int {
		t.Helper()
		n, err := sqlitex.ResultInt(s.conn.Prep("PRAGMA synchronous"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const normal, full = 1, 2
	for round := range 3 {
		if _, err := s.Settle(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got := synchronous(); got != normal {
			t.Fatalf("round %d: Settle ran with synchronous = %d, want %d", round, got, normal)
		}
		if _, err := s.Commit(t.Context(), newGroup(1, nil, []byte("{}"))); err != nil {
			t.Fatal(err)
		}
		if got := synchronous(); got != full {
			t.Fatalf("round %d: Commit ran with synchronous = %d, want %d", round, got, full)
		}
	}
}

// TestFullDisk lets the file grow no further, and then further again.
func TestFullDisk(t *testing.T) {
	s := openNew(t)
	if _, err := s.Commit(t.Context(), newGroup(1, []int64{1}, []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	pages, err := sqlitex.ResultInt(s.conn.Prep("PRAGMA page_count"))
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, s.conn, fmt.Sprintf("PRAGMA max_page_count = %d", pages+2))
	g := newGroup(1, []int64{1}, bytesOf(100<<10), bytesOf(100<<10))
	for range 3 {
		_, err := s.Commit(t.Context(), g)
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Fatalf("Commit on a full disk: %v", err)
		}
	}
	events, _, _, err := s.Events(t.Context(), store.EventQuery{Limit: 10})
	if err != nil || len(events) != 1 {
		t.Fatalf("%d events on a full disk, want 1: %v", len(events), err)
	}
	exec1(t, s.conn, "PRAGMA max_page_count = 1000000")
	if _, err := s.Commit(t.Context(), g); err != nil {
		t.Fatalf("Commit with room again: %v", err)
	}
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (hook.SourceCount{Received: 3}); stats.Sources[1] != want {
		t.Errorf("counted %+v, want %+v", stats.Sources[1], want)
	}
}

// TestLeasesAreNotKeptForEver ends leases in every way and looks for what is
// left of them in memory.
func TestLeasesAreNotKeptForEver(t *testing.T) {
	s := openNew(t)
	now := time.Now()
	h := hook.EventHook{ID: "who1", Status: hook.Active, Verified: true}
	if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	g := newGroup(1, []int64{h.Number}, []byte("1"), []byte("2"), []byte("3"), []byte("4"), []byte("5"))
	g.Revision, g.Received = h.Revision, now
	if _, err := s.Commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	claims, _, err := s.Claim(t.Context(), h.Number, now, 5, 1<<20, time.Minute)
	if err != nil || len(claims) != 5 {
		t.Fatalf("%d claims: %v", len(claims), err)
	}
	attempt := &hook.Attempt{At: now, Status: 200}
	_, err = s.Settle(t.Context(), []store.Outcome{
		{Key: claims[0].Key, Epoch: claims[0].Epoch, State: hook.Delivered, Attempt: attempt},
		{Key: claims[1].Key, Epoch: claims[1].Epoch, State: hook.Dead, Attempt: attempt},
		{Key: claims[2].Key, Epoch: claims[2].Epoch, State: hook.Waiting},
	})
	if err != nil {
		t.Fatal(err)
	}
	later := now.Add(time.Hour)
	if n, _, err := s.Expire(t.Context(), h.Number, now.Add(time.Second), later, hook.ReasonExpired, 2); n != 2 || err != nil {
		t.Fatalf("expired %d: %v", n, err)
	}
	if err := s.DeleteEventHook(t.Context(), h.ID, later, func(hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if len(s.leases) != 0 {
		t.Errorf("leases are left: %v", s.leases)
	}
}

// TestWALIsEmptied writes much more than the WAL is meant to hold.
func TestWALIsEmptied(t *testing.T) {
	s := openNew(t)
	written := 0
	for written < 3*flushPages*4096 {
		raw := bytesOf(1 << 20)
		if _, err := s.Commit(t.Context(), newGroup(1, nil, raw)); err != nil {
			t.Fatal(err)
		}
		written += len(raw)
	}
	info, err := os.Stat(s.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > int64(written)*4/5 {
		t.Errorf("the WAL holds %d MiB of the %d MiB written", info.Size()>>20, written>>20)
	}
}
