package okta

import (
	"slices"
	"strings"
	"testing"
)

// The counts of release 2026.08.1.
func TestCatalogueCounts(t *testing.T) {
	c := Catalogue()
	count := map[string]int{}
	names := make([]string, 0, c.Len())
	for e := range c.All() {
		names = append(names, e.Name)
		count[string(e.Visibility)]++
		if e.Eligible {
			count["eligible "+string(e.Visibility)]++
		}
		if e.IdentityEngineOnly {
			count["identity engine"]++
		}
		if e.MayHaveChangeDetails() {
			count["change details"]++
		}
		if got, ok := c.Lookup(e.Name); !ok || got.Name != e.Name {
			t.Errorf("%s is not found", e.Name)
		}
	}
	for what, want := range map[string]int{
		"public": 1178, "beta": 83, "internal": 13,
		"eligible public": 264, "eligible beta": 50, "eligible internal": 0,
		"identity engine": 63, "change details": 61,
	} {
		if count[what] != want {
			t.Errorf("%s: %d, want %d", what, count[what], want)
		}
	}
	if c.Release() != "2026.08.1" {
		t.Errorf("release %s", c.Release())
	}
	if c.Len() != 1274 || len(names) != 1274 || !slices.IsSorted(names) {
		t.Errorf("%d types, sorted %v", c.Len(), slices.IsSorted(names))
	}
	for range c.All() {
		break
	}
}

func TestCatalogueLookup(t *testing.T) {
	c := Catalogue()
	e, ok := c.Lookup("user.account.unlock_by_admin")
	if !ok || !e.Eligible || e.Visibility != Public || e.Category != "passwordless" || e.Label() != "user / account / unlock by admin" {
		t.Errorf("%+v, %q", e, e.Label())
	}
	e, _ = c.Lookup("policy.lifecycle.update")
	if !e.MayHaveChangeDetails() || e.DebugData.Name != "SystemDebugData" || len(e.DetailEntry) != 1 || e.DetailEntry[0].Name != "PolicyResourceDetails" {
		t.Errorf("%+v", e)
	}
	for name, want := range map[string]bool{
		"user.authentication.auth_via_IDP": true,
		"user.authentication.auth_via_idp": false,
		"event_hook.delivery":              false,
		"inline_hook.executed":             true,
		"policy.lifecycle.create":          false,
		"no.such.type":                     false,
		"":                                 false,
	} {
		if c.Eligible(name) != want {
			t.Errorf("%q: eligible %v", name, !want)
		}
	}
}

// A schema has the 25 fields that all debugData has, and its own.
func TestCatalogueSchemas(t *testing.T) {
	fields := func(s *Schema) map[string]string {
		all := map[string]string{}
		for f := range s.Fields() {
			if all[f.Name] != "" {
				t.Errorf("%s has %s twice", s.Name, f.Name)
			}
			all[f.Name] = f.Kind
		}
		return all
	}
	e, _ := Catalogue().Lookup("access.request.create")
	if debug := fields(e.DebugData); len(debug) != 47 || debug["requestUri"] != "string" || debug["oagApp"] != "boolean" || debug["accessRequestId"] != "string" {
		t.Errorf("%d: %v", len(debug), debug)
	}
	e, _ = Catalogue().Lookup("access.request.condition.update")
	if change := fields(e.ChangeDetails[0]); change["priority"] != "integer" || change["accessScopeSettings"] != "object" {
		t.Errorf("%v", change)
	}
	// Okta declares some without any.
	e, _ = Catalogue().Lookup("zone.update")
	if detail := fields(e.DetailEntry[0]); e.DetailEntry[0].Name != "ResourceDetails" || len(detail) != 0 {
		t.Errorf("%v", detail)
	}
	total, named := 0, map[*Schema]bool{}
	for e := range Catalogue().All() {
		if e.DebugData != nil {
			named[e.DebugData] = true
		}
		for _, s := range slices.Concat(e.DetailEntry, e.ChangeDetails) {
			named[s] = true
		}
	}
	for s := range named {
		total += len(fields(s))
	}
	if len(named) != 296 || total != 4668 {
		t.Errorf("%d schemas are named, with %d fields", len(named), total)
	}
	for f := range e.DebugData.Fields() {
		if f.Name == "anonymizerStatus" {
			break
		}
	}
}

func TestSelect(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		q    EventTypeQuery
		want int // -1: any
		has  string
		not  string
	}{
		{EventTypeQuery{}, 1274, "zone.update", ""},
		{EventTypeQuery{Eligible: &yes}, 314, "user.session.start", "zone.update"},
		{EventTypeQuery{Eligible: &no}, 960, "zone.update", "user.session.start"},
		{EventTypeQuery{Words: "AUTH_VIA_IDP"}, 1, "user.authentication.auth_via_IDP", ""},
		{EventTypeQuery{Words: " admin\tunlock by "}, 1, "user.account.unlock_by_admin", ""},
		{EventTypeQuery{Words: "user.session"}, -1, "user.session.end", "user.account.lock"},
		{EventTypeQuery{Words: "session", Category: "essential-security"}, 0, "", "user.session.end"},
		{EventTypeQuery{Category: "essential-security"}, 20, "zone.update", "user.session.end"},
		{EventTypeQuery{Category: "core"}, 2, "", ""}, // not core-identity's
		{EventTypeQuery{Category: "Essential-Security"}, 0, "", ""},
		{EventTypeQuery{Words: "nothing has this"}, 0, "", ""},
	} {
		got := map[string]bool{}
		selected := Catalogue().Select(tt.q)
		for _, e := range selected {
			got[e.Name] = true
		}
		if tt.want >= 0 && len(got) != tt.want || tt.has != "" && !got[tt.has] || got[tt.not] {
			t.Errorf("%+v: %d types: %v", tt.q, len(got), got)
		}
		if !slices.IsSortedFunc(selected, func(a, b EventType) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%+v: not sorted", tt.q)
		}
	}
}

func BenchmarkParseCatalogue(b *testing.B) {
	for b.Loop() {
		if _, err := parseCatalogue(eventTypesTSV); err != nil {
			b.Fatal(err)
		}
	}
}
