package app

import (
	"context"

	"github.com/grapnel-hooks/grapnel/internal/access"
	"github.com/grapnel-hooks/grapnel/internal/admin"
)

// First is the source that a gateway makes when it has none, with what to
// enter in Okta for it.
type First struct {
	Name, URL, Key, Secret string
}

// FirstSource makes a first source, named okta, in a store that never had one.
// It returns nil when there is one.
func (a *App) FirstSource(ctx context.Context) (*First, error) {
	sources, err := a.store.Sources(ctx)
	if err != nil || len(sources) > 0 || len(a.Made) == 0 {
		return nil, err
	}
	first := &First{Name: "okta", Key: "Authorization", Secret: access.NewToken()}
	first.URL = a.options.PublicURL + "/in/" + first.Name
	_, err = a.admin.CreateSource(ctx, first.Name, admin.SourceSpec{
		Auth: admin.AuthSpec{Key: first.Key, Value: &first.Secret},
	})
	return first, err
}
