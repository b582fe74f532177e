package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/api"
	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// eventTypesCmd shows the catalogue in the binary or in a file; it asks no gateway.
type eventTypesCmd struct {
	EventTypes string         `help:"File with Okta's event types, if newer than those in the binary; see docs/event-types.md." env:"GRAPNEL_EVENT_TYPES" placeholder:"FILE"`
	List       eventTypesList `cmd:"" default:"withargs" help:"List event types. The word may be left out: grapnel event-types session --eligible."`
	Get        eventTypesGet  `cmd:"" help:"Show one event type with what its events may hold."`
}

type eventTypesList struct {
	output
	Query    []string `arg:"" optional:"" help:"Words that the type has, in whatever case."`
	Eligible bool     `help:"Only types that an event hook in Okta may list."`
	Category string   `help:"Only types of this category."`
}

func (cmd *eventTypesList) Run(parent *eventTypesCmd) error {
	catalogue, err := okta.LoadCatalogue(parent.EventTypes)
	if err != nil {
		return err
	}
	q := okta.EventTypeQuery{Words: strings.Join(cmd.Query, " "), Category: cmd.Category}
	if cmd.Eligible {
		q.Eligible = &cmd.Eligible
	}
	found := listing{Items: []json.RawMessage{}}
	for _, t := range catalogue.Select(q) {
		item, err := json.Marshal(api.NewEventType(&t))
		if err != nil {
			return err
		}
		found.Items = append(found.Items, item)
	}
	return cmd.printList("event types", found, []column{
		{"TYPE", "type", true},
		{"ELIGIBLE", "eligible", false},
		{"VISIBILITY", "visibility", false},
		{"CATEGORY", "category", true},
	})
}

type eventTypesGet struct {
	output
	Type string `arg:"" help:"The exact event type."`
}

func (cmd *eventTypesGet) Run(parent *eventTypesCmd) error {
	catalogue, err := okta.LoadCatalogue(parent.EventTypes)
	if err != nil {
		return err
	}
	t, ok := catalogue.Lookup(cmd.Type)
	if !ok {
		return fmt.Errorf("the event types of Okta's release %s have no %q; \"grapnel event-types WORD\" searches them", catalogue.Release(), cmd.Type)
	}
	detail := api.NewEventTypeDetail(&t, catalogue.Release())
	raw, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	if cmd.json() {
		return printJSON(raw)
	}
	var r row
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	err = printFields(r, []column{
		{"Type", "type", false},
		{"Label", "label", false},
		{"Eligible", "eligible", false},
		{"Visibility", "visibility", false},
		{"Identity Engine only", "identityEngineOnly", false},
		{"Category", "category", false},
		{"Tags", "tags", false},
		{"Okta's release", "release", false},
	})
	if err != nil {
		return err
	}
	fields := eventTypeFields(&detail)
	if len(fields) == 0 {
		talk("No fields of its events are known beyond those that every event has.")
		return nil
	}
	fmt.Println()
	return printTable(fields, []column{{"FIELD", "field", true}, {"DECLARED AS", "kind", false}, {"SCHEMA", "schema", true}})
}

// eventTypeFields are rows: what events of a type may hold, by where it stands
// in the event.
func eventTypeFields(t *api.EventTypeDetail) (rows []row) {
	add := func(where string, schemas []api.Schema) {
		for _, s := range schemas {
			for _, name := range slices.Sorted(maps.Keys(s.Fields)) {
				rows = append(rows, row{"field": where + "." + name, "kind": s.Fields[name], "schema": s.Name})
			}
		}
	}
	if t.DebugData != nil {
		add("debugContext.debugData", []api.Schema{*t.DebugData})
	}
	add("target[].detailEntry", t.DetailEntry)
	add("target[].changeDetails.(from|to)", t.ChangeDetails)
	return rows
}
