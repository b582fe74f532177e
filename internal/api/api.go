package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/replay"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Store is what the API reads from the store.
type Store interface {
	store.Reader
	SourceNames(ctx context.Context) (map[int64]string, error)
	EventHooks(ctx context.Context) ([]hook.EventHook, int64, error)
	HookIDs(ctx context.Context) (map[int64]string, error)
}

// Options are what the API works with. All are needed.
type Options struct {
	Store  Store
	Admin  *admin.Admin
	Replay *replay.Replayer
	// Catalogue is what /v1/event-types shows.
	Catalogue *okta.EventTypes
	// Tag is the store's, which delivery ids carry.
	Tag uint32
	// PublicURL is how Okta reaches the public listener, without a slash at
	// its end: the URL to paste into Okta is PublicURL + "/in/" + the source.
	PublicURL string
	Log       *slog.Logger
}

type api struct {
	Options
	mux *http.ServeMux
}

// New returns the handler of everything under /v1/.
func New(o Options) http.Handler {
	a := &api{Options: o, mux: http.NewServeMux()}
	h := humago.New(a.mux, config())
	h.UseMiddleware(badRequests)
	a.sources(h)
	a.events(h)
	a.eventTypes(h)
	a.deliveries(h)
	a.replays(h)
	a.rejected(h)
	a.stats(h)
	a.mux.Handle("GET /v1/openapi.json", document(h.OpenAPI()))
	a.mux.HandleFunc(everything, a.unknown)
	return a.mux
}

func config() huma.Config {
	c := huma.DefaultConfig("Grapnel", "1")
	c.Info.Description = "Sources, events, deliveries and replays of one Grapnel. " +
		"Event hooks are managed by Okta's own API, under /api/v1/eventHooks."
	// The description is served by us: huma makes it on the first request,
	// without a lock. Its documentation page would fetch from other hosts.
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{explain}
	c.Formats = map[string]huma.Format{"application/json": verbatim, "json": verbatim}
	// A filter that is misspelt must not turn into one that is not there.
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "The admin token, also accepted as \"SSWS <token>\"."},
	}
	c.Security = []map[string][]string{{"bearer": {}}}
	return c
}

func document(spec *huma.OpenAPI) http.Handler {
	text, err := json.Marshal(spec)
	if err != nil {
		panic(err) // the description is made of our own types only
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // to a client that may have gone
	})
}

// register adds an operation whose errors become problem details.
func register[I, O any](h huma.API, a *api, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	huma.Register(h, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

// operation says the same thing of each endpoint.
func operation(id, method, path, tag, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary}
}
