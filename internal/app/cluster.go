package app

import (
	"context"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

// beatWithin bounds the wait for a store that does not answer.
const beatWithin = 2 * store.BeatEvery

// join makes this gateway a member of those who share the store.
func (a *App) join(ctx context.Context) error {
	a.store.Watch(a.hinted)
	m, err := a.store.Beat(ctx)
	if err != nil {
		return err
	}
	a.changes = m.Changes
	a.engine.SetMembers(m)
	return nil
}

// hinted hears of what another gateway has done.
func (a *App) hinted(h store.Hint) {
	if h.Changed {
		a.look()
	}
	a.engine.Due(h.Due...)
}

// look has the sources and hooks read again soon.
func (a *App) look() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// beat says every store.BeatEvery that this gateway lives, and looks at what the
// others have changed, whether it was hinted at or not.
func (a *App) beat(ctx context.Context) {
	ticker := time.NewTicker(store.BeatEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		within, cancel := context.WithTimeout(ctx, beatWithin)
		m, err := a.store.Beat(within)
		cancel()
		if err != nil {
			if !failing && ctx.Err() == nil {
				a.log.Error("the store does not answer; nothing is sent until it does", "error", err)
			}
			failing = true
			continue
		}
		if failing {
			failing = false
			a.log.Info("the store answers again", "members", len(m.All))
		}
		a.engine.SetMembers(m)
		if m.Changes != a.changes {
			a.changes = m.Changes
			a.look()
		}
	}
}

// follow reads the sources and hooks again whenever another gateway has changed
// them, and a second after it could not.
func (a *App) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		case <-a.stale:
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
		if err := a.reload(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("sources and hooks cannot be read; trying again", "error", err)
		}
	}
}

// refreshEvery bounds how often calls that may be wrong have the sources read.
const refreshEvery = 100 * time.Millisecond

// refresher reads something at most once every refreshEvery, for all who ask.
type refresher struct {
	load func(context.Context) error
	mu   sync.Mutex
	next *reading // the one that has not begun, if any
	last time.Time
}

// reading is one look; done is closed at its end.
type reading struct {
	done chan struct{}
	err  error
}

// refresh returns what a reading that has begun after the call has returned.
func (r *refresher) refresh(ctx context.Context) error {
	r.mu.Lock()
	if r.next == nil {
		r.next = &reading{done: make(chan struct{})}
		go r.read(r.next, time.Until(r.last.Add(refreshEvery)))
	}
	mine := r.next
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *refresher) read(mine *reading, wait time.Duration) {
	time.Sleep(wait)
	r.mu.Lock()
	r.next, r.last = nil, time.Now()
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), beatWithin)
	defer cancel()
	mine.err = r.load(ctx)
	close(mine.done)
}
