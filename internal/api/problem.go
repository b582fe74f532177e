package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/replay"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// problem turns an error of the packages below into problem details. What is
// not the caller's doing is the store's, by the store's contract.
func (a *api) problem(ctx context.Context, err error) error {
	var (
		ready    huma.StatusError
		invalid  *admin.Invalid
		conflict *admin.Conflict
		request  *replay.Invalid
		state    *replay.Conflict
	)
	switch {
	case errors.As(err, &ready):
		return err
	case errors.As(err, &invalid):
		causes := make([]error, len(invalid.Causes))
		for i, cause := range invalid.Causes {
			causes[i] = &huma.ErrorDetail{Message: cause}
		}
		return huma.Error400BadRequest(invalid.Error(), causes...)
	case errors.As(err, &request):
		return invalidField("body."+request.Field, request.Detail)
	case errors.As(err, &conflict), errors.As(err, &state):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case ctx.Err() != nil:
		return huma.Error503ServiceUnavailable("the request was given up before it was done")
	default:
		a.Log.ErrorContext(ctx, "the API could not answer", "error", err)
		header := http.Header{"Retry-After": {"5"}}
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("the store cannot answer now: "+err.Error()+"; try again"), header)
	}
}

// invalidField says what is wrong with one parameter or member.
func invalidField(location, detail string) error {
	return huma.Error400BadRequest(location+": "+detail, &huma.ErrorDetail{Location: location, Message: detail})
}

// missing is the answer for a resource that does not exist, or not any more.
func missing(err error, what, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return huma.Error404NotFound(fmt.Sprintf("there is no %s %q, or not any more", what, id))
	}
	return err
}

// badRequests makes huma's 422 a 400: one status for every request that is
// wrong in itself, so that a client needs one case for it.
func badRequests(ctx huma.Context, next func(huma.Context)) { next(statusContext{ctx}) }

// humaContext lets a context be embedded that has a method Context.
type humaContext = huma.Context

type statusContext struct{ humaContext }

func (c statusContext) SetStatus(code int) {
	if code == http.StatusUnprocessableEntity {
		code = http.StatusBadRequest
	}
	c.humaContext.SetStatus(code)
}

// explain puts the first findings of a validation into `detail`, and keeps
// bodies, which may hold secrets, out of errors, which end in logs.
func explain(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	if m.Status == http.StatusUnprocessableEntity {
		m.Status, m.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
	}
	var found []string
	for _, e := range m.Errors {
		if e == nil {
			continue
		}
		if strings.HasPrefix(e.Location, "body") {
			e.Value = nil
		}
		found = append(found, strings.TrimPrefix(e.Location+": "+e.Message, ": "))
	}
	if m.Status == http.StatusUnsupportedMediaType {
		m.Detail = "send the body as JSON, with Content-Type: application/json"
	} else if m.Detail == "validation failed" && len(found) > 0 {
		m.Detail = strings.Join(found[:min(3, len(found))], "; ")
	}
	return m, nil
}

// everything is the pattern of what no operation answers.
const everything = "/v1/"

func (a *api) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(other); pattern != everything {
			allowed = append(allowed, method)
		}
	}
	p := huma.ErrorModel{Status: http.StatusNotFound, Detail: "there is nothing at " + r.URL.Path + "; GET /v1/openapi.json describes what there is"}
	if len(allowed) > 0 {
		p.Status = http.StatusMethodNotAllowed
		p.Detail = r.Method + " is not possible here; use " + strings.Join(allowed, " or ")
		w.Header().Set("Allow", strings.Join(allowed, ", "))
	}
	p.Title = http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // to a client that may have gone
}
