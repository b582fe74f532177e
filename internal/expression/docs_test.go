package expression

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var fenced = regexp.MustCompile("(?ms)^```(\\w+) (\\w+)\n(.*?)^```$")

// TestUsersPage runs what docs/expressions.md says: a block marked "json event" or "json inline" is a document, one
// marked "<dialect> <outcome>" holds an expression a line.
func TestUsersPage(t *testing.T) {
	documents := map[string]string{}
	run := map[string]int{}
	for _, block := range fenced.FindAllStringSubmatch(read(t, "../../docs/expressions.md"), -1) {
		language, outcome, text := block[1], block[2], block[3]
		if language == "json" {
			documents[outcome] = text
			continue
		}
		d, document := Gateway, documents["event"]
		switch language {
		case "okta":
			d = Okta
		case "inline":
			d, document = Inline, documents["inline"]
		case "gateway":
		default:
			t.Errorf("no such dialect: %s", language)
		}
		for source := range strings.Lines(text) {
			source = strings.TrimSpace(source)
			run[language+" "+outcome]++
			p, err := Compile(source, d)
			if refused := errors.As(err, new(*SyntaxError)); refused || outcome == "refused" {
				if outcome != "refused" || !refused {
					t.Errorf("%s %s: %s: %v", language, outcome, source, err)
				}
				continue
			}
			if got := judge(p, document); got.want != outcome {
				t.Errorf("%s is a %s %s, not a %s", source, got.want, got.message, outcome)
			}
			for _, w := range p.Warnings() {
				if w.Kind == UnknownField {
					t.Errorf("%s: %v", source, w)
				}
			}
		}
	}
	for _, kind := range []string{"okta match", "okta miss", "okta refused", "gateway match", "gateway miss", "gateway error", "inline match"} {
		if run[kind] == 0 {
			t.Errorf("the page has no example of kind %q; found %v", kind, run)
		}
	}
}

func TestUsersPageQuotesFaithfully(t *testing.T) {
	page := read(t, "../../docs/expressions.md")
	_, err := Compile("event.target.type eq 'User'", Okta)
	refusal := err.(*SyntaxError)
	if want := "```text\n" + refusal.Error() + "\n" + refusal.Pointer() + "\n```"; !strings.Contains(page, want) {
		t.Errorf("the page does not have\n%s", want)
	}
	for bound, phrase := range map[int]string{
		MaxSource:         "8,192 bytes",
		MaxDepth:          "64 levels",
		MaxDocument >> 20: "32 MiB",
		MaxDocumentDepth:  "256 levels",
		MaxDocumentValues: "1,048,576 values",
		MaxSteps:          "200,000 steps",
		exponentDigits:    "17 digits",
	} {
		number, _, _ := strings.Cut(phrase, " ")
		if strings.ReplaceAll(number, ",", "") != strconv.Itoa(bound) || !strings.Contains(page, phrase) {
			t.Errorf("the bound %d is not on the page as %s", bound, phrase)
		}
	}
}

// TestUsersPageNamesTheTables: no method and no field of Okta's table is missing from the page.
func TestUsersPageNamesTheTables(t *testing.T) {
	page := read(t, "../../docs/expressions.md")
	for _, m := range gatewayTable.methods {
		if !strings.Contains(page, "`"+m.name+"(") {
			t.Errorf("the page does not name the method %s", m.name)
		}
	}
	for _, path := range oktaTable.shape.readable("event") {
		field := path[strings.LastIndexByte(path, '.'):]
		if !strings.Contains(page, "`"+path+"`") && !strings.Contains(page, "`"+field+"`") {
			t.Errorf("the page does not name %s", path)
		}
	}
}
