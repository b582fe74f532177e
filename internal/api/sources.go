package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// Source is one Okta org as it is shown, without its secrets.
type Source struct {
	Name      string           `json:"name"`
	URL       string           `json:"url" doc:"To paste into Okta as the endpoint of an event hook."`
	Host      string           `json:"host,omitempty" doc:"The org's host name; absent until it is known."`
	Created   Time             `json:"created"`
	Updated   Time             `json:"updated"`
	Auth      SourceAuth       `json:"auth"`
	Previous  *PreviousShown   `json:"previous,omitempty" doc:"Present while an older secret is accepted."`
	Challenge *Challenge       `json:"challenge,omitempty" doc:"Okta's last verification; absent before the first."`
	Counters  hook.SourceCount `json:"counters"`
	Warnings  []string         `json:"warnings,omitempty" doc:"What a person should look at, since events are or will be lost or doubled."`
}

// SourceAuth names the headers that a request from Okta must carry.
type SourceAuth struct {
	Key     string      `json:"key"`
	Headers []HeaderKey `json:"headers" nullable:"false"`
}

// HeaderKey is the name of a header whose value is not shown.
type HeaderKey struct {
	Key string `json:"key"`
}

// PreviousShown tells of an older secret.
type PreviousShown struct {
	Until Time `json:"until"`
}

// Challenge is what a verification of Okta's showed.
type Challenge struct {
	At     Time             `json:"at"`
	Secret hook.SecretState `json:"secret" enum:"right,wrong,absent"`
}

// NewSource is the body of POST /v1/sources.
type NewSource struct {
	Name string `json:"name" doc:"1 to 63 lower-case letters, digits and hyphens. Part of the URL; never used again."`
	SourceSpec
}

// ChangedSource is the body of PUT /v1/sources/{name}.
type ChangedSource struct {
	Name string `json:"name,omitempty" doc:"As in the path, if given."`
	SourceSpec
}

// SourceSpec is what a source can be made.
type SourceSpec struct {
	Host     string        `json:"host,omitempty" doc:"The org's host name. Default: learnt from the first delivery."`
	Auth     AuthSpec      `json:"auth"`
	Previous *PreviousSpec `json:"previous,omitempty" doc:"An older secret that is accepted for a while. Default, when auth.value changes: the one it replaces, for 24 hours."`
	Force    bool          `json:"force,omitempty" doc:"Allow a host that another source has: every event of that org then arrives twice."`
}

// AuthSpec is what a request from Okta must show.
type AuthSpec struct {
	Key     string        `json:"key" doc:"The name of the header, as in Okta's \"authentication field\"."`
	Value   *string       `json:"value,omitempty" writeOnly:"true" doc:"The whole value of the header, as in Okta's \"authentication secret\". A PUT that leaves it out keeps it."`
	Headers []hook.Header `json:"headers,omitempty" doc:"Custom headers that must match, too. A PUT that leaves them out keeps them; an empty list removes them."`
}

// PreviousSpec is an older secret.
type PreviousSpec struct {
	Value string `json:"value,omitempty" writeOnly:"true" doc:"Default: the secret that the source had."`
	Until string `json:"until,omitempty" format:"date-time" doc:"Default: in 24 hours. A time in the past ends it."`
}

type byName struct {
	Name string `path:"name"`
}

type (
	newSource     struct{ Body NewSource }
	changedSource struct {
		Name string `path:"name"`
		Body ChangedSource
	}
	sourceAnswer struct{ Body Source }
)

func (a *api) sources(h huma.API) {
	register(h, a, operation("list-sources", http.MethodGet, "/v1/sources", "sources", "List sources, oldest first"), a.listSources)
	create := operation("create-source", http.MethodPost, "/v1/sources", "sources", "Create a source")
	create.DefaultStatus = http.StatusCreated
	register(h, a, create, a.createSource)
	register(h, a, operation("get-source", http.MethodGet, "/v1/sources/{name}", "sources", "Show one source"), a.getSource)
	register(h, a, operation("replace-source", http.MethodPut, "/v1/sources/{name}", "sources", "Change a source or its secret"), a.replaceSource)
	register(h, a, operation("delete-source", http.MethodDelete, "/v1/sources/{name}", "sources", "Delete a source; its events stay"), a.deleteSource)
}

func (a *api) listSources(ctx context.Context, in *Paging) (*list[Source], error) {
	var after int64
	if in.After != "" {
		if err := decodeCursor('s', in.After, &after); err != nil {
			return nil, err
		}
	}
	sources, err := a.Admin.Sources(ctx)
	if err != nil {
		return nil, err
	}
	s, err := a.Store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	var items []Source
	for i := range sources {
		if sources[i].Number <= after {
			continue
		}
		if len(items) == in.Limit {
			return page(items, encodeCursor('s', sources[i-1].Number)), nil
		}
		items = append(items, a.source(&sources[i], s.Sources[sources[i].Number]))
	}
	return page(items, ""), nil
}

func (a *api) createSource(ctx context.Context, in *newSource) (*sourceAnswer, error) {
	spec, err := in.Body.spec()
	if err != nil {
		return nil, err
	}
	s, err := a.Admin.CreateSource(ctx, in.Body.Name, spec)
	return a.showSource(ctx, in.Body.Name, s, err)
}

func (a *api) getSource(ctx context.Context, in *byName) (*sourceAnswer, error) {
	s, err := a.Admin.Source(ctx, in.Name)
	return a.showSource(ctx, in.Name, s, err)
}

func (a *api) replaceSource(ctx context.Context, in *changedSource) (*sourceAnswer, error) {
	if in.Body.Name != "" && in.Body.Name != in.Name {
		return nil, invalidField("body.name", "a source cannot be renamed; create another one")
	}
	spec, err := in.Body.spec()
	if err != nil {
		return nil, err
	}
	s, err := a.Admin.ReplaceSource(ctx, in.Name, spec)
	return a.showSource(ctx, in.Name, s, err)
}

func (a *api) deleteSource(ctx context.Context, in *byName) (*struct{}, error) {
	return nil, missing(a.Admin.DeleteSource(ctx, in.Name), "source", in.Name)
}

func (s *SourceSpec) spec() (admin.SourceSpec, error) {
	spec := admin.SourceSpec{
		Host: s.Host, Force: s.Force, Headers: s.Auth.Headers,
		Auth: admin.AuthSpec{Key: s.Auth.Key, Value: s.Auth.Value},
	}
	if s.Previous != nil {
		until, err := parseTime("body.previous.until", s.Previous.Until)
		if err != nil {
			return spec, err
		}
		spec.Previous = &admin.Previous{Value: s.Previous.Value, Until: until}
	}
	return spec, nil
}

func (a *api) showSource(ctx context.Context, name string, s admin.Source, err error) (*sourceAnswer, error) {
	if err != nil {
		return nil, missing(err, "source", name)
	}
	counts, err := a.Store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	return &sourceAnswer{a.source(&s, counts.Sources[s.Number])}, nil
}

func (a *api) source(s *admin.Source, count hook.SourceCount) Source {
	out := Source{
		Name: s.Name, URL: a.PublicURL + "/in/" + s.Name, Host: s.Host,
		Created: Time{s.Created}, Updated: Time{s.Updated}, Counters: count,
		Auth: SourceAuth{Key: s.AuthKey, Headers: []HeaderKey{}},
	}
	for _, h := range s.Headers {
		out.Auth.Headers = append(out.Auth.Headers, HeaderKey{h.Key})
	}
	if !s.PreviousUntil.IsZero() {
		out.Previous = &PreviousShown{Time{s.PreviousUntil}}
	}
	if c := s.Challenge; !c.At.IsZero() {
		out.Challenge = &Challenge{Time{c.At}, c.Secret}
		if c.Secret != hook.SecretRight {
			out.Warnings = append(out.Warnings, fmt.Sprintf("when Okta last verified this source, the secret was %s: Okta did not notice, but every "+
				"delivery is refused until the authentication field in Okta is %q and its secret is this source's", c.Secret, s.AuthKey))
		}
	}
	if len(s.SameHost) > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%s has the same org: its events arrive more than once", strings.Join(s.SameHost, ", ")))
	}
	return out
}
