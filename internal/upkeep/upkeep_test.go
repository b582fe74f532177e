package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// attic is an Upkeep of a real store.
type attic struct {
	*testing.T
	*Upkeep
	store *sqlite.Store
	hooks []int64
}

// inAttic runs a test in fake time with a store of some hooks that want every
// event.
func inAttic(t *testing.T, hooks int, test func(a *attic)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grapnel.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		a := &attic{T: t, store: s}
		a.Upkeep = New(Options{Store: s, Events: 90 * 24 * time.Hour, Keys: 100 * 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
		for i := range hooks {
			h := hook.EventHook{ID: fmt.Sprint("who", i), Name: fmt.Sprint(i), Status: hook.Active, Verified: true, Types: []string{"*"}, Policy: hook.DefaultPolicy()}
			if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
				t.Fatal(err)
			}
			a.hooks = append(a.hooks, h.Number)
		}
		test(a)
	})
}

// keep commits n events of some size, one commit each, owed to some hooks.
func (a *attic) keep(name string, n, size int, hooks ...int64) {
	a.Helper()
	_, revision, err := a.store.EventHooks(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	random := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	for i := range n {
		json := make([]byte, size)
		for at := range json {
			json[at] = byte(random.IntN(256))
		}
		g := &store.Group{Received: time.Now(), Revision: revision, Events: []*store.Event{{
			Event: hook.Event{Source: 1, UUID: fmt.Sprint(name, "-", i), Type: "a", Published: time.Now(), JSON: json}, Hooks: hooks,
		}}}
		if _, err := a.store.Commit(a.Context(), g); err != nil {
			a.Fatal(err)
		}
	}
}

func (a *attic) once() {
	a.Helper()
	if err := a.Once(a.Context(), time.Now()); err != nil {
		a.Fatal(err)
	}
}

// size is how many bytes the store uses.
func (a *attic) size() int64 {
	a.Helper()
	stats, err := a.store.Stats(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	return stats.Bytes
}

// dead is how many deliveries of a hook ended for a reason.
func (a *attic) dead(number int64, reason hook.Reason) (n int) {
	a.Helper()
	found, _, err := a.store.Deliveries(a.Context(), store.DeliveryQuery{Hook: number, States: []hook.State{hook.Dead}, Limit: 1000}, time.Now())
	if err != nil {
		a.Fatal(err)
	}
	for _, d := range found {
		if d.Reason != reason {
			a.Errorf("hook %d: a delivery ended with %s, want %s", number, d.Reason, reason)
		}
		n++
	}
	return n
}

// The oldest owed deliveries may be on their way at this moment. Those after
// them make room then.
func TestRoomIsMadeAlthoughTheOldestAreBeingSent(t *testing.T) {
	inAttic(t, 2, func(a *attic) {
		a.keep("sending", 10, 50_000, a.hooks[0])
		<-time.After(10 * time.Minute)
		a.keep("waiting", 10, 50_000, a.hooks[0])
		<-time.After(10 * time.Hour)
		a.keep("later", 10, 50_000, a.hooks[1])
		if _, _, err := a.store.Claim(a.Context(), a.hooks[0], time.Now(), 10, 1<<30, time.Hour); err != nil {
			t.Fatal(err)
		}
		full := a.size()
		a.Size = full - 100_000
		a.once()
		if n := a.size(); n > a.Size {
			t.Errorf("%d bytes are left of %d, the limit is %d", n, full, a.Size)
		}
		if n := a.owed(a.hooks[0]); n < 10 || n > 18 {
			t.Errorf("%d deliveries are owed to the first hook", n)
		}
		if n := a.owed(a.hooks[1]); n != 10 {
			t.Errorf("%d deliveries are owed to the second hook", n)
		}
		a.Size = full - 600_000 // more than the first hook's can give
		a.once()
		if n := a.size(); n > a.Size {
			t.Errorf("%d bytes are left, the limit is %d", n, a.Size)
		}
		if n := a.owed(a.hooks[0]); n != 10 {
			t.Errorf("%d deliveries are being sent", n)
		}
	})
}

// owed is how many deliveries of a hook have not ended.
func (a *attic) owed(number int64) int {
	a.Helper()
	stats, err := a.store.Stats(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	return int(stats.Hooks[number].Waiting())
}

// Nothing that can go, and it ends all the same.
func TestNothingCanBeRemoved(t *testing.T) {
	inAttic(t, 1, func(a *attic) {
		a.keep("sending", 5, 50_000, a.hooks[0])
		if _, _, err := a.store.Claim(a.Context(), a.hooks[0], time.Now(), 10, 1<<30, time.Hour); err != nil {
			t.Fatal(err)
		}
		a.Size = 1
		a.once()
		if n := a.owed(a.hooks[0]); n != 5 {
			t.Errorf("%d deliveries are owed", n)
		}
	})
}

// One hook's long queue expires; the others' do not.
func TestExpiryIsEachHooksOwn(t *testing.T) {
	inAttic(t, 2, func(a *attic) {
		_, err := a.store.UpdateEventHook(a.Context(), "who1", time.Now(), func(h *hook.EventHook, _ []hook.EventHook) error {
			h.Policy.Keep = hook.Duration(2 * time.Hour)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		a.keep("old", 30, 10, a.hooks...)
		<-time.After(90 * time.Minute)
		a.keep("young", 10, 10, a.hooks...)
		<-time.After(40 * time.Minute)
		a.once()
		if n := a.dead(a.hooks[1], hook.ReasonExpired); n != 30 {
			t.Errorf("%d expired, want 30", n)
		}
		if n := a.dead(a.hooks[0], hook.ReasonExpired); n != 0 {
			t.Errorf("%d of the other hook expired", n)
		}
		if a.owed(a.hooks[0]) != 40 || a.owed(a.hooks[1]) != 10 {
			t.Errorf("owed: %d and %d", a.owed(a.hooks[0]), a.owed(a.hooks[1]))
		}
	})
}

// Much to remove is removed in pieces, with time for others between them.
func TestPieces(t *testing.T) {
	inAttic(t, 0, func(a *attic) {
		a.keep("old", 200, 10)
		a.Events, a.Keys = time.Hour, time.Hour
		<-time.After(2 * time.Hour)
		a.keep("new", 2, 10)
		begun := time.Now()
		a.once()
		if took := time.Since(begun); took < 10*pause {
			t.Errorf("200 blocks were removed within %v", took)
		}
		events, _, _, err := a.store.Events(a.Context(), store.EventQuery{Limit: 1000})
		if err != nil || len(events) != 2 {
			t.Errorf("%d events are left, %v", len(events), err)
		}
		ctx, cancel := context.WithCancel(a.Context())
		cancel()
		if err := a.Once(ctx, time.Now().Add(1000*time.Hour)); err == nil {
			t.Error("it went on although it was to stop")
		}
	})
}

func TestWarningsAreNotRepeated(t *testing.T) {
	inAttic(t, 1, func(a *attic) {
		var said []time.Duration
		a.Upkeep.Log = slog.New(recorder(func() { said = append(said, time.Since(epoch)) }))
		a.keep("old", 1, 10, a.hooks[0])
		_, err := a.store.UpdateEventHook(a.Context(), "who0", time.Now(), func(h *hook.EventHook, _ []hook.EventHook) error {
			h.Policy.Keep = hook.Duration(20 * 24 * time.Hour)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 19 * 4 {
			<-time.After(6 * time.Hour)
			a.once()
		}
		days := slices.Collect(func(yield func(int) bool) {
			for _, at := range said {
				if !yield(int(at / (24 * time.Hour))) {
					return
				}
			}
		})
		if !slices.Equal(days, []int{13, 14, 15, 16, 17, 18, 19}) {
			t.Errorf("said on the days %v", days)
		}
	})
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where fake time begins

// recorder is a log that is told of every record.
type recorder func()

func (r recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r recorder) Handle(context.Context, slog.Record) error {
	r()
	return nil
}
func (r recorder) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r recorder) WithGroup(string) slog.Handler      { return r }
