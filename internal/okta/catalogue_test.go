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
	if !e.MayHaveChangeDetails() || e.DebugDataSchema != "SystemDebugData" || !slices.Equal(e.TargetSchemas, []string{"PolicyResourceDetails"}) {
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

func TestParseCatalogueErrors(t *testing.T) {
	for _, tt := range []struct{ tsv, want string }{
		{"a\tp\t\t\t\t\n", "seven columns"},
		{"\tp\t\t\t\t\t\n", "seven columns"},
		{"a\tpx\t\t\t\t\t\n", "unknown flag"},
		{"a\th\t\t\t\t\t\n", "no visibility"},
		{"a\tp\t\t\t\t\t\na\tp\t\t\t\t\t\n", "twice"},
	} {
		if _, err := parseCatalogue(tt.tsv); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.tsv, err)
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
