// Package replay sends events again: one delivery, or all that a query selects.
//
// It owns the decision what to send again and to whom. History is never
// edited: a delivery that has ended stays as it ended, and sending it again
// makes a new delivery that points back. The store keeps the new deliveries,
// deliver sends them; replay only tells it that there is work.
package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Store is the part of the store that replay needs.
type Store interface {
	store.Reader
	store.Replays
	EventHooks(ctx context.Context) ([]hook.EventHook, int64, error)
	Retry(ctx context.Context, key hook.Key, now time.Time) (changed bool, err error)
}

// Options are what a Replayer works with. All of them are needed.
type Options struct {
	Store Store
	// Match reports whether a hook's event types and filters let an event
	// through, by the hooks as they are now.
	Match func(hookNumber int64, e *hook.Event) bool
	// Compile reads an Okta expression over an event. Its error tells the
	// person who wrote the expression what is wrong with it.
	Compile func(expression string) (Judge, error)
	// Wake tells the engine that something is due for a hook.
	Wake func(hookNumber int64)
}

// Judge says whether an expression selects an event. An error counts as no.
type Judge func(e *hook.Event) (bool, error)

// Replayer sends events again. It is safe for use by many goroutines.
type Replayer struct{ Options }

// New returns a Replayer.
func New(o Options) *Replayer { return &Replayer{o} }

// Invalid is a request that makes no sense as it is.
type Invalid struct {
	Field  string // of the request, like "select.expression"
	Detail string // what to change
}

func (e *Invalid) Error() string { return e.Field + ": " + e.Detail }

// Conflict is a request that the present state of things does not allow.
type Conflict struct{ Detail string }

func (e *Conflict) Error() string { return e.Detail }

// target checks the hook that deliveries are to be made for.
func (r *Replayer) target(ctx context.Context, number int64) error {
	hooks, _, err := r.Store.EventHooks(ctx)
	if err != nil {
		return err
	}
	for i := range hooks {
		h := &hooks[i]
		if h.Number != number {
			continue
		}
		if !h.Owed() {
			return &Conflict{fmt.Sprintf("event hook %s was never verified, so nothing is kept for it; verify it first", h.ID)}
		}
		return nil
	}
	return &Conflict{"the event hook is deleted; choose another one with \"to\" of POST /v1/replays"}
}
