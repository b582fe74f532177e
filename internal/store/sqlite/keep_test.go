package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "grapnel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// commit keeps one event, owed to some hooks, in a block of its own.
func commit(t *testing.T, s *Store, uuid string, at time.Time, hooks ...int64) hook.Seq {
	t.Helper()
	e := &store.Event{Hooks: hooks, Event: hook.Event{Source: 1, UUID: uuid, Type: "user.session.start", Published: at, JSON: []byte(`{}`)}}
	if _, err := s.Commit(t.Context(), &store.Group{Received: at, Revision: s.revision, Events: []*store.Event{e}}); err != nil {
		t.Fatal(err)
	}
	return e.Seq
}

// TestPruneReadsOnlyTheOldest has retention find the old among the oldest, as
// a look at everything that is kept would take seconds, in intake's way.
func TestPruneReadsOnlyTheOldest(t *testing.T) {
	s := open(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	for n := range 3 {
		commit(t, s, fmt.Sprint("old-", n), ago(100))
	}
	for n := range lookAhead {
		commit(t, s, fmt.Sprint("young-", n), now)
	}
	// Only a clock that was set back could make this one old.
	commit(t, s, "behind", ago(100))

	removed, more, err := s.Prune(t.Context(), ago(90), 2)
	if err != nil || removed != 2 || !more {
		t.Fatalf("removed %d, more %v, error %v; want 2 and more", removed, more, err)
	}
	if removed, more, err = s.Prune(t.Context(), ago(90), 2); err != nil || removed != 1 || more {
		t.Fatalf("then removed %d, more %v, error %v; want the third alone", removed, more, err)
	}
	if removed, more, err = s.Prune(t.Context(), ago(90), 2); err != nil || removed != 0 || more {
		t.Fatalf("at last removed %d, more %v, error %v: it has read past the oldest", removed, more, err)
	}
	if _, err := s.Forget(t.Context(), ago(90), 10); err != nil {
		t.Fatal(err)
	}
	if len(s.mustSeen(t, "old-0")) != 0 || len(s.mustSeen(t, "young-0")) == 0 {
		t.Error("the keys of the removed events are to be forgotten, and only those")
	}
}

func (s *Store) mustSeen(t *testing.T, uuid string) []byte {
	t.Helper()
	raw, err := seenEntries(s.conn, pack.SeenKey(uuid))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestADeletedHooksAttemptKeepsItsEvent has retention leave an event alone while
// its last attempt is under way, although nobody is owed it any more.
func TestADeletedHooksAttemptKeepsItsEvent(t *testing.T) {
	s := open(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := hook.EventHook{ID: "one", Status: hook.Active, Verified: true, EverVerified: true, Created: now}
	if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	commit(t, s, "one", now, h.Number)
	claims, _, err := s.Claim(t.Context(), h.Number, now, 10, 1000, time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d claims, error %v", len(claims), err)
	}
	if err := s.DeleteEventHook(t.Context(), h.ID, now, func(hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if removed, _, err := s.Prune(t.Context(), now.Add(time.Hour), 10); err != nil || removed != 0 {
		t.Fatalf("removed %d during the attempt, error %v", removed, err)
	}
	done := hook.Attempt{At: now, Status: 200}
	if lost, err := s.Settle(t.Context(), []store.Outcome{{Key: claims[0].Key, Epoch: claims[0].Epoch, State: hook.Delivered, Attempt: &done}}); err != nil || len(lost) != 0 {
		t.Fatalf("lost %v, error %v", lost, err)
	}
	if removed, _, err := s.Prune(t.Context(), now.Add(time.Hour), 10); err != nil || removed != 1 {
		t.Fatalf("removed %d after it, error %v", removed, err)
	}
}
