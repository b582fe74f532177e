package replay_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/replay"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

func TestRetryWhatWaits(t *testing.T) {
	w := newWorld(t)
	h := w.hook("a")
	key := hook.Key{Hook: h, Seq: w.commit(1, []int64{h}, "type.1 {}")[0]}
	w.settle(h, hook.Waiting)
	if d := w.owed(h)[0]; !d.Due.After(time.Now()) {
		t.Fatalf("due at %v before the retry", d.Due)
	}
	d, created, err := w.Retry(t.Context(), key)
	w.must(err)
	if created || d.Key != key || d.State != hook.Waiting || d.Due.After(time.Now()) {
		t.Errorf("got %+v, created %v", d, created)
	}
	if w.woken[h] != 1 {
		t.Errorf("woken: %v", w.woken)
	}
}

func TestRetryWhatHasEnded(t *testing.T) {
	for _, end := range []hook.State{hook.Delivered, hook.Dead} {
		t.Run(end.String(), func(t *testing.T) {
			w := newWorld(t)
			h := w.hook("a")
			key := hook.Key{Hook: h, Seq: w.commit(1, []int64{h}, "type.1 {}")[0]}
			w.settle(h, end)
			first, created, err := w.Retry(t.Context(), key)
			w.must(err)
			if !created || first.Seq != key.Seq || first.Replay == 0 || first.State != hook.Waiting {
				t.Errorf("got %+v, created %v", first, created)
			}
			if first.ReplayOf == nil || *first.ReplayOf != key {
				t.Errorf("replayOf %v, want %v", first.ReplayOf, key)
			}
			old, err := w.store.Delivery(t.Context(), key, time.Now())
			w.must(err)
			if old.State != end {
				t.Errorf("the old one is %v now", old.State)
			}
			w.settle(h, end)
			second, _, err := w.Retry(t.Context(), first.Key)
			w.must(err)
			if second.ReplayOf == nil || *second.ReplayOf != first.Key {
				t.Errorf("replayOf %v, want %v", second.ReplayOf, first.Key)
			}
		})
	}
}

func TestRetryRefused(t *testing.T) {
	w := newWorld(t)
	h, gone := w.hook("a"), w.hook("b")
	seq := w.commit(1, []int64{h, gone}, "type.1 {}")[0]

	_, _, err := w.Retry(t.Context(), hook.Key{Hook: h, Seq: seq + 1})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown delivery: %v", err)
	}

	_, _, err = w.store.Claim(t.Context(), h, time.Now(), 1, 1, time.Minute)
	w.must(err)
	_, _, err = w.Retry(t.Context(), hook.Key{Hook: h, Seq: seq})
	if !errors.As(err, new(*replay.Conflict)) {
		t.Errorf("one that is being sent: %v", err)
	}

	w.must(w.store.DeleteEventHook(t.Context(), "whob", time.Now(), func(hook.EventHook) error { return nil }))
	_, _, err = w.Retry(t.Context(), hook.Key{Hook: gone, Seq: seq})
	if !errors.As(err, new(*replay.Conflict)) {
		t.Errorf("one of a deleted hook: %v", err)
	}
	if len(w.woken) != 0 {
		t.Errorf("woken: %v", w.woken)
	}
}

// racing takes a delivery away between the look at it and the change.
type racing struct {
	replay.Store
	take func()
}

func (r racing) Retry(ctx context.Context, key hook.Key, now time.Time) (bool, error) {
	r.take()
	return r.Store.Retry(ctx, key, now)
}

func TestRetryLosesRace(t *testing.T) {
	w := newWorld(t)
	h := w.hook("a")
	key := hook.Key{Hook: h, Seq: w.commit(1, []int64{h}, "type.1 {}")[0]}
	r := *w.Replayer
	r.Store = racing{w.store, func() { w.settle(h, hook.Delivered) }}
	if _, _, err := r.Retry(t.Context(), key); !errors.As(err, new(*replay.Conflict)) {
		t.Errorf("got %v, want a conflict", err)
	}
}
