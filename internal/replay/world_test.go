package replay_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/replay"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// world is a store with hooks and events, and a replayer over it.
type world struct {
	*testing.T
	store *sqlite.Store
	*replay.Replayer
	woken map[int64]int
}

func newWorld(t *testing.T) *world {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "grapnel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := &world{T: t, store: s, woken: map[int64]int{}}
	w.Replayer = replay.New(replay.Options{
		Store: s,
		// Here a hook takes the types of events that its expression would: hook n
		// takes "type.n".
		Match: func(number int64, e *hook.Event) bool { return e.Type == fmt.Sprintf("type.%d", number) },
		Compile: func(text string) (replay.Judge, error) {
			if text == "(" {
				return nil, errors.New("1: ) is missing")
			}
			return func(e *hook.Event) (bool, error) {
				if bytes.Contains(e.JSON, []byte("odd")) {
					return true, errors.New("odd is not a number")
				}
				return bytes.Contains(e.JSON, []byte(text)), nil
			}, nil
		},
		Wake: func(number int64) { w.woken[number]++ },
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// hook makes a verified event hook.
func (w *world) hook(name string) int64 {
	h := hook.EventHook{ID: "who" + name, Name: name, Status: hook.Active, Verified: true, EverVerified: true, Created: time.Now()}
	w.must(w.store.CreateEventHook(w.Context(), &h, func([]hook.EventHook) error { return nil }))
	return h.Number
}

// commit keeps one event for each text, "type body", owed to hooks.
func (w *world) commit(source int64, hooks []int64, texts ...string) []hook.Seq {
	w.Helper()
	_, revision, err := w.store.EventHooks(w.Context())
	w.must(err)
	g := store.Group{Received: time.Now(), Revision: revision}
	for i, text := range texts {
		name, body, _ := strings.Cut(text, " ")
		g.Events = append(g.Events, &store.Event{Hooks: hooks, Event: hook.Event{
			Source: source, Type: name, Published: g.Received,
			UUID: fmt.Sprintf("%d-%d", g.Received.UnixNano(), i), JSON: []byte(body),
		}})
	}
	_, err = w.store.Commit(w.Context(), &g)
	w.must(err)
	seqs := make([]hook.Seq, len(g.Events))
	for i, e := range g.Events {
		seqs[i] = e.Seq
	}
	return seqs
}

// settle ends, or leaves waiting, all that is due for a hook.
func (w *world) settle(number int64, outcome hook.State) {
	w.Helper()
	now := time.Now()
	claims, _, err := w.store.Claim(w.Context(), number, now, 1000, 1<<20, time.Minute)
	w.must(err)
	outcomes := make([]store.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = store.Outcome{Key: c.Key, Epoch: c.Epoch, State: outcome, Attempt: &hook.Attempt{At: now, Status: 200}}
		if outcome != hook.Delivered {
			outcomes[i].Reason, outcomes[i].Due = hook.ReasonStatus, now.Add(time.Hour)
			outcomes[i].Attempt.Status = 500
		}
	}
	_, err = w.store.Settle(w.Context(), outcomes)
	w.must(err)
}

// owed returns what waits for a hook, oldest event first.
func (w *world) owed(number int64) []hook.Delivery {
	w.Helper()
	q := store.DeliveryQuery{Hook: number, States: []hook.State{hook.Waiting}, Limit: 10_000}
	found, next, err := w.store.Deliveries(w.Context(), q, time.Now())
	w.must(err)
	if next != nil {
		w.Fatal("too many deliveries for one page")
	}
	return found
}
