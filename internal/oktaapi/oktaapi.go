package oktaapi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// MaxBody bounds the body of a request, in bytes.
const MaxBody = 1 << 20

const (
	root  = "/api/v1/"
	hooks = root + "eventHooks"
)

// Options are what the API works with.
type Options struct {
	Admin *admin.Admin
	// BaseURL is how people reach the API, in `_links`; "" takes the scheme and
	// host of each request.
	BaseURL string
	Log     *slog.Logger
}

type api struct{ Options }

// New serves all paths below /api/v1/. It lets everybody in: access.Tokens.Guard
// belongs in front of it.
func New(o Options) http.Handler { return &api{Options: o} }

// operation answers a request about one hook, or about all when id is "".
type operation func(a *api, r *http.Request, id string) (body []byte, err error)

// operations are the methods of each path, with an id in the place of {id}.
var operations = map[string]map[string]operation{
	"":                           {http.MethodGet: (*api).list, http.MethodPost: (*api).create},
	"/{id}":                      {http.MethodGet: (*api).get, http.MethodPut: (*api).replace, http.MethodDelete: (*api).delete},
	"/{id}/lifecycle/activate":   {http.MethodPost: lifecycle((*admin.Admin).ActivateEventHook)},
	"/{id}/lifecycle/deactivate": {http.MethodPost: lifecycle((*admin.Admin).DeactivateEventHook)},
	"/{id}/lifecycle/verify":     {http.MethodPost: lifecycle((*admin.Admin).VerifyEventHook)},
}

// ServeHTTP answers every request with JSON, except that there is none in the
// 204 of a deletion.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	methods, id := find(r.URL.Path)
	if methods == nil {
		okta.WriteError(w, okta.NewError(okta.CodeNoSuchPath))
		return
	}
	do := methods[r.Method]
	if do == nil {
		w.Header().Set("Allow", allowed(methods))
		okta.WriteError(w, okta.NewError(okta.CodeMethodNotAllowed))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	body, err := do(a, r, id)
	switch {
	case err != nil:
		okta.WriteError(w, a.explain(r, id, err))
	case body == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // to a client that may have gone
	}
}

// find splits a path. It cleans nothing and redirects nowhere, as Okta does not.
func find(path string) (methods map[string]operation, id string) {
	rest, ok := strings.CutPrefix(path, hooks)
	if !ok {
		return nil, ""
	}
	if rest == "" {
		return operations[""], ""
	}
	id, action, more := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	if rest[0] != '/' || id == "" {
		return nil, ""
	}
	pattern := "/{id}"
	if more {
		pattern += "/" + action
	}
	return operations[pattern], id
}

func allowed(methods map[string]operation) string {
	var names []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if methods[m] != nil {
			names = append(names, m)
		}
	}
	return strings.Join(names, ", ")
}

const (
	object   = "eventHook" // in the summary of validation errors
	typeName = "EventHook" // in the summary of 404s
)

// explain turns what went wrong into Okta's error. What is not the caller's
// doing is logged under the errorId that the caller sees.
func (a *api) explain(r *http.Request, id string, err error) error {
	var (
		ready    *okta.Error
		invalid  *admin.Invalid
		conflict *admin.Conflict
	)
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &invalid):
		return okta.ValidationError(object, invalid.Causes...)
	case errors.As(err, &conflict):
		return okta.ValidationError(object, conflict.Detail)
	case errors.Is(err, store.ErrNotFound):
		return okta.NotFoundError(id, typeName)
	}
	internal := okta.NewError(okta.CodeInternal)
	if r.Context().Err() != nil {
		return internal // which nobody waits for
	}
	a.Log.ErrorContext(r.Context(), "the event hooks API could not answer",
		"method", r.Method, "path", r.URL.Path, "errorId", internal.ErrorID, "error", err)
	return internal
}

// read returns the body of a write. A body that says it is not JSON is refused;
// one that says nothing may try.
func read(r *http.Request) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return nil, okta.NewError(okta.CodeMediaType)
		}
	}
	body, err := io.ReadAll(r.Body)
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, okta.ValidationError(object, fmt.Sprintf("The body is longer than %d bytes", long.Limit))
	case err != nil:
		return nil, okta.NewError(okta.CodeMalformedBody, "The body ended early")
	}
	return body, nil
}

func (a *api) base(r *http.Request) string {
	if a.BaseURL != "" {
		return a.BaseURL
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
