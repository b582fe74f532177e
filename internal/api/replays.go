package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/replay"
)

// ReplayRequest is the body of POST /v1/replays.
type ReplayRequest struct {
	Select ReplaySelect `json:"select"`
	To     string       `json:"to,omitempty" doc:"The id of the event hook that gets the events. Default: select.hook."`
	Filter bool         `json:"filter,omitempty" doc:"Whether the hook's event types and filter apply."`
	DryRun bool         `json:"dryRun,omitempty" doc:"Count only."`
}

// ReplaySelect says what to send again.
type ReplaySelect struct {
	From       string `json:"from" enum:"events,deliveries"`
	Hook       string `json:"hook,omitempty" doc:"The id of the event hook whose deliveries are meant."`
	State      string `json:"state,omitempty" enum:"waiting,sending,delivered,dead,cancelled" doc:"The state of the deliveries. Default: all that have ended."`
	Type       string `json:"type,omitempty" doc:"The exact event type."`
	Source     string `json:"source,omitempty" doc:"The name of the source."`
	Since      string `json:"since,omitempty" format:"date-time" doc:"Events received, or deliveries created, at or after this time."`
	Until      string `json:"until,omitempty" format:"date-time" doc:"Events received, or deliveries created, before this time."`
	Expression string `json:"expression,omitempty" maxLength:"10000" doc:"In Okta Expression Language, over the event."`
}

// ReplayResult is what a replay did.
type ReplayResult struct {
	ID           string `json:"id,omitempty" doc:"Absent when nothing was made."`
	Hook         string `json:"hook" doc:"The event hook that gets the events."`
	Selected     int    `json:"selected" doc:"How many events are selected, each counted once."`
	Created      int    `json:"created" doc:"How many deliveries were made; 0 in a dry run."`
	DryRun       bool   `json:"dryRun"`
	FilterErrors int    `json:"filterErrors" doc:"How many events the expression could not judge, which counts as no match."`
	FilterError  string `json:"filterError,omitempty" doc:"The first of these errors."`
}

type replayInput struct{ Body ReplayRequest }

type replayAnswer struct {
	Status int
	Body   ReplayResult
}

func (a *api) replays(h huma.API) {
	op := operation("create-replay", http.MethodPost, "/v1/replays", "replays", "Send again all that a query selects")
	op.Description = "Every selected event is owed to the target once more. 201: deliveries were made; 200: none were. " +
		"The work is done in pages: what was made before an error stays."
	op.Responses = map[string]*huma.Response{"201": {Description: "Created"}}
	register(h, a, op, a.createReplay)
}

func (a *api) createReplay(ctx context.Context, in *replayInput) (*replayAnswer, error) {
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	q, err := in.Body.query(n)
	if err != nil {
		return nil, err
	}
	res, err := a.Replay.ByQuery(ctx, q)
	if err != nil {
		if res.Created > 0 {
			err = fmt.Errorf("%d deliveries were made before this failed: %w", res.Created, err)
		}
		return nil, err
	}
	out := &replayAnswer{Status: http.StatusOK, Body: ReplayResult{
		ID: res.ID, Hook: n.hookID[res.Hook], Selected: res.Selected, Created: res.Created,
		DryRun: q.DryRun, FilterErrors: res.Unjudged, FilterError: res.Why,
	}}
	if res.Created > 0 {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (r *ReplayRequest) query(n *names) (q replay.Query, err error) {
	s := &r.Select
	q = replay.Query{From: s.From, Type: s.Type, Expression: s.Expression, Filter: r.Filter, DryRun: r.DryRun}
	if q.Hook, err = n.findHook("body.select.hook", s.Hook); err != nil {
		return q, err
	}
	if q.To, err = n.findHook("body.to", r.To); err != nil {
		return q, err
	}
	if q.Source, err = n.findSource("body.select.source", s.Source); err != nil {
		return q, err
	}
	if s.State != "" {
		state, ok := hook.ParseState(s.State)
		if !ok {
			return q, invalidField("body.select.state", fmt.Sprintf("%q is not a state", s.State))
		}
		q.States = []hook.State{state}
	}
	q.Since, q.Until, err = period("body.select", s.Since, s.Until)
	return q, err
}
