package okta

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Bounds of a catalogue, some ten times what the one in the binary needs.
const (
	maxCatalogue = 4 << 20 // bytes of a file
	maxTypes     = 20_000
	maxSchemas   = 5_000
	maxFields    = 1_000 // of one schema
	maxListed    = 50    // tags of a type, schemas of a part of its events
	maxName      = 255   // bytes of a name
)

// LoadCatalogue reads a catalogue from a file of at most 4 MiB; without a name
// it is the one in the binary. docs/event-types.md explains the format. The
// error says which line is wrong, and what about it.
func LoadCatalogue(file string) (*EventTypes, error) {
	if file == "" {
		return Catalogue(), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("event types: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCatalogue+1))
	if err == nil && len(text) > maxCatalogue {
		err = fmt.Errorf("larger than %d MiB, so it is no list of event types", maxCatalogue>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("event types: %s: %w", file, err)
	}
	c, err := parseCatalogue(string(text))
	if err != nil {
		return nil, fmt.Errorf("event types: %s: %w", file, err)
	}
	return c, nil
}

// parseCatalogue reads lines of columns with tabs between them. A schema stands
// above what names it, so that a slip in a name shows.
func parseCatalogue(tsv string) (*EventTypes, error) {
	c := &EventTypes{byName: map[string]int{}, schemas: map[string]*Schema{}}
	number := 0
	for line := range strings.Lines(tsv) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := c.add(strings.Split(line, "\t")); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	switch {
	case c.release == "":
		return nil, errors.New("no line says which release of Okta it is of: release, a tab, 2026.08.1")
	case len(c.all) == 0:
		return nil, errors.New("no line begins with type: it lists no event types")
	}
	slices.SortFunc(c.all, func(a, b EventType) int { return cmp.Compare(a.Name, b.Name) })
	for i := range c.all {
		c.byName[c.all[i].Name] = i
	}
	return c, nil
}

// kinds of lines: how many columns there may be after the first.
var kinds = map[string]int{"release": 1, "schema": 3, "type": 7}

func (c *EventTypes) add(column []string) error {
	kind, column := column[0], column[1:]
	most, ok := kinds[kind]
	switch {
	case !ok:
		return fmt.Errorf("begins with %s; columns have tabs between them, and the first is release, schema or type, or begins with # for a comment", clipped(kind))
	case len(column) == 0 || len(column) > most:
		return fmt.Errorf("%s has %d columns after it; there may be 1 to %d", kind, len(column), most)
	}
	column = append(column, make([]string, most-len(column))...)
	if err := checkName(column[0]); err != nil {
		return err
	}
	var err error
	switch kind {
	case "release":
		if c.release != "" {
			return errors.New("release is there twice")
		}
		c.release = column[0]
		return nil
	case "schema":
		err = c.addSchema(column)
	default:
		err = c.addType(column)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, column[0], err)
	}
	return nil
}

func (c *EventTypes) addSchema(column []string) error {
	s := &Schema{Name: column[0]}
	if c.schemas[s.Name] != nil {
		return errors.New("is there twice")
	}
	if len(c.schemas) == maxSchemas {
		return fmt.Errorf("more than %d schemas", maxSchemas)
	}
	var err error
	if s.base, err = c.schema(column[1]); err != nil {
		return err
	}
	if s.base != nil && s.base.base != nil {
		return fmt.Errorf("its base %s has a base itself; name %s", s.base.Name, s.base.base.Name)
	}
	fields, err := list(column[2], maxFields)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for f := range s.Fields() {
		seen[f.Name] = true
	}
	for _, text := range fields {
		f := Field{text, "string"}
		if name, kind, ok := strings.Cut(text, ":"); ok {
			f = Field{name, kind}
		}
		switch {
		case seen[f.Name]:
			return fmt.Errorf("the field %s is there twice, or in the base", f.Name)
		case f.Name == "" || !slices.Contains(fieldKinds, f.Kind):
			return fmt.Errorf("the field %q is not a name, or a name, a colon and one of %s", text, strings.Join(fieldKinds, ", "))
		}
		seen[f.Name] = true
		s.own = append(s.own, f)
	}
	c.schemas[s.Name] = s
	return nil
}

var fieldKinds = []string{"string", "boolean", "integer", "number", "array", "object"}

func (c *EventTypes) addType(column []string) (err error) {
	t := EventType{Name: column[0], Category: column[2]}
	if _, twice := c.byName[t.Name]; twice {
		return errors.New("is there twice")
	}
	if len(c.all) == maxTypes {
		return fmt.Errorf("more than %d types", maxTypes)
	}
	if err := t.setFlags(column[1]); err != nil {
		return err
	}
	if t.Category != "" {
		if err := checkName(t.Category); err != nil {
			return err
		}
	}
	if t.Tags, err = list(column[3], maxListed); err != nil {
		return err
	}
	if t.DebugData, err = c.schema(column[4]); err != nil {
		return err
	}
	if t.DetailEntry, err = c.schemaList(column[5]); err != nil {
		return err
	}
	if t.ChangeDetails, err = c.schemaList(column[6]); err != nil {
		return err
	}
	c.byName[t.Name] = len(c.all)
	c.all = append(c.all, t)
	return nil
}

func (t *EventType) setFlags(flags string) error {
	for _, flag := range flags {
		visibility := Visibility("")
		switch flag {
		case 'p':
			visibility = Public
		case 'b':
			visibility = Beta
		case 'i':
			visibility = Internal
		case 'h':
			t.Eligible = true
		case 'o':
			t.IdentityEngineOnly = true
		default:
			return fmt.Errorf("the flag %q is none of p, b, i, h and o", flag)
		}
		if visibility != "" && t.Visibility != "" {
			return fmt.Errorf("the flags %s say both %s and %s", clipped(flags), t.Visibility, visibility)
		}
		t.Visibility = cmp.Or(visibility, t.Visibility)
	}
	if t.Visibility == "" {
		return errors.New("the flags want p, b or i: public, beta or internal")
	}
	return nil
}

// schema finds a schema; "" is none.
func (c *EventTypes) schema(name string) (*Schema, error) {
	s := c.schemas[name]
	if s == nil && name != "" {
		return nil, fmt.Errorf("there is no schema %s above this line", clipped(name))
	}
	return s, nil
}

func (c *EventTypes) schemaList(column string) ([]*Schema, error) {
	names, err := list(column, maxListed)
	if err != nil {
		return nil, err
	}
	var all []*Schema
	for _, name := range names {
		s, err := c.schema(name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// list splits a column of names with commas between them.
func list(column string, most int) ([]string, error) {
	if column == "" {
		return nil, nil
	}
	names := strings.Split(column, ",")
	if len(names) > most {
		return nil, fmt.Errorf("a list of %d names; there may be %d", len(names), most)
	}
	for _, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// checkName wants visible ASCII, which all of Okta's names are.
func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s is not a name: 1 to %d visible ASCII characters, no spaces", clipped(name), maxName)
	}
	return nil
}

// clipped quotes a text of unknown length.
func clipped(text string) string { return fmt.Sprintf("%.60q", text) }
