package replay

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Retry sends one delivery again. One that waits is made due now and returned;
// for one that has ended a new delivery is made and returned, and created is
// true. One that is being sent is a *Conflict: its outcome is not known
// yet. store.ErrNotFound when there is no such delivery, or no event any more.
func (r *Replayer) Retry(ctx context.Context, key hook.Key) (d hook.Delivery, created bool, err error) {
	now := time.Now()
	if d, err = r.Store.Delivery(ctx, key, now); err != nil {
		return d, false, err
	}
	switch {
	case d.State.Final():
		key, err = r.again(ctx, key, now)
		created = true
	case d.State == hook.Waiting:
		err = r.dueNow(ctx, key, now)
	default:
		err = &Conflict{"the delivery is being sent at this moment; look at it again for the outcome"}
	}
	if err != nil {
		return hook.Delivery{}, false, err
	}
	r.Wake(key.Hook)
	d, err = r.Store.Delivery(ctx, key, now)
	return d, created, err
}

func (r *Replayer) dueNow(ctx context.Context, key hook.Key, now time.Time) error {
	changed, err := r.Store.Retry(ctx, key, now)
	if err == nil && !changed {
		return &Conflict{"the delivery has just left the state waiting; look at it again"}
	}
	return err
}

func (r *Replayer) again(ctx context.Context, key hook.Key, now time.Time) (hook.Key, error) {
	if err := r.target(ctx, key.Hook); err != nil {
		return key, err
	}
	rep := store.Replay{
		ID: newID(), Hook: key.Hook, Created: now,
		OriginHook: key.Hook, OriginReplay: key.Replay,
	}
	if err := r.Store.CreateReplay(ctx, &rep); err != nil {
		return key, err
	}
	added, err := r.Store.AddToReplay(ctx, &rep, []hook.Seq{key.Seq}, now)
	if err == nil && added == 0 {
		err = fmt.Errorf("the event of this delivery is gone: %w", store.ErrNotFound)
	}
	return hook.Key{Hook: key.Hook, Seq: key.Seq, Replay: rep.Number}, err
}

// newID returns a replay's public id: "rpl" and 26 letters and digits with 130
// random bits.
func newID() string { return "rpl" + strings.ToLower(rand.Text()) }
