package intake

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// hoarder takes every delivery and sends none, as a hook that hangs.
type hoarder struct{ claims []store.Claim }

func (*hoarder) Reserve(int64, int) bool     { return true }
func (*hoarder) Release(int64, int)          {}
func (h *hoarder) Take(claims []store.Claim) { h.claims = append(h.claims, claims...) }
func (*hoarder) Wake(int64)                  {}
func (*hoarder) Lease() time.Duration        { return time.Minute }

// TestADeliveryKeepsItsEventAlone has a slow hook want one event of each large
// batch: the rest of the batches must not stay in memory with it.
func TestADeliveryKeepsItsEventAlone(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "grapnel.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := hook.EventHook{ID: "one", Status: hook.Active, Verified: true, EverVerified: true, Created: time.Now(), Types: []string{"wanted"}}
	if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	hoard := new(hoarder)
	i, err := New(t.Context(), s, hoard, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go i.Run(ctx)

	const batches, size, each = 16, 1 << 20, 1 << 10
	before := inUse()
	for n := range batches {
		body := make([]byte, size)
		events := make([]store.Event, size/each)
		var b Batch
		for k := range events {
			events[k].Event = hook.Event{
				Source: 1, UUID: fmt.Sprint(n, "-", k), Type: "other", Published: time.Now(), JSON: body[k*each : (k+1)*each : (k+1)*each],
			}
			b.Events = append(b.Events, &events[k])
		}
		events[n].Type = "wanted"
		if err := i.Accept(b, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if grown := inUse() - before; len(hoard.claims) != batches || grown > batches*size/4 {
		t.Errorf("%d deliveries of %d bytes keep %d KiB in memory", len(hoard.claims), each, grown>>10)
	}
	runtime.KeepAlive(hoard)
}

// inUse is the memory in use but for what pools keep: two collections empty them.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
