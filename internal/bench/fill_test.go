package bench

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// emptyStore has two sources and a hook for each.
func emptyStore(t *testing.T) (*sqlite.Store, map[string]lot) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "grapnel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	lots := make(map[string]lot)
	for name, state := range map[string]hook.State{commonSource: hook.Delivered, rareSource: hook.Dead, waitingSource: hook.Waiting} {
		if err := s.CreateSource(t.Context(), &hook.Source{Name: name}); err != nil {
			t.Fatal(err)
		}
		h := hook.EventHook{ID: "who" + name, Name: name + "-0", Status: hook.Active, Verified: true, Policy: hook.DefaultPolicy()}
		if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if lots[name], err = findLot(t.Context(), s, name, state); err != nil {
			t.Fatal(err)
		}
	}
	return s, lots
}

func TestAFilledStoreHoldsWhatWasAskedFor(t *testing.T) {
	s, lots := emptyStore(t)
	const events = 1500
	f := filling{
		events: events, from: time.Now().Add(-storedSince), step: storedSince / events,
		common: lots[commonSource], rare: lots[rareSource],
	}
	told := 0
	f.done = func(n int) { told = n }
	out, err := fill(t.Context(), s, f)
	if err != nil {
		t.Fatal(err)
	}
	if mean := out.bytes / events; told != events || mean < 1200 || mean > 2500 {
		t.Errorf("told of %d events of %d bytes on average", told, mean)
	}
	uuids := make(map[string]bool)
	for _, uuid := range out.uuids {
		found, err := s.FindEvents(t.Context(), uuid)
		if err != nil || len(found) != 1 || uuid[14] != '1' || uuids[uuid] {
			t.Fatalf("%s: %d events, %v", uuid, len(found), err)
		}
		uuids[uuid] = true
	}
	if len(uuids) < samples || len(uuids) > 2*samples {
		t.Errorf("%d uuids", len(uuids))
	}
	for _, want := range []struct {
		of      lot
		kind    string
		waiting int64
		count   hook.HookCount
	}{
		{of: f.common, count: hook.HookCount{Matched: events - needles, Delivered: events - needles, Attempts: events - needles}},
		{of: f.rare, kind: unmatched, count: hook.HookCount{Matched: needles, Dead: needles, Attempts: needles}},
	} {
		stats, err := s.Stats(t.Context())
		if err != nil || stats.Hooks[want.of.hook] != want.count {
			t.Errorf("%+v, %v; want %+v", stats.Hooks[want.of.hook], err, want.count)
		}
		found, _, _, err := s.Events(t.Context(), store.EventQuery{Source: want.of.source, Type: want.kind, Limit: events})
		if err != nil || int64(len(found)) != want.count.Matched {
			t.Errorf("%d events of source %d, %v", len(found), want.of.source, err)
		}
		if oldest := found[len(found)-1].Received; time.Since(oldest) < storedSince/2 {
			t.Errorf("the oldest event of source %d came at %v", want.of.source, oldest)
		}
	}
}

func TestWaitingDeliveriesHaveBeenAttemptedAndAreDue(t *testing.T) {
	s, lots := emptyStore(t)
	waiting := lots[waitingSource]
	f := filling{events: 200, from: time.Now().Add(-time.Hour), step: time.Second, group: 7, common: waiting}
	if _, err := fill(t.Context(), s, f); err != nil {
		t.Fatal(err)
	}
	claims, _, err := s.Claim(t.Context(), waiting.hook, time.Now(), 1000, 1<<30, time.Minute)
	if err != nil || len(claims) != 200 {
		t.Fatalf("%d are due, %v", len(claims), err)
	}
	for _, c := range claims {
		if c.Attempts != 1 {
			t.Fatalf("%+v has %d attempts", c.Key, c.Attempts)
		}
	}
}

func TestFillingEndsWithItsContext(t *testing.T) {
	s, lots := emptyStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	f := filling{events: maxStored, from: time.Now(), common: lots[commonSource], done: func(int) { cancel() }}
	if _, err := fill(ctx, s, f); err == nil {
		t.Error("no error")
	}
}
