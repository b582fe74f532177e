package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// SourceSpec is what a caller asks a source to be.
type SourceSpec struct {
	// Host is the org's host name, with a port if it has one. "" keeps the one
	// that is known, or leaves it to be learnt from the first delivery.
	Host string
	// Auth is the header that carries the secret.
	Auth AuthSpec
	// Headers are custom headers that must match too. Nil keeps those there are.
	Headers []hook.Header
	// Previous is an older secret that is accepted for a while. Nil has
	// ReplaceSource keep the secret it replaces for PreviousValidity.
	Previous *Previous
	// Force allows a host that another source has: every event of that org
	// then arrives twice.
	Force bool
}

// Previous is an older secret.
type Previous struct {
	// Value is that secret, "" for the one the replaced source had.
	Value string
	// Until is when it ends, at most MaxPrevious from now; zero for
	// PreviousValidity from now. In the past it accepts no older secret.
	Until time.Time
}

// NoPrevious accepts no older secret from now on.
func NoPrevious() *Previous { return &Previous{Until: time.Unix(0, 0)} }

// How long an older secret of a source is accepted besides the new one: long
// enough to change it in Okta too, as Okta never repeats what was answered 401.
const (
	PreviousValidity = 24 * time.Hour
	MaxPrevious      = 90 * 24 * time.Hour
)

// Source is a source as it is shown, without its secrets.
type Source struct {
	hook.Source // Sealed is nil
	AuthKey     string
	Headers     []hook.Header
	// PreviousUntil is how long an older secret is accepted; zero for not.
	PreviousUntil time.Time
	// SameHost names other sources of the same org: its events arrive once for
	// each of them.
	SameHost []string
}

// maxSources bounds the store's sources.
const maxSources = 1000

// Sources returns every source, oldest first.
func (a *Admin) Sources(ctx context.Context) ([]Source, error) {
	sources, err := a.o.Store.Sources(ctx)
	if err != nil {
		return nil, err
	}
	shown := make([]Source, 0, len(sources))
	for _, s := range sources {
		shown = append(shown, a.showSource(s, sources))
	}
	return shown, nil
}

// Source returns one source. store.ErrNotFound.
func (a *Admin) Source(ctx context.Context, name string) (Source, error) {
	sources, err := a.o.Store.Sources(ctx)
	if err != nil {
		return Source{}, err
	}
	i := slices.IndexFunc(sources, func(s hook.Source) bool { return s.Name == name })
	if i < 0 {
		return Source{}, store.ErrNotFound
	}
	return a.showSource(sources[i], sources), nil
}

// CreateSource makes a source. *Invalid; *Conflict when the name was ever used
// or another source has the host.
func (a *Admin) CreateSource(ctx context.Context, name string, spec SourceSpec) (Source, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	now := time.Now()
	spec.Host = strings.ToLower(spec.Host)
	s := hook.Source{Name: name, Host: spec.Host, Created: stamp(now), Updated: stamp(now)}
	var f findings
	if !hook.ValidSourceName(name) {
		f.addf("name", "%q is not 1 to 63 lower-case letters, digits and hyphens", clip(name))
	}
	if name == hook.OwnSource {
		f.addf("name", "%q is reserved for the gateway's own events", name)
	}
	f.checkSource(&spec, now)
	auth := f.sourceAuth(&spec, hook.SourceAuth{}, now)
	if err := f.err(); err != nil {
		return Source{}, err
	}
	sources, err := a.hostFree(ctx, name, &spec)
	if err != nil {
		return Source{}, err
	}
	if len(sources) >= maxSources {
		return Source{}, &Conflict{Detail: fmt.Sprintf("There are %d sources already, as many as there can be", len(sources))}
	}
	s.Sealed = sealSource(a.o.Key, name, auth)
	err = a.o.Store.CreateSource(ctx, &s)
	if errors.Is(err, store.ErrExists) {
		return Source{}, &Conflict{Detail: fmt.Sprintf("A source named %q exists or has existed; names are never used again", name)}
	}
	if err != nil {
		return Source{}, err
	}
	return a.finishSource(ctx, "source created", s)
}

// ReplaceSource makes the source what spec says, except that a value left out
// is kept. store.ErrNotFound, *Invalid, *Conflict.
func (a *Admin) ReplaceSource(ctx context.Context, name string, spec SourceSpec) (Source, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	spec.Host = strings.ToLower(spec.Host)
	if _, err := a.hostFree(ctx, name, &spec); err != nil {
		return Source{}, err
	}
	now := time.Now()
	s, err := a.o.Store.UpdateSource(ctx, name, func(s *hook.Source) error {
		old := a.authOrEmpty(s)
		var f findings
		f.checkSource(&spec, now)
		auth := f.sourceAuth(&spec, old, now)
		if err := f.err(); err != nil {
			return err
		}
		if spec.Host != "" {
			s.Host = spec.Host
		}
		s.Updated = stamp(now)
		s.Sealed = sealSource(a.o.Key, name, auth)
		return nil
	})
	if err != nil {
		return Source{}, err
	}
	return a.finishSource(ctx, "source replaced", s)
}

// DeleteSource ends a source; its events stay. store.ErrNotFound.
func (a *Admin) DeleteSource(ctx context.Context, name string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.o.Store.DeleteSource(ctx, name); err != nil {
		return err
	}
	a.o.Log.Info("source deleted", "source", name)
	return a.committed(ctx)
}

func (a *Admin) finishSource(ctx context.Context, what string, s hook.Source) (Source, error) {
	if err := a.committed(ctx); err != nil {
		return Source{}, err
	}
	a.o.Log.Info(what, "source", s.Name, "host", s.Host)
	return a.Source(ctx, s.Name)
}

func (a *Admin) showSource(s hook.Source, all []hook.Source) Source {
	auth := a.authOrEmpty(&s)
	s.Sealed = nil
	return Source{
		Source: s, AuthKey: auth.Key, Headers: auth.Headers,
		PreviousUntil: auth.PreviousUntil, SameHost: sameHost(s.Name, s.Host, all),
	}
}

// authOrEmpty lets people see, replace and delete a source whose secrets cannot
// be opened any more: it has none.
func (a *Admin) authOrEmpty(s *hook.Source) hook.SourceAuth {
	auth, err := OpenSource(a.o.Key, s)
	if err != nil {
		a.o.Log.Error("a source's secrets are lost; replace them", "source", s.Name, "error", err)
	}
	return auth
}
