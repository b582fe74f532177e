package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Event is one event in a list.
type Event struct {
	ID        string `json:"id" doc:"Grapnel's own, for /v1/events/{id}."`
	UUID      string `json:"uuid" doc:"Okta's; unique within the source."`
	Source    string `json:"source"`
	Type      string `json:"type"`
	Published Time   `json:"published" doc:"By Okta's clock."`
	Received  Time   `json:"received"`
}

// EventDetail is one event alone.
type EventDetail struct {
	Event
	LogEvent json.RawMessage `json:"logEvent" doc:"Okta's LogEvent as it came."`
	// Repaired is for events whose bytes cannot stand inside a JSON document.
	Repaired       bool          `json:"logEventRepaired,omitempty" doc:"Whether logEvent had to be changed to be shown: bytes that are not UTF-8 are replaced. What is kept, and delivered, is as it came."`
	FilterErrors   []FilterError `json:"filterErrors" nullable:"false" doc:"The event hooks whose filter could not judge the event, which counts as no match."`
	Deliveries     []Delivery    `json:"deliveries" nullable:"false" doc:"At most 100."`
	MoreDeliveries bool          `json:"moreDeliveries,omitempty" doc:"Whether there may be more; list them with /v1/deliveries?event=."`
}

// FilterError is a filter that could not judge an event.
type FilterError struct {
	Hook   string      `json:"hook"`
	Reason hook.Reason `json:"reason"`
	Detail string      `json:"detail"`
}

type eventList struct {
	Paging
	Type   string `query:"type" doc:"The exact event type."`
	Source string `query:"source" doc:"The name of the source."`
	UUID   string `query:"uuid" doc:"Okta's uuid."`
	Since  string `query:"since" format:"date-time" doc:"Received at or after this time."`
	Until  string `query:"until" format:"date-time" doc:"Received before this time."`
}

func (a *api) events(h huma.API) {
	register(h, a, operation("list-events", http.MethodGet, "/v1/events", "events", "List events, newest first"), a.listEvents)
	register(h, a, operation("get-event", http.MethodGet, "/v1/events/{id}", "events", "Show one event with its deliveries"), a.getEvent)
}

func (a *api) listEvents(ctx context.Context, in *eventList) (*list[Event], error) {
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	q := store.EventQuery{Type: in.Type, UUID: in.UUID, Limit: in.Limit}
	if q.Source, err = n.findSource("query.source", in.Source); err != nil {
		return nil, err
	}
	if q.Since, q.Until, err = period("query", in.Since, in.Until); err != nil {
		return nil, err
	}
	if in.After != "" {
		if err := decodeCursor('e', in.After, (*int64)(&q.Before)); err != nil {
			return nil, err
		}
	}
	events, next, more, err := a.Store.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	items := make([]Event, len(events))
	for i := range events {
		items[i] = n.event(&events[i])
	}
	if !more {
		return page(items, ""), nil
	}
	return page(items, encodeCursor('e', int64(next))), nil
}

func (n *names) event(e *hook.Event) Event {
	return Event{
		ID: e.Seq.String(), UUID: e.UUID, Source: n.sourceName(e.Source), Type: e.Type,
		Published: Time{e.Published}, Received: Time{e.Received},
	}
}

// deliveriesShown bounds the deliveries that are shown with an event.
const deliveriesShown = 100

type byID struct {
	ID string `path:"id"`
}

type eventAnswer struct{ Body EventDetail }

func (a *api) getEvent(ctx context.Context, in *byID) (*eventAnswer, error) {
	seq, ok := hook.ParseSeq(in.ID)
	if !ok {
		return nil, missing(store.ErrNotFound, "event", in.ID)
	}
	e, err := a.Store.Event(ctx, seq)
	if err != nil {
		return nil, missing(err, "event", in.ID)
	}
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	d := EventDetail{Event: n.event(&e), FilterErrors: []FilterError{}, Deliveries: []Delivery{}}
	d.LogEvent, d.Repaired = embed(e.JSON)
	failed, err := a.Store.FilterErrors(ctx, seq)
	if err != nil {
		return nil, err
	}
	for _, f := range failed {
		d.FilterErrors = append(d.FilterErrors, FilterError{n.hookID[f.Hook], hook.ReasonFilter, f.Detail})
	}
	found, next, err := a.Store.Deliveries(ctx, store.DeliveryQuery{Event: seq, Limit: deliveriesShown}, time.Now())
	if err != nil {
		return nil, err
	}
	for i := range found {
		d.Deliveries = append(d.Deliveries, a.delivery(n, &found[i]))
	}
	d.MoreDeliveries = next != nil
	return &eventAnswer{d}, nil
}

// embed returns raw as a JSON value that can stand inside another, changed only
// where it must be. Okta's bytes are kept whatever they are.
func embed(raw []byte) (value json.RawMessage, repaired bool) {
	value = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	if json.Valid(value) {
		return value, !bytes.Equal(value, raw)
	}
	text, _ := json.Marshal(string(value)) // a string always can be written
	return text, true
}
