package api

import (
	"context"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Rejected is something a source handed over with a right secret that is not
// an event.
type Rejected struct {
	ID       string      `json:"id"`
	Source   string      `json:"source"`
	Received Time        `json:"received"`
	Reason   hook.Reason `json:"reason"`
	Detail   string      `json:"detail,omitempty"`
	Size     int         `json:"size" doc:"Of the body, in bytes."`
}

// RejectedDetail is one of them alone.
type RejectedDetail struct {
	Rejected
	Body   string `json:"body,omitempty" doc:"As it came, when it is text."`
	Base64 []byte `json:"bodyBase64,omitempty" doc:"As it came, when it is not text."`
}

type rejectedList struct {
	Paging
	Source string `query:"source" doc:"The name of the source."`
}

type rejectedAnswer struct{ Body RejectedDetail }

func (a *api) rejected(h huma.API) {
	register(h, a, operation("list-rejected", http.MethodGet, "/v1/rejected", "rejected", "List what came with a right secret but is no event, newest first"), a.listRejected)
	register(h, a, operation("get-rejected", http.MethodGet, "/v1/rejected/{id}", "rejected", "Show one of them with its bytes"), a.getRejected)
}

func (a *api) listRejected(ctx context.Context, in *rejectedList) (*list[Rejected], error) {
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	source, err := n.findSource("query.source", in.Source)
	if err != nil {
		return nil, err
	}
	var before int64
	if in.After != "" {
		if err := decodeCursor('r', in.After, &before); err != nil {
			return nil, err
		}
	}
	found, err := a.Store.RejectedList(ctx, source, before, in.Limit)
	if err != nil {
		return nil, err
	}
	items := make([]Rejected, len(found))
	for i := range found {
		items[i] = n.rejected(&found[i])
	}
	if len(found) < in.Limit {
		return page(items, ""), nil
	}
	return page(items, encodeCursor('r', found[len(found)-1].ID)), nil
}

func (n *names) rejected(r *store.Rejected) Rejected {
	return Rejected{
		ID: strconv.FormatInt(r.ID, 10), Source: n.sourceName(r.Source),
		Received: Time{r.Received}, Reason: r.Reason, Detail: r.Detail, Size: r.Size,
	}
}

func (a *api) getRejected(ctx context.Context, in *byID) (*rejectedAnswer, error) {
	id, err := strconv.ParseInt(in.ID, 10, 64)
	if err != nil {
		return nil, missing(store.ErrNotFound, "rejected body", in.ID)
	}
	r, err := a.Store.Rejected(ctx, id)
	if err != nil {
		return nil, missing(err, "rejected body", in.ID)
	}
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	d := RejectedDetail{Rejected: n.rejected(&r)}
	if utf8.Valid(r.Raw) {
		d.Body = string(r.Raw)
	} else {
		d.Base64 = r.Raw
	}
	return &rejectedAnswer{d}, nil
}
