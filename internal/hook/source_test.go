package hook

import (
	"reflect"
	"strings"
	"testing"
)

func TestSourceNames(t *testing.T) {
	for _, name := range []string{"a", "0", "acme", "acme-prod-2", "a--b", strings.Repeat("a", 63), OwnSource} {
		if !ValidSourceName(name) {
			t.Errorf("%q may not name a source", name)
		}
	}
	for _, name := range []string{"", "-", "-a", "a-", "Acme", "a.b", "a_b", "a b", "a/b", "ł", "a\n", "\na", "a\x00", strings.Repeat("a", 64)} {
		if ValidSourceName(name) {
			t.Errorf("%q may name a source", name)
		}
	}
}

// TestSourceCountAddsEverything fails when a field is added and Add forgets it.
func TestSourceCountAddsEverything(t *testing.T) {
	var one, sum SourceCount
	fields := reflect.ValueOf(&one).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetInt(int64(i + 1))
	}
	sum.Add(one)
	sum.Add(one)
	for i := range fields.NumField() {
		if got := reflect.ValueOf(sum).Field(i).Int(); got != 2*int64(i+1) {
			t.Errorf("%s is %d, want %d", fields.Type().Field(i).Name, got, 2*(i+1))
		}
	}
}
