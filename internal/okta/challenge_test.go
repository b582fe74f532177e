package okta

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// The published handshake: headers as Okta sends them, the answer it accepts.
func TestVerificationHandshake(t *testing.T) {
	b, err := os.ReadFile("testdata/event-hook-verification.http.txt")
	if err != nil {
		t.Fatal(err)
	}
	var challenge, answer, agent string
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case name == HeaderChallenge:
			challenge = value
		case name == "User-Agent":
			agent = value
		case strings.HasPrefix(line, "{"):
			answer = strings.TrimSpace(line)
		}
	}
	if agent != UserAgent || challenge == "" {
		t.Fatalf("agent %q, challenge %q", agent, challenge)
	}
	w := httptest.NewRecorder()
	WriteVerification(w, challenge)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != answer {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if err := CheckVerification(w.Body.Bytes(), challenge); err != nil {
		t.Error(err)
	}
}

func TestCheckVerification(t *testing.T) {
	const challenge = `a"b\c<&>é`
	if err := CheckVerification(AppendVerification(nil, challenge), challenge); err != nil {
		t.Errorf("our own answer: %v", err)
	}
	tests := []struct {
		body, wrong string // wrong: part of the error; empty: none
	}{
		{` {"verification":"c1"} `, ""},
		{`{"ok":true,"verification":"c1","n":[1]}`, ""},
		{``, "not a JSON object"},
		{`c1`, "not a JSON object"},
		{`"c1"`, "not a JSON object"},
		{`<html>`, "not a JSON object"},
		{`{"verification":"c1"}x`, "not a JSON object"},
		{`null`, "no key"},
		{`{}`, "no key"},
		{`{"Verification":"c1"}`, "no key"},
		{`{"verification":"c2"}`, "not the challenge"},
		{`{"verification":" c1"}`, "not the challenge"},
		{`{"verification":null}`, "not the challenge"},
		{`{"verification":["c1"]}`, "not the challenge"},
	}
	for _, tt := range tests {
		err := CheckVerification([]byte(tt.body), "c1")
		if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("%s: %v", tt.body, err)
		}
	}
	if CheckVerification([]byte(`{"verification":""}`), "") == nil {
		t.Error("an empty challenge was answered")
	}
}

// FuzzCheckVerification: every challenge is answered by our own answer, and an
// endpoint's body never by chance.
func FuzzCheckVerification(f *testing.F) {
	f.Add([]byte(`{"verification":"c"}`), "c")
	f.Add([]byte(`{"verification":"\u0000"}`), "\x00")
	f.Fuzz(func(t *testing.T, body []byte, challenge string) {
		valid := strings.ToValidUTF8(challenge, "?")
		if err := CheckVerification(AppendVerification(nil, valid), valid); err != nil && valid != "" {
			t.Fatal(err)
		}
		if CheckVerification(body, challenge) == nil && !strings.Contains(string(body), "verification") && !strings.Contains(string(body), `\u`) {
			t.Fatalf("%q answers %q", body, challenge)
		}
	})
}
