package admin

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/expression"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Options are what an Admin works with. All are compulsory.
type Options struct {
	Store store.Registry
	// Key seals channels and sources' secrets.
	Key secret.Key
	// CheckURL says whether a destination may be configured at all, without
	// resolving its name.
	CheckURL func(uri string) error
	// Verify performs Okta's handshake with the hook's destination. The hook's
	// Channel is open. The error is shown to the person who asked.
	Verify func(ctx context.Context, h hook.EventHook) error
	// Changed is called after each change that the store has kept, before the
	// method that made it returns, one call at a time: routing, receiving and
	// delivering must see the change then. Its context is never cancelled.
	Changed func(ctx context.Context) error
	// AdminUser is who created a hook, in Okta's `createdBy`.
	AdminUser string
	Rules     Rules
	// Catalogue knows Okta's event types, for warnings about slips.
	Catalogue *okta.EventTypes
	Log       *slog.Logger
}

// Rules are the limits by which the gateway and Okta differ.
type Rules struct {
	// Dialect is that of filters.
	Dialect expression.Dialect
	// Wildcards lets "*" and "user.session.*" stand among a hook's types.
	Wildcards bool
	MaxHooks  int // of the store
	MaxTypes  int // of one hook
}

// GatewayRules are the gateway's: bounds that only keep memory finite, and any
// event type, known to Okta's catalogue or not.
func GatewayRules() Rules {
	return Rules{Dialect: expression.Gateway, Wildcards: true, MaxHooks: 10_000, MaxTypes: 2_000}
}

// Admin changes sources and event hooks. Its methods may be called from many
// goroutines at once.
type Admin struct {
	o Options
	// changing makes the checks that span several resources (unique names, one
	// source per org) and the change they allow one step.
	changing sync.Mutex
}

// New returns an Admin that works with o.
func New(o Options) *Admin { return &Admin{o: o} }

// committed makes a kept change take effect, even when the caller has gone.
func (a *Admin) committed(ctx context.Context) error {
	if err := a.o.Changed(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("the change is kept, but not in effect yet: %w", err)
	}
	return nil
}

// stamp is the time Okta shows: whole seconds (recorded: ".000Z").
func stamp(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }
