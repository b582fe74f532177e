package admin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/reach"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// office is an Admin on a store of its own, with what happened around it.
type office struct {
	*Admin
	key     secret.Key
	store   *sqlite.Store
	log     bytes.Buffer
	changes int // calls of Changed
	// changed and verify stand in for the rest of the gateway.
	changed error
	verify  func(hook.EventHook) error
}

func newOffice(t *testing.T, rules Rules) *office {
	t.Helper()
	store, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(t.TempDir(), "grapnel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	way, err := reach.New(reach.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := &office{store: store, key: secret.GenerateKey(), verify: func(hook.EventHook) error { return nil }}
	o.Admin = New(Options{
		Store: store, Key: o.key, CheckURL: way.CheckURL, AdminUser: "admin", Rules: rules,
		Verify:    func(_ context.Context, h hook.EventHook) error { return o.verify(h) },
		Changed:   func(context.Context) error { o.changes++; return o.changed },
		Catalogue: okta.Catalogue(),
		Log:       slog.New(slog.NewTextHandler(&o.log, nil)),
	})
	return o
}

// kept is the hook as the store has it, with its channel open, as delivering
// sees it.
func (o *office) kept(t *testing.T, id string) hook.EventHook {
	t.Helper()
	hooks, _, err := o.store.EventHooks(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hooks {
		if h.ID == id {
			if err := OpenEventHook(o.key, &h); err != nil {
				t.Fatal(err)
			}
			return h
		}
	}
	t.Fatalf("there is no hook %s", id)
	return hook.EventHook{}
}

func (o *office) source(t *testing.T, name string) hook.SourceAuth {
	t.Helper()
	sources, err := o.store.Sources(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		if s.Name == name {
			auth, err := OpenSource(o.key, &s)
			if err != nil {
				t.Fatal(err)
			}
			return auth
		}
	}
	t.Fatalf("there is no source %s", name)
	return hook.SourceAuth{}
}

func text(s string) *string { return &s }

func spec(name string) EventHookSpec {
	return EventHookSpec{
		Name: name, Types: []string{"user.session.start"},
		Channel: ChannelSpec{
			URI:  "https://hooks.example.com/okta",
			Auth: &AuthSpec{Key: "Authorization", Value: text("hook secret")},
		},
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantInvalid(t *testing.T, err error) *Invalid {
	t.Helper()
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want *Invalid", err)
	}
	return invalid
}

func wantConflict(t *testing.T, err error) {
	t.Helper()
	var conflict *Conflict
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want *Conflict", err)
	}
}

func wantNotFound(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
}
