package okta

import (
	_ "embed"
	"fmt"
	"iter"
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
	// DebugDataSchema, TargetSchemas and ChangeDetailsSchemas are names of the
	// catalogue's schemas for debugContext.debugData, target[].detailEntry and
	// target[].changeDetails. Most are empty.
	DebugDataSchema      string
	TargetSchemas        []string
	ChangeDetailsSchemas []string
}

// MayHaveChangeDetails reports whether a target may carry changeDetails.
func (t EventType) MayHaveChangeDetails() bool { return len(t.ChangeDetailsSchemas) > 0 }

// Label is the name spaced out for people: "user / account / update profile".
// Okta's own descriptions are not carried.
func (t EventType) Label() string { return labels.Replace(t.Name) }

var labels = strings.NewReplacer(".", " / ", "_", " ", "-", " ")

// EventTypes is a catalogue of event types. It is a help for people and for
// rules about what a hook may list; events of types it lacks are as good as any
// other, since Okta adds types with nearly every monthly release.
type EventTypes struct {
	all    []EventType
	byName map[string]int
}

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
func (c *EventTypes) All() iter.Seq[EventType] {
	return func(yield func(EventType) bool) {
		for _, t := range c.all {
			if !yield(t) {
				return
			}
		}
	}
}

//go:embed eventtypes.tsv
var eventTypesTSV string

// CatalogueRelease is the release of Okta that Catalogue is of.
const CatalogueRelease = "2026.08.1"

// Catalogue returns the types of Okta's CatalogueRelease, read on first use and
// shared by all callers.
var Catalogue = sync.OnceValue(func() *EventTypes {
	c, err := parseCatalogue(eventTypesTSV)
	if err != nil {
		panic("okta: embedded eventtypes.tsv: " + err.Error())
	}
	return c
})

func parseCatalogue(tsv string) (*EventTypes, error) {
	c := &EventTypes{byName: map[string]int{}}
	for line := range strings.Lines(tsv) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		t, err := parseEventType(line)
		if err != nil {
			return nil, err
		}
		if _, twice := c.byName[t.Name]; twice {
			return nil, fmt.Errorf("%s is listed twice", t.Name)
		}
		c.byName[t.Name] = len(c.all)
		c.all = append(c.all, t)
	}
	return c, nil
}

func parseEventType(line string) (EventType, error) {
	column := strings.Split(line, "\t")
	if len(column) != 7 || column[0] == "" {
		return EventType{}, fmt.Errorf("%q has not seven columns and a name", line)
	}
	t := EventType{
		Name: column[0], Category: column[2], Tags: list(column[3]),
		DebugDataSchema: column[4], TargetSchemas: list(column[5]), ChangeDetailsSchemas: list(column[6]),
	}
	for _, flag := range column[1] {
		switch flag {
		case 'p':
			t.Visibility = Public
		case 'b':
			t.Visibility = Beta
		case 'i':
			t.Visibility = Internal
		case 'h':
			t.Eligible = true
		case 'o':
			t.IdentityEngineOnly = true
		default:
			return EventType{}, fmt.Errorf("%s: unknown flag %q", t.Name, flag)
		}
	}
	if t.Visibility == "" {
		return EventType{}, fmt.Errorf("%s: no visibility", t.Name)
	}
	return t, nil
}

func list(column string) []string {
	if column == "" {
		return nil
	}
	return strings.Split(column, ",")
}
