package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Delivery is one delivery in a list.
type Delivery struct {
	ID           string      `json:"id" doc:"Also the webhook-id that the destination sees."`
	Event        string      `json:"event" doc:"Okta's uuid of the event."`
	EventID      string      `json:"eventId" doc:"For /v1/events/{id}."`
	Type         string      `json:"type"`
	Source       string      `json:"source"`
	Hook         string      `json:"hook"`
	State        string      `json:"state" enum:"waiting,sending,delivered,dead,cancelled"`
	Reason       hook.Reason `json:"reason,omitempty" doc:"Why it is in this state."`
	AttemptCount int         `json:"attemptCount"`
	Created      Time        `json:"created"`
	Due          *Time       `json:"due,omitempty" doc:"When it waits: not attempted before."`
	ReplayOf     string      `json:"replayOf,omitempty" doc:"The delivery that this one sends again."`
}

// DeliveryDetail is one delivery alone.
type DeliveryDetail struct {
	Delivery
	Attempts []Attempt `json:"attempts" nullable:"false" doc:"The first 10 and the last 90; attemptCount is exact."`
	Response *Response `json:"response,omitempty" doc:"What the destination answered last; not kept of a success."`
}

// Attempt is one try.
type Attempt struct {
	At       Time          `json:"at"`
	Duration hook.Duration `json:"duration"`
	Status   int           `json:"status,omitempty" doc:"The HTTP status; absent when there was no answer."`
	Reason   hook.Reason   `json:"reason,omitempty" doc:"Why it failed; absent when it succeeded."`
}

// Response is a destination's answer.
type Response struct {
	Status  int           `json:"status,omitempty"`
	Headers []hook.Header `json:"headers" nullable:"false"`
	Error   string        `json:"error,omitempty" doc:"Why there was no answer."`
	Body    string        `json:"body,omitempty" doc:"Its beginning, when it is text."`
	Base64  []byte        `json:"bodyBase64,omitempty" doc:"Its beginning, when it is not text."`
}

type deliveryList struct {
	Paging
	State  []string `query:"state" enum:"waiting,sending,delivered,dead,cancelled" doc:"One state, or several with commas between them."`
	Hook   string   `query:"hook" doc:"The id of the event hook."`
	Event  string   `query:"event" doc:"Okta's uuid of the event, or the event's id here."`
	Type   string   `query:"type" doc:"The exact event type."`
	Source string   `query:"source" doc:"The name of the source."`
	Since  string   `query:"since" format:"date-time" doc:"Created at or after this time."`
	Until  string   `query:"until" format:"date-time" doc:"Created before this time."`
}

func (a *api) deliveries(h huma.API) {
	register(h, a, operation("list-deliveries", http.MethodGet, "/v1/deliveries", "deliveries", "List deliveries, newest event first"), a.listDeliveries)
	register(h, a, operation("get-delivery", http.MethodGet, "/v1/deliveries/{id}", "deliveries", "Show one delivery with its attempts"), a.getDelivery)
	retry := operation("retry-delivery", http.MethodPost, "/v1/deliveries/{id}/retry", "deliveries", "Send one delivery again")
	retry.Description = "200: it was waiting, and is due now. 201: it had ended, and a new delivery was made. " +
		"409: it is being sent at this moment, or its event hook is deleted."
	register(h, a, retry, a.retryDelivery)
}

func (a *api) listDeliveries(ctx context.Context, in *deliveryList) (*list[Delivery], error) {
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	q, err := in.query(n)
	if err != nil {
		return nil, err
	}
	from, err := parsePlace(in.After)
	if err != nil {
		return nil, err
	}
	seqs := []hook.Seq{0} // all
	if in.Event != "" {
		if seqs, err = a.findEvents(ctx, in.Event); err != nil {
			return nil, err
		}
	}
	found, next, err := a.deliveriesOf(ctx, seqs, q, from)
	if err != nil {
		return nil, err
	}
	items := make([]Delivery, len(found))
	for i := range found {
		items[i] = a.delivery(n, &found[i])
	}
	return page(items, next.cursor()), nil
}

func (in *deliveryList) query(n *names) (q store.DeliveryQuery, err error) {
	q = store.DeliveryQuery{Type: in.Type, Limit: in.Limit}
	if q.Hook, err = n.findHook("query.hook", in.Hook); err != nil {
		return q, err
	}
	if q.Source, err = n.findSource("query.source", in.Source); err != nil {
		return q, err
	}
	if q.Since, q.Until, err = period("query", in.Since, in.Until); err != nil {
		return q, err
	}
	for _, word := range in.State {
		state, ok := hook.ParseState(word)
		if !ok {
			return q, invalidField("query.state", fmt.Sprintf("%q is not a state", word))
		}
		if !slices.Contains(q.States, state) {
			q.States = append(q.States, state)
		}
	}
	return q, nil
}

// findEvents returns the events that a parameter names, newest first: none
// when there is no such event, several when several sources sent one uuid.
func (a *api) findEvents(ctx context.Context, id string) ([]hook.Seq, error) {
	if seq, ok := hook.ParseSeq(id); ok {
		return []hook.Seq{seq}, nil
	}
	events, err := a.Store.FindEvents(ctx, id)
	if err != nil {
		return nil, err
	}
	seqs := make([]hook.Seq, len(events))
	for i := range events {
		seqs[i] = events[i].Seq
	}
	slices.Sort(seqs)
	slices.Reverse(seqs)
	return seqs, nil
}

// place is where a listing of deliveries goes on: with those of one event (0
// for all events), after one of them (or with the first). A nil place is the end.
type place struct {
	event  hook.Seq
	before *hook.Key
}

func (p *place) cursor() string {
	switch {
	case p == nil:
		return ""
	case p.before == nil:
		return encodeCursor('d', int64(p.event), 0, 0, 0)
	default:
		return encodeCursor('d', int64(p.event), int64(p.before.Seq), p.before.Hook, p.before.Replay)
	}
}

func parsePlace(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	var key hook.Key
	err = decodeCursor('d', cursor, (*int64)(&p.event), (*int64)(&key.Seq), &key.Hook, &key.Replay)
	if key != (hook.Key{}) {
		p.before = &key
	}
	return p, err
}

// deliveriesOf lists the deliveries of some events, given newest first, one
// event after the other.
func (a *api) deliveriesOf(ctx context.Context, seqs []hook.Seq, q store.DeliveryQuery, from place) (found []hook.Delivery, next *place, err error) {
	now, limit := time.Now(), q.Limit
	for _, seq := range seqs {
		if from.event != 0 && seq > from.event {
			continue // of an earlier page
		}
		if len(found) == limit {
			return found, &place{event: seq}, nil
		}
		q.Event, q.Limit, q.Before = seq, limit-len(found), nil
		if seq == from.event {
			q.Before = from.before
		}
		part, last, err := a.Store.Deliveries(ctx, q, now)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, part...)
		if last != nil {
			return found, &place{seq, last}, nil
		}
	}
	return found, nil, nil
}

func (a *api) delivery(n *names, d *hook.Delivery) Delivery {
	out := Delivery{
		ID: d.ID(a.Tag), Event: d.UUID, EventID: d.Seq.String(), Type: d.Type,
		Source: n.sourceName(d.Source), Hook: n.hookID[d.Hook],
		State: d.State.String(), Reason: d.Reason, AttemptCount: d.AttemptCount,
		Created: Time{d.Created},
	}
	if d.State == hook.Waiting {
		out.Due = &Time{d.Due}
		// What stops the whole hook outweighs how the last attempt ended.
		if why := n.blocked[d.Hook]; why != "" {
			out.Reason = why
		}
	}
	if d.ReplayOf != nil {
		out.ReplayOf = d.ReplayOf.ID(a.Tag)
	}
	return out
}

type deliveryAnswer struct {
	Status int
	Body   DeliveryDetail
}

func (a *api) getDelivery(ctx context.Context, in *byID) (*deliveryAnswer, error) {
	key, ok := hook.ParseKey(in.ID, a.Tag)
	if !ok {
		return nil, missing(store.ErrNotFound, "delivery", in.ID)
	}
	d, err := a.Store.Delivery(ctx, key, time.Now())
	if err != nil {
		return nil, missing(err, "delivery", in.ID)
	}
	return a.showDelivery(ctx, &d, http.StatusOK)
}

func (a *api) retryDelivery(ctx context.Context, in *byID) (*deliveryAnswer, error) {
	key, ok := hook.ParseKey(in.ID, a.Tag)
	if !ok {
		return nil, missing(store.ErrNotFound, "delivery", in.ID)
	}
	d, created, err := a.Replay.Retry(ctx, key)
	if err != nil {
		return nil, missing(err, "delivery", in.ID)
	}
	if created {
		return a.showDelivery(ctx, &d, http.StatusCreated)
	}
	return a.showDelivery(ctx, &d, http.StatusOK)
}

func (a *api) showDelivery(ctx context.Context, d *hook.Delivery, status int) (*deliveryAnswer, error) {
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	out := DeliveryDetail{Delivery: a.delivery(n, d), Attempts: make([]Attempt, len(d.Attempts))}
	for i, t := range d.Attempts {
		out.Attempts[i] = Attempt{Time{t.At}, hook.Duration(t.Duration), t.Status, t.Reason}
	}
	if r := d.Response; r != nil {
		out.Response = &Response{Status: r.Status, Headers: r.Headers, Error: r.Error}
		if r.Headers == nil {
			out.Response.Headers = []hook.Header{}
		}
		out.Response.Body, out.Response.Base64 = textOrBytes(r.Body)
	}
	return &deliveryAnswer{status, out}, nil
}

// textOrBytes returns a body as text if it is text, where its end may have
// been cut off within a character.
func textOrBytes(body []byte) (string, []byte) {
	whole := body
	for cut := 0; cut < utf8.UTFMax && len(whole) > 0; cut++ {
		if utf8.Valid(whole) {
			return string(whole), nil
		}
		whole = whole[:len(whole)-1]
	}
	return "", body
}
