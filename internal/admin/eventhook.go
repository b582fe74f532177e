package admin

import (
	"context"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// EventHooks returns every event hook, oldest first.
func (a *Admin) EventHooks(ctx context.Context) ([]EventHook, error) {
	hooks, _, err := a.o.Store.EventHooks(ctx)
	if err != nil {
		return nil, err
	}
	shown := make([]EventHook, 0, len(hooks))
	for _, h := range hooks {
		shown = append(shown, a.show(h))
	}
	return shown, nil
}

// EventHook returns one event hook. store.ErrNotFound.
func (a *Admin) EventHook(ctx context.Context, id string) (EventHook, error) {
	h, err := a.present(ctx, id)
	if err != nil {
		return EventHook{}, err
	}
	return a.show(h), nil
}

func (a *Admin) present(ctx context.Context, id string) (hook.EventHook, error) {
	hooks, _, err := a.o.Store.EventHooks(ctx)
	if err != nil {
		return hook.EventHook{}, err
	}
	i := slices.IndexFunc(hooks, func(h hook.EventHook) bool { return h.ID == id })
	if i < 0 {
		return hook.EventHook{}, store.ErrNotFound
	}
	return hooks[i], nil
}

// CreateEventHook makes an event hook: always active, and unverified unless its
// policy asks for no verification. *Invalid.
func (a *Admin) CreateEventHook(ctx context.Context, spec EventHookSpec) (EventHook, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	sources, err := a.o.Store.Sources(ctx)
	if err != nil {
		return EventHook{}, err
	}
	f := a.checkHook(&spec)
	f.checkSources(spec.Policy, sources, nil)
	now := time.Now()
	h := hook.EventHook{
		ID: okta.NewID("who"), Status: hook.Active, Created: stamp(now), CreatedBy: a.o.AdminUser,
		Policy: hook.DefaultPolicy(),
	}
	spec.Status = ""
	a.apply(&f, &h, &spec, now)
	if err := f.err(); err != nil {
		return EventHook{}, err
	}
	err = a.o.Store.CreateEventHook(ctx, &h, func(others []hook.EventHook) error {
		var f findings
		if len(others) >= a.o.Rules.MaxHooks {
			f.addf("eventHook", "There are %d event hooks already, as many as there can be", len(others))
		}
		f.checkUnique(spec.Name, "", others)
		return f.err()
	})
	if err != nil {
		return EventHook{}, err
	}
	return a.finish(ctx, "event hook created", h)
}

// ReplaceEventHook makes the hook what spec says. What a caller cannot read
// back is kept when left out: the secret of the same auth header, the signing
// secret, the policy. A new channel clears verification and ends a hold.
// store.ErrNotFound, *Invalid.
func (a *Admin) ReplaceEventHook(ctx context.Context, id string, spec EventHookSpec) (EventHook, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	sources, err := a.o.Store.Sources(ctx)
	if err != nil {
		return EventHook{}, err
	}
	static := a.checkHook(&spec)
	now := time.Now()
	h, err := a.o.Store.UpdateEventHook(ctx, id, now, func(h *hook.EventHook, others []hook.EventHook) error {
		a.openOrEmpty(h)
		f := slices.Clone(static)
		f.checkUnique(spec.Name, id, others)
		f.checkSources(spec.Policy, sources, h.Policy.Sources)
		a.apply(&f, h, &spec, now)
		return f.err()
	})
	if err != nil {
		return EventHook{}, err
	}
	return a.finish(ctx, "event hook replaced", h)
}

// DeleteEventHook deletes an inactive hook; what waits for it is cancelled.
// store.ErrNotFound, *Invalid when it is active.
func (a *Admin) DeleteEventHook(ctx context.Context, id string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	err := a.o.Store.DeleteEventHook(ctx, id, time.Now(), func(h hook.EventHook) error {
		var f findings
		if h.Status == hook.Active {
			f.addf("status", "Only an %s event hook can be deleted; deactivate it first", hook.Inactive)
		}
		return f.err()
	})
	if err != nil {
		return err
	}
	a.o.Log.Info("event hook deleted", "hook", id)
	return a.committed(ctx)
}

func (f *findings) checkUnique(name, id string, hooks []hook.EventHook) {
	taken := slices.ContainsFunc(hooks, func(h hook.EventHook) bool { return h.Name == name && h.ID != id })
	if taken {
		f.addf("name", "An event hook with this name exists already")
	}
}

// checkSources wants the sources that a policy names to exist, or to be named
// by the hook already: one of them may have been deleted since.
func (f *findings) checkSources(p *hook.Policy, sources []hook.Source, kept []string) {
	if p == nil {
		return
	}
	for _, name := range p.Sources {
		exists := slices.ContainsFunc(sources, func(s hook.Source) bool { return s.Name == name })
		if !exists && name != hook.OwnSource && !slices.Contains(kept, name) {
			f.addf("delivery.sources", "There is no source %q", clip(name))
		}
	}
}

// finish makes a kept change take effect and shows its result.
func (a *Admin) finish(ctx context.Context, what string, h hook.EventHook) (EventHook, error) {
	if err := a.committed(ctx); err != nil {
		return EventHook{}, err
	}
	shown := a.show(h)
	about := []any{"hook", h.ID, "name", h.Name, "status", h.Status, "verified", h.Verified}
	if len(shown.Warnings) > 0 {
		about = append(about, "warnings", shown.Warnings)
	}
	a.o.Log.Info(what, about...)
	return shown, nil
}

// show opens a hook and takes the secrets out of it.
func (a *Admin) show(h hook.EventHook) EventHook {
	a.openOrEmpty(&h)
	if h.Channel.Auth != nil {
		h.Channel.Auth = &hook.AuthScheme{Key: h.Channel.Auth.Key}
	}
	h.Channel.SigningSecret = ""
	h.Sealed = nil
	return EventHook{EventHook: h, Warnings: a.warnings(&h)}
}

// openOrEmpty lets people see, replace and delete a hook whose channel cannot
// be opened any more: it has an empty one.
func (a *Admin) openOrEmpty(h *hook.EventHook) {
	if err := OpenEventHook(a.o.Key, h); err != nil {
		a.o.Log.Error("an event hook's channel is lost; replace it", "hook", h.ID, "error", err)
	}
}
