package scim

import (
	"bytes"
	"errors"
	"testing"
	"unicode/utf8"
)

var seeds = []string{
	`eventType eq "user.session.start" and outcome.result eq "FAILURE"`,
	`not (target.id ne "00u\u00e4" or target.changeDetails.to.x PR)`,
	`securityContext.asNumber ge -1.5e3 and securityContext.isProxy eq true or (device.id eq null)`,
	`debugContext.debugData.x-y_z lt "2026-01-01T00:00:00Z" and request.ipChain.ip sw "1"`,
	`debugContext.debugData.url co "a"`, `target[id eq "a"]`, `a`, `((`,
}

// FuzzParse: a text is a filter, with a form that is the same filter, or is
// refused with a place in the text and a message.
func FuzzParse(f *testing.F) {
	for _, source := range seeds {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		filter, err := Parse(source)
		if err != nil {
			var refusal *Error
			if !errors.As(err, &refusal) || filter != nil || refusal.Message == "" || refusal.Problem == "" ||
				refusal.Position < 0 || refusal.Position > utf8.RuneCountInString(source) || !utf8.ValidString(refusal.Message) || len(refusal.Message) > 800 {
				t.Fatalf("%#v", err)
			}
			return
		}
		form := filter.String()
		if len(form) > MaxLength {
			return // spaces and escapes may be added
		}
		again, err := Parse(form)
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		if again.String() != form {
			t.Fatalf("%s became %s", form, again)
		}
		if again.Match([]byte(signIn)) != filter.Match([]byte(signIn)) {
			t.Fatalf("%s does not mean %s", form, source)
		}
	})
}

// FuzzMatch: an answer for any bytes, the oracle's if they are JSON.
func FuzzMatch(f *testing.F) {
	for _, source := range seeds {
		f.Add(source, []byte(signIn))
	}
	f.Add(`target.id eq "a"`, []byte(`{"target":[[{"id":["a",{"\u0069d":1}]},"\"",],"target":{"id":"\ud800"}}`))
	f.Fuzz(func(t *testing.T, source string, event []byte) {
		filter, err := Parse(source)
		if err != nil {
			return
		}
		before := bytes.Clone(event)
		got := filter.Match(event)
		if !bytes.Equal(before, event) {
			t.Fatal("the event was changed")
		}
		o, ok := decode(event)
		if !ok || !utf8.Valid(event) || bytes.Count(event, []byte("["))+bytes.Count(event, []byte("{")) >= maxDepth {
			return
		}
		if want := o.holds(filter, &filter.root); got != want {
			t.Fatalf("%s: got %v for %s", filter, got, event)
		}
	})
}

// FuzzKeywords is FuzzMatch for keywords.
func FuzzKeywords(f *testing.F) {
	f.Add("san FRANCISCO", []byte(signIn))
	f.Add("a-b \u00a0 1", []byte(`{"a":["A-B",-1,"\u0061\t",tru`))
	f.Fuzz(func(t *testing.T, q string, event []byte) {
		k, err := ParseKeywords(q)
		if err != nil {
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Problem != BadKeyword || refusal.Position > utf8.RuneCountInString(q) {
				t.Fatalf("%#v", err)
			}
			return
		}
		got := k.Match(event)
		o, ok := decode(event)
		if !ok || !utf8.Valid(event) {
			return
		}
		// Of two members with one name the oracle knows but the last.
		if want := hasKeywords(k, o.event); want && !got {
			t.Fatalf("%q: no match for %s", q, event)
		}
	})
}
