package admin

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// ActivateEventHook makes the hook active and ends a hold of it.
// store.ErrNotFound.
func (a *Admin) ActivateEventHook(ctx context.Context, id string) (EventHook, error) {
	return a.setStatus(ctx, id, hook.Active)
}

// DeactivateEventHook makes the hook inactive; its deliveries wait.
// store.ErrNotFound.
func (a *Admin) DeactivateEventHook(ctx context.Context, id string) (EventHook, error) {
	return a.setStatus(ctx, id, hook.Inactive)
}

func (a *Admin) setStatus(ctx context.Context, id string, status hook.Status) (EventHook, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	now := time.Now()
	h, err := a.o.Store.UpdateEventHook(ctx, id, now, func(h *hook.EventHook, _ []hook.EventHook) error {
		h.Status = status
		if status == hook.Active {
			h.Hold.Reason = ""
		}
		h.LastUpdated = stamp(now)
		return nil
	})
	if err != nil {
		return EventHook{}, err
	}
	return a.finish(ctx, "event hook is "+string(status), h)
}

// VerifyEventHook performs the handshake with the hook's destination, unless
// its policy asks for none, and ends a hold of the hook. An inactive hook can be
// verified too. store.ErrNotFound; *Invalid when the destination fails, which
// changes nothing; *Conflict when the channel was replaced meanwhile.
func (a *Admin) VerifyEventHook(ctx context.Context, id string) (EventHook, error) {
	tried, err := a.handshake(ctx, id)
	if err != nil {
		return EventHook{}, err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	now := time.Now()
	h, err := a.o.Store.UpdateEventHook(ctx, id, now, func(h *hook.EventHook, _ []hook.EventHook) error {
		if err := OpenEventHook(a.o.Key, h); err != nil {
			return err
		}
		if !reflect.DeepEqual(h.Channel, tried) {
			return &Conflict{Detail: "The channel was replaced while it was being verified; verify it again"}
		}
		h.Verified, h.EverVerified = true, true
		h.Hold.Reason = ""
		h.LastUpdated = stamp(now)
		return nil
	})
	if err != nil {
		return EventHook{}, err
	}
	return a.finish(ctx, "event hook verified", h)
}

// handshake returns the channel that has passed it. It takes as long as the
// destination does, so nothing is locked.
func (a *Admin) handshake(ctx context.Context, id string) (hook.Channel, error) {
	h, err := a.present(ctx, id)
	if err != nil {
		return hook.Channel{}, err
	}
	if err := OpenEventHook(a.o.Key, &h); err != nil {
		return hook.Channel{}, err
	}
	if h.Policy.Verification == hook.VerifyNone {
		return h.Channel, nil
	}
	if err := a.o.Verify(ctx, h); err != nil {
		a.o.Log.Warn("event hook failed verification", "hook", h.ID, "name", h.Name, "error", err)
		return hook.Channel{}, &Invalid{Causes: []string{
			fmt.Sprintf("Unable to verify event hook. Hook %s execution failed", h.Name),
			err.Error(),
		}}
	}
	return h.Channel, nil
}
