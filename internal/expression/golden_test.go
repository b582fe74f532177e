package expression

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the lower halves of testdata/refused and testdata/warned")

const dashes = "\n----\n"

// pair is a file of testdata: an expression, a line of dashes, what is expected of it. Adding a file adds a test.
type pair struct {
	file, expression, expected string
	dialect                    Dialect
}

// pairs reads testdata/<kind>/<dialect>/*.txt for all dialects.
func pairs(t testing.TB, kind string) []pair {
	t.Helper()
	var all []pair
	for _, d := range []Dialect{Okta, Gateway, Inline} {
		files, err := filepath.Glob(filepath.Join("testdata", kind, d.String(), "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			expression, expected, ok := strings.Cut("\n"+string(raw), dashes)
			if !ok {
				t.Fatalf("%s has no line of dashes", file)
			}
			all = append(all, pair{file, strings.TrimPrefix(expression, "\n"), expected, d})
		}
	}
	if len(all) == 0 {
		t.Fatalf("there is no file in testdata/%s", kind)
	}
	return all
}

// verdict is a line of the lower half of a file in testdata/match: "match", "miss" or "error", a document and,
// for an error, " => " and the message.
type verdict struct{ want, document, message string }

func (p pair) verdicts(t testing.TB) []verdict {
	t.Helper()
	var all []verdict
	for line := range strings.Lines(p.expected) {
		want, document, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		v := verdict{want: want, document: document}
		if want == "error" {
			v.document, v.message, _ = strings.Cut(document, " => ")
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no verdict", p.file)
	}
	return all
}

// judge renders the outcome of a Match as verdicts have it.
func judge(p *Program, document string) verdict {
	matches, err := p.Match(NewDocument([]byte(document)))
	v := verdict{want: "miss", document: document}
	switch {
	case err != nil && matches:
		v.want = "both a match and an error"
	case err != nil:
		v.want, v.message = "error", err.Error()
	case matches:
		v.want = "match"
	}
	return v
}

func TestMatch(t *testing.T) {
	for _, pair := range pairs(t, "match") {
		t.Run(pair.file, func(t *testing.T) {
			dialects := []Dialect{pair.dialect}
			if pair.dialect == Okta {
				dialects = append(dialects, Gateway) // which means the same
			}
			for _, d := range dialects {
				p, err := Compile(pair.expression, d)
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range p.Warnings() {
					if pair.dialect == Okta {
						t.Errorf("%v warns: %v", d, w)
					}
				}
				again, err := Compile(p.String(), d)
				if err != nil {
					t.Fatalf("canonical form %s: %v", p, err)
				}
				for _, want := range pair.verdicts(t) {
					if got := judge(p, want.document); got != want {
						t.Errorf("%v dialect, document %s:\n got %s %s\nwant %s %s", d, want.document, got.want, got.message, want.want, want.message)
					}
					if got := judge(again, want.document); got.want != want.want {
						t.Errorf("canonical form %s, document %s: got %s, want %s", again, want.document, got.want, want.want)
					}
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, pair := range pairs(t, "refused") {
		t.Run(pair.file, func(t *testing.T) {
			_, err := Compile(pair.expression, pair.dialect)
			refusal, ok := err.(*SyntaxError)
			if !ok {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			compare(t, pair, refusal.Error()+"\n"+refusal.Pointer()+"\n")
		})
	}
}

func TestWarned(t *testing.T) {
	for _, pair := range pairs(t, "warned") {
		t.Run(pair.file, func(t *testing.T) {
			p, err := Compile(pair.expression, pair.dialect)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, w := range p.Warnings() {
				fmt.Fprintf(&got, "%s\n%s\n%s\n", w.Kind, w, w.Pointer())
			}
			compare(t, pair, got.String())
		})
	}
}

func compare(t *testing.T, pair pair, got string) {
	t.Helper()
	if got == pair.expected {
		return
	}
	if *update {
		if err := os.WriteFile(pair.file, []byte(pair.expression+dashes+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("got\n%s\nwant\n%s", got, pair.expected)
}

// published are expressions that Okta and its users have published (testdata/expressions.json, with their sources).
func published(t testing.TB) (valid, invalid []string) {
	t.Helper()
	var file struct{ Valid, Invalid []struct{ Expression string } }
	raw, err := os.ReadFile("testdata/expressions.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, e := range file.Valid {
		valid = append(valid, e.Expression)
	}
	for _, e := range file.Invalid {
		invalid = append(invalid, e.Expression)
	}
	if len(valid) == 0 || len(invalid) == 0 {
		t.Fatal("testdata/expressions.json is empty")
	}
	return valid, invalid
}

// TestPublishedExamplesAreCovered: each valid one has documents that match and that do not, each invalid one its message.
func TestPublishedExamplesAreCovered(t *testing.T) {
	valid, invalid := published(t)
	verdicts := map[string]string{}
	for _, pair := range pairs(t, "match") {
		for _, v := range pair.verdicts(t) {
			verdicts[pair.expression] += v.want + " "
		}
	}
	for _, e := range valid {
		if got := verdicts[e]; !strings.Contains(got, "match") || !strings.Contains(got, "miss") {
			t.Errorf("no file in testdata/match/okta has both a match and a miss for %s", e)
		}
	}
	refused := map[string]bool{}
	for _, pair := range pairs(t, "refused") {
		refused[pair.expression] = refused[pair.expression] || pair.dialect == Okta
	}
	for _, e := range invalid {
		if !refused[e] {
			t.Errorf("no file in testdata/refused/okta has %q", e)
		}
		if _, err := Compile(e, Gateway); err == nil {
			t.Errorf("the gateway dialect takes %q", e)
		}
	}
}
