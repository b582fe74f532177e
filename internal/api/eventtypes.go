package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// EventType is one event type in a list.
type EventType struct {
	Type               string          `json:"type"`
	Label              string          `json:"label" doc:"The type spaced out for people; not Okta's description."`
	Eligible           bool            `json:"eligible" doc:"Whether an event hook in Okta may list the type; others come from the System Log only."`
	Visibility         okta.Visibility `json:"visibility" enum:"public,beta,internal"`
	IdentityEngineOnly bool            `json:"identityEngineOnly" doc:"Never fired in Classic orgs."`
	Category           string          `json:"category" doc:"The area of Okta's product that owns the type."`
	Tags               []string        `json:"tags" nullable:"false"`
}

// EventTypeDetail is one event type alone.
type EventTypeDetail struct {
	EventType
	Release       string   `json:"release" doc:"The release of Okta that the catalogue is of."`
	DebugData     *Schema  `json:"debugData,omitempty" doc:"What debugContext.debugData may hold."`
	DetailEntry   []Schema `json:"detailEntry" nullable:"false" doc:"What target[].detailEntry may hold, by kind of target."`
	ChangeDetails []Schema `json:"changeDetails" nullable:"false" doc:"What target[].changeDetails.from and .to may hold."`
}

// Schema says what a part of an event may hold.
type Schema struct {
	Name   string            `json:"name" doc:"Okta's name of it."`
	Fields map[string]string `json:"fields" doc:"Each member's type as declared: string, boolean, integer, number, array or object; most come as strings all the same. Any one event has few of them. Empty where none are known."`
}

// NewEventType shows t as the API does.
func NewEventType(t *okta.EventType) EventType {
	tags := t.Tags
	if tags == nil {
		tags = []string{}
	}
	return EventType{
		Type: t.Name, Label: t.Label(), Eligible: t.Eligible, Visibility: t.Visibility,
		IdentityEngineOnly: t.IdentityEngineOnly, Category: t.Category, Tags: tags,
	}
}

// NewEventTypeDetail shows t, which is of that release, as the API does.
func NewEventTypeDetail(t *okta.EventType, release string) EventTypeDetail {
	d := EventTypeDetail{
		EventType: NewEventType(t), Release: release,
		DetailEntry: schemas(t.DetailEntry), ChangeDetails: schemas(t.ChangeDetails),
	}
	if t.DebugData != nil {
		d.DebugData = &schemas([]*okta.Schema{t.DebugData})[0]
	}
	return d
}

func schemas(of []*okta.Schema) []Schema {
	all := make([]Schema, len(of))
	for i, s := range of {
		all[i] = Schema{s.Name, map[string]string{}}
		for f := range s.Fields() {
			all[i].Fields[f.Name] = f.Kind
		}
	}
	return all
}

type eventTypeList struct {
	Paging
	Q        string `query:"q" maxLength:"200" doc:"Words, each of which is part of the type or the label, in whatever case."`
	Eligible string `query:"eligible" enum:"true,false" doc:"Only types that an event hook in Okta may list, or only the others."`
	Category string `query:"category" doc:"The exact category."`
}

type byType struct {
	Type string `path:"type" doc:"The exact event type."`
}

type eventTypeAnswer struct{ Body EventTypeDetail }

func (a *api) eventTypes(h huma.API) {
	register(h, a, operation("list-event-types", http.MethodGet, "/v1/event-types", "event types", "List Okta's event types, by name"), a.listEventTypes)
	register(h, a, operation("get-event-type", http.MethodGet, "/v1/event-types/{type}", "event types", "Show one event type with what its events may hold"), a.getEventType)
}

func (a *api) listEventTypes(_ context.Context, in *eventTypeList) (*list[EventType], error) {
	q := okta.EventTypeQuery{Words: in.Q, Category: in.Category}
	if in.Eligible != "" {
		eligible := in.Eligible == "true"
		q.Eligible = &eligible
	}
	var passed int64 // of the selected types
	if in.After != "" {
		if err := decodeCursor('t', in.After, &passed); err != nil {
			return nil, err
		}
	}
	found := a.Catalogue.Select(q)
	found = found[min(passed, int64(len(found))):]
	items := make([]EventType, min(in.Limit, len(found)))
	for i := range items {
		items[i] = NewEventType(&found[i])
	}
	if len(items) == len(found) {
		return page(items, ""), nil
	}
	return page(items, encodeCursor('t', passed+int64(len(items)))), nil
}

func (a *api) getEventType(_ context.Context, in *byType) (*eventTypeAnswer, error) {
	t, ok := a.Catalogue.Lookup(in.Type)
	if !ok {
		return nil, huma.Error404NotFound(fmt.Sprintf("Okta's release %s has no event type %q; /v1/event-types?q= searches. Events of any type are taken all the same", a.Catalogue.Release(), in.Type))
	}
	return &eventTypeAnswer{NewEventTypeDetail(&t, a.Catalogue.Release())}, nil
}
