// Package upkeep keeps the store within its bounds: it removes events that are
// older than they are to be kept, forgets their dedupe keys later, ends
// deliveries that were owed for too long, and makes room at a size limit. It
// works in small pieces, so that intake never waits for it. Of several processes
// that share a store one does it at a time.
package upkeep

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Store is what upkeep needs of a store.
type Store interface {
	store.Keeper
	EventHooks(ctx context.Context) ([]hook.EventHook, int64, error)
	Stats(ctx context.Context) (store.Stats, error)
	Lead(ctx context.Context, duty string, length time.Duration) (held bool, err error)
	Expire(ctx context.Context, hook int64, before, now time.Time, reason hook.Reason, limit int) (int, bool, error)
}

// Options are what an Upkeep works by.
type Options struct {
	Store Store
	// Events is how long an event is kept once nobody is owed it.
	Events time.Duration
	// Keys is how long its dedupe key is kept: not less than Events.
	Keys time.Duration
	// Size is how many bytes the store may use on disk, 0 for no limit.
	Size int64
	Log  *slog.Logger
}

// Upkeep does the work. Run it.
type Upkeep struct {
	Options
	warned map[int64]time.Time // when it was last said that a hook's deliveries will expire
}

const (
	every = time.Minute
	// piece is how many blocks of events one transaction removes at most, and
	// pause how long intake has the store for itself after it.
	piece = 32
	pause = 5 * time.Millisecond
	// duty is what one process has at a time, and tenure how long it keeps it
	// when it says nothing more.
	duty   = "upkeep"
	tenure = 90 * time.Second
	// warnAhead is how long before deliveries expire it is said.
	warnAhead = 7 * 24 * time.Hour
)

// New makes an Upkeep.
func New(opts Options) *Upkeep {
	return &Upkeep{Options: opts, warned: make(map[int64]time.Time)}
}

// Run works once a minute until ctx ends.
func (u *Upkeep) Run(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := u.Once(ctx, time.Now()); err != nil && ctx.Err() == nil {
			u.Log.Error("upkeep failed; it will be tried again in a minute", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Once does everything that is due at now, unless another process does.
func (u *Upkeep) Once(ctx context.Context, now time.Time) error {
	if held, err := u.Store.Lead(ctx, duty, tenure); err != nil || !held {
		return err
	}
	if err := u.expire(ctx, now); err != nil {
		return err
	}
	removed := 0
	err := u.repeat(ctx, func() (bool, error) {
		n, more, err := u.Store.Prune(ctx, now.Add(-u.Events), piece)
		removed += n
		return more, err
	})
	if err != nil {
		return err
	}
	if removed > 0 {
		u.Log.Info("old events removed", "events", removed)
	}
	err = u.repeat(ctx, func() (bool, error) {
		return u.Store.Forget(ctx, now.Add(-u.Keys), piece)
	})
	if err != nil || u.Size == 0 {
		return err
	}
	return u.shrink(ctx, now)
}

// repeat calls a piece of work until there is no more, with a pause between,
// or until another process has taken over.
func (u *Upkeep) repeat(ctx context.Context, do func() (more bool, err error)) error {
	for last := time.Now(); ; {
		if now := time.Now(); now.Sub(last) > tenure/3 {
			if held, err := u.Store.Lead(ctx, duty, tenure); err != nil || !held {
				return err
			}
			last = now
		}
		more, err := do()
		if err != nil || !more {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// expire ends what was owed for too long, and says so a week ahead.
func (u *Upkeep) expire(ctx context.Context, now time.Time) error {
	hooks, _, err := u.Store.EventHooks(ctx)
	if err != nil {
		return err
	}
	stats, err := u.Store.Stats(ctx)
	if err != nil {
		return err
	}
	for i := range hooks {
		h := &hooks[i]
		keep := time.Duration(h.Policy.Keep)
		oldest, owed := stats.OldestOwed[h.Number]
		if !owed {
			continue
		}
		u.warn(h, oldest.Add(keep), now)
		if !oldest.Add(keep).Before(now) {
			continue // not a write every minute for nothing
		}
		expired := 0
		err := u.repeat(ctx, func() (bool, error) {
			n, more, err := u.Store.Expire(ctx, h.Number, now.Add(-keep), now, hook.ReasonExpired, piece*hook.BlockSlots)
			expired += n
			return more, err
		})
		if expired > 0 {
			u.Log.Warn("deliveries expired: they were owed longer than delivery.keep",
				"hook", h.ID, "name", h.Name, "deliveries", expired, "reason", hook.ReasonExpired)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *Upkeep) warn(h *hook.EventHook, expires, now time.Time) {
	ahead := min(warnAhead, time.Duration(h.Policy.Keep)/2)
	if expires.Sub(now) > ahead || now.Sub(u.warned[h.Number]) < 24*time.Hour {
		return
	}
	u.warned[h.Number] = now
	u.Log.Warn("deliveries of this hook will expire; mend its destination or lengthen delivery.keep",
		"hook", h.ID, "name", h.Name, "expires", expires.UTC().Format(time.RFC3339))
}

// shrink makes room when the store is larger than it may be: the oldest
// settled events go first, then the oldest owed.
func (u *Upkeep) shrink(ctx context.Context, now time.Time) error {
	// Ever more at a time: what ends although there would be room without it
	// is at most as much as had to end.
	sacrificed := 1
	return u.repeat(ctx, func() (bool, error) {
		stats, err := u.Store.Stats(ctx)
		if err != nil || stats.Bytes <= u.Size {
			return false, err
		}
		removed, err := u.Store.PruneOldest(ctx, piece)
		if err != nil || removed > 0 {
			return true, err
		}
		n, err := u.sacrifice(ctx, stats, now, sacrificed)
		sacrificed = min(2*sacrificed, piece*hook.BlockSlots)
		return n > 0, err
	})
}

// sacrifice ends up to limit of the oldest deliveries that are still owed, so
// that their events can go. What is being sent at this moment is left alone.
func (u *Upkeep) sacrifice(ctx context.Context, stats store.Stats, now time.Time, limit int) (ended int, err error) {
	hooks := slices.SortedFunc(maps.Keys(stats.OldestOwed), func(a, b int64) int {
		return stats.OldestOwed[a].Compare(stats.OldestOwed[b])
	})
	for _, number := range hooks {
		oldest := stats.OldestOwed[number]
		for _, until := range []time.Time{oldest.Add(time.Second), oldest.Add(time.Hour), now.Add(time.Second)} {
			ended, _, err = u.Store.Expire(ctx, number, until, now, hook.ReasonStoreFull, limit)
			if err != nil {
				return 0, err
			}
			if ended > 0 {
				u.Log.Warn("deliveries ended to make room: the store is at its size limit",
					"hook", number, "deliveries", ended, "reason", hook.ReasonStoreFull)
				return ended, nil
			}
		}
	}
	u.Log.Error("the store is over its size limit and nothing can be removed; raise --retention-size", "bytes", stats.Bytes, "limit", u.Size)
	return 0, nil
}
