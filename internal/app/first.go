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

// FirstSource makes a first source, named okta, in a store that never had one,
// unless both credentials were given: who does that sets up sources, too. It
// returns nil when it made none.
//
// That this start made the credentials is no condition: an earlier one may have
// failed after it had, with a port in use.
func (a *App) FirstSource(ctx context.Context) (*First, error) {
	names, err := a.store.SourceNames(ctx)
	o := &a.options
	given := (o.AdminToken != "" || o.AdminTokenFile != "") && (o.SecretKey != "" || o.SecretKeyFile != "")
	if err != nil || len(names) > 0 || given {
		return nil, err
	}
	first := &First{Name: "okta", Key: "Authorization", Secret: access.NewToken()}
	first.URL = a.options.PublicURL + "/in/" + first.Name
	_, err = a.admin.CreateSource(ctx, first.Name, admin.SourceSpec{
		Auth: admin.AuthSpec{Key: first.Key, Value: &first.Secret},
	})
	return first, err
}
