package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var someRows = []row{
	{"id": "1", "type": "user.session.start", "state": "dead", "n": json.Number("12"), "at": "2026-01-31"},
	{"id": "22", "type": "user.mfa.factor.deactivate", "state": "delivered"},
}

var someColumns = []column{{"ID", "id", false}, {"TYPE", "type", true}, {"STATE", "state", false}, {"N", "n", false}, {"AT", "at", false}}

func TestTable(t *testing.T) {
	for width, want := range map[int]string{
		0: `
ID  TYPE                        STATE      N   AT
1   user.session.start          dead       12  2026-01-31
22  user.mfa.factor.deactivate  delivered`,
		50: `
ID  TYPE                 STATE      N   AT
1   user.session.start   dead       12  2026-01-31
22  user.mfa.factor.de…  delivered`,
		// What a column left out gives back, the texts get.
		38: `
ID  TYPE                 STATE      N
1   user.session.start   dead       12
22  user.mfa.factor.de…  delivered`,
		30: `
ID  TYPE             STATE
1   user.session.s…  dead
22  user.mfa.facto…  delivered`,
		27: `
ID  TYPE          STATE
1   user.sessio…  dead
22  user.mfa.fa…  delivered`,
		1: `
ID
1
22`,
	} {
		var got bytes.Buffer
		s := screen{Writer: &got, width: width}
		if err := s.table(someRows, someColumns); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[1:]+"\n", got.String()); diff != "" {
			t.Errorf("width %d: %s", width, diff)
		}
	}
}

func TestColourDoesNotMoveColumns(t *testing.T) {
	var plain, painted bytes.Buffer
	if err := (&screen{Writer: &plain, width: 60}).table(someRows, someColumns); err != nil {
		t.Fatal(err)
	}
	if err := (&screen{Writer: &painted, width: 60, colour: true}).table(someRows, someColumns); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(painted.String(), "\x1b[31mdead\x1b[0m") {
		t.Errorf("no colour in %q", painted.String())
	}
	bare := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(painted.String())
	if diff := cmp.Diff(plain.String(), bare); diff != "" {
		t.Error(diff)
	}
}

func FuzzTableFits(f *testing.F) {
	f.Add("user.session.start", "caf\xe9 \x1b[2J\u009b", 20)
	f.Add("", strings.Repeat("é", 100), 3)
	f.Fuzz(func(t *testing.T, a, b string, width int) {
		width = max(1, min(width, 500))
		var got bytes.Buffer
		s := screen{Writer: &got, width: width}
		if err := s.table([]row{{"id": "1", "type": a, "state": b}}, someColumns); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(got.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width && n > narrowest {
				t.Errorf("%d wide, not %d: %q", n, width, line)
			}
		}
		if strings.ContainsAny(got.String(), "\x1b\u009b") || strings.Count(got.String(), "\n") != 2 {
			t.Errorf("controls the terminal: %q", got.String())
		}
	})
}
