package oktaapi

import (
	"context"
	"net/http"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/okta"
)

func (a *api) list(r *http.Request, _ string) ([]byte, error) {
	all, err := a.Admin.EventHooks(r.Context())
	if err != nil {
		return nil, err
	}
	resources := make([]*okta.EventHook, len(all))
	for i := range all {
		if resources[i], err = resource(&all[i]); err != nil {
			return nil, err
		}
	}
	return okta.EncodeEventHooks(resources, a.base(r))
}

func (a *api) get(r *http.Request, id string) ([]byte, error) {
	h, err := a.Admin.EventHook(r.Context(), id)
	return a.answer(r, h, err)
}

// create answers 200, as Okta does, not 201.
func (a *api) create(r *http.Request, _ string) ([]byte, error) {
	spec, err := request(r)
	if err != nil {
		return nil, err
	}
	h, err := a.Admin.CreateEventHook(r.Context(), spec)
	return a.answer(r, h, err)
}

func (a *api) replace(r *http.Request, id string) ([]byte, error) {
	spec, err := request(r)
	if err != nil {
		return nil, err
	}
	h, err := a.Admin.ReplaceEventHook(r.Context(), id, spec)
	return a.answer(r, h, err)
}

func (a *api) delete(r *http.Request, id string) ([]byte, error) {
	return nil, a.Admin.DeleteEventHook(r.Context(), id)
}

// lifecycle ignores the body, as Okta's operations have none.
func lifecycle(change func(*admin.Admin, context.Context, string) (admin.EventHook, error)) operation {
	return func(a *api, r *http.Request, id string) ([]byte, error) {
		h, err := change(a.Admin, r.Context(), id)
		return a.answer(r, h, err)
	}
}

func (a *api) answer(r *http.Request, h admin.EventHook, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	shown, err := resource(&h)
	if err != nil {
		return nil, err
	}
	return okta.EncodeEventHook(shown, a.base(r))
}

func request(r *http.Request) (admin.EventHookSpec, error) {
	body, err := read(r)
	if err != nil {
		return admin.EventHookSpec{}, err
	}
	asked, err := okta.DecodeEventHook(body)
	if err != nil {
		return admin.EventHookSpec{}, err
	}
	return specOf(asked), nil
}
