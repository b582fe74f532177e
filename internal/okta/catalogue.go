package okta

import (
	_ "embed"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Visibility is how far Okta has published an event type.
type Visibility string

// Okta's public list has the public types only.
const (
	Public   Visibility = "public"
	Beta     Visibility = "beta"
	Internal Visibility = "internal"
)

// An EventType is an entry of Okta's event type catalogue.
type EventType struct {
	Name       string
	Visibility Visibility
	// Eligible: an event hook may list it in events.items.
	Eligible bool
	// IdentityEngineOnly: never fired in Classic orgs.
	IdentityEngineOnly bool
	// Category is the area of the product that owns the type.
	Category string
	Tags     []string
	// DebugData, DetailEntry and ChangeDetails say what debugContext.debugData,
	// target[].detailEntry and target[].changeDetails may hold, which most often
	// is nothing: nil. Who acts and what kinds of targets there are is not in
	// Okta's catalogue.
	DebugData     *Schema
	DetailEntry   []*Schema
	ChangeDetails []*Schema
}

// MayHaveChangeDetails reports whether a target may carry changeDetails.
func (t EventType) MayHaveChangeDetails() bool { return len(t.ChangeDetails) > 0 }

// Label is the name spaced out for people: "user / account / update profile".
// Okta's own descriptions are not carried.
func (t EventType) Label() string { return labels.Replace(t.Name) }

var labels = strings.NewReplacer(".", " / ", "_", " ", "-", " ")

// A Schema names the members that a part of an event may have. Any one event
// has few of them.
type Schema struct {
	Name string
	base *Schema // whose fields it has, too; without a base of its own
	own  []Field
}

// A Field is a member. Kind is the type it is declared with in JSON's terms:
// "string", "boolean", "integer", "number", "array" or "object". What comes is
// mostly a string, whatever is declared.
type Field struct{ Name, Kind string }

// Fields yields every field once, those of many schemas first; none, when none
// are known.
func (s *Schema) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		if s.base != nil {
			for _, f := range s.base.own {
				if !yield(f) {
					return
				}
			}
		}
		for _, f := range s.own {
			if !yield(f) {
				return
			}
		}
	}
}

// EventTypes is a catalogue of event types. It is a help for people and for
// rules about what a hook may list; events of types it lacks are as good as any
// other, since Okta adds types with nearly every monthly release.
type EventTypes struct {
	release string
	all     []EventType // sorted by name
	byName  map[string]int
	schemas map[string]*Schema
}

// Release is the release of Okta that the catalogue is of.
func (c *EventTypes) Release() string { return c.release }

// Lookup finds a type by its exact name; case matters.
func (c *EventTypes) Lookup(name string) (EventType, bool) {
	i, ok := c.byName[name]
	if !ok {
		return EventType{}, false
	}
	return c.all[i], true
}

// Eligible reports whether an event hook may list the type, be it public or
// beta; false for an unknown one.
func (c *EventTypes) Eligible(name string) bool {
	t, ok := c.Lookup(name)
	return ok && t.Eligible
}

// Len returns the number of types.
func (c *EventTypes) Len() int { return len(c.all) }

// All yields every type in the order of names.
func (c *EventTypes) All() iter.Seq[EventType] { return slices.Values(c.all) }

// EventTypeQuery selects types of a catalogue. The zero value selects all.
type EventTypeQuery struct {
	Words    string // separated by white space: each is part of the name or the label, in whatever case
	Eligible *bool
	Category string // exactly
}

// Select returns the types that q selects, in the order of names.
func (c *EventTypes) Select(q EventTypeQuery) []EventType {
	var selected []EventType
	words := strings.Fields(strings.ToLower(q.Words))
	for _, t := range c.all {
		if q.Eligible != nil && t.Eligible != *q.Eligible || q.Category != "" && t.Category != q.Category {
			continue
		}
		text := strings.ToLower(t.Name + "\n" + t.Label())
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }) {
			selected = append(selected, t)
		}
	}
	return selected
}

//go:embed eventtypes.tsv
var eventTypesTSV string

// Catalogue returns the catalogue in the binary, read on first use and shared by
// all callers.
var Catalogue = sync.OnceValue(func() *EventTypes {
	c, err := parseCatalogue(eventTypesTSV)
	if err != nil {
		panic("okta: embedded eventtypes.tsv: " + err.Error())
	}
	return c
})
