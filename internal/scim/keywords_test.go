package scim

import (
	"errors"
	"strings"
	"testing"
)

func TestKeywords(t *testing.T) {
	tests := []struct {
		q    string
		want bool
	}{
		{"", true},
		{" \t ", true},
		{"San Francisco", true},
		{"francisco\u00a0SAN", true},
		{"San Diego", false},
		{"Franc", false},
		{"jane@ACME.example", true},
		{"acme.example", false}, // only white space and hyphens part words
		{"XOxBw", true},
		{"2jirncfd0gg0gjhaaabjy", true},
		{"xoxbw-2JIRnCFd0gG0GjHAAABjY", true},
		{"XOxBw-", false},
		{"8d3a", true},
		{"6a0c-11f1", false},
		{`"JÄN"`, true},
		{"64500 37.5 true", true},
		{"-122", true},
		{"null", false},
		{"eventType", false},
		{"login login Login", true},
	}
	for _, test := range tests {
		k, err := ParseKeywords(test.q)
		if err != nil {
			t.Fatalf("%q: %v", test.q, err)
		}
		if got := k.Match([]byte(signIn)); got != test.want {
			t.Errorf("%q: got %v", test.q, got)
		}
	}
}

func TestAnyWhiteSpacePartsWords(t *testing.T) {
	k, err := ParseKeywords("bay san francisco")
	if err != nil {
		t.Fatal(err)
	}
	for _, city := range []string{"San\u00a0Francisco Bay", `San\nFrancisco  \u2003Bay`, " San Francisco\u3000Bay "} {
		if !k.Match([]byte(`{"city":"` + city + `"}`)) {
			t.Errorf("%q does not match", city)
		}
	}
}

func TestKeywordsAreBounded(t *testing.T) {
	tests := []struct {
		q        string
		position int
		says     string
	}{
		{strings.Repeat("a ", MaxKeywords), 0, ""},
		{strings.Repeat("a ", MaxKeywords) + "a", 20, "more than 10 keywords"},
		{strings.Repeat("ä", MaxKeyword), 0, ""},
		{"ä aa " + strings.Repeat("a", MaxKeyword+1), 5, "longer than 40 characters"},
		{"a \xff", 2, "not UTF-8"},
	}
	for _, test := range tests {
		_, err := ParseKeywords(test.q)
		if test.says == "" {
			if err != nil {
				t.Errorf("%q: %v", test.q, err)
			}
			continue
		}
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Problem != BadKeyword || refusal.Position != test.position || !strings.Contains(refusal.Message, test.says) {
			t.Errorf("%q: got %v", test.q, err)
		}
	}
}
