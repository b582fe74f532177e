package access

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const token = "s3cret-token"

var admin = Principal{Name: "admin"}

func tokens(t *testing.T) *Tokens {
	t.Helper()
	tokens, err := New(token, admin, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []string
		ok     bool
	}{
		{"Okta's scheme", []string{"SSWS " + token}, true},
		{"bearer", []string{"Bearer " + token}, true},
		{"schemes ignore case", []string{"bearer " + token}, true},
		{"several spaces, as RFC 9110 lets clients send", []string{"SSWS  " + token}, true},
		{"nothing", nil, false},
		{"empty", []string{""}, false},
		{"scheme alone", []string{"SSWS"}, false},
		{"empty token", []string{"SSWS "}, false},
		{"no scheme", []string{token}, false},
		{"another scheme", []string{"Basic " + token}, false},
		{"tokens do not ignore case", []string{"SSWS " + strings.ToUpper(token)}, false},
		{"the beginning of the token", []string{"SSWS " + token[:5]}, false},
		{"the token and more", []string{"SSWS " + token + "x"}, false},
		{"two, of which one is right", []string{"SSWS " + token, "SSWS other"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/v1/sources", nil)
			r.Header["Authorization"] = c.header
			var want Principal
			if c.ok {
				want = admin
			}
			if who, ok := tokens(t).Check(r); ok != c.ok || who != want {
				t.Errorf("let in: %v as %v, want %v as %v", ok, who, c.ok, want)
			}
		})
	}
}

func TestNewRefusesTokensThatFitNoHeader(t *testing.T) {
	for _, bad := range []string{"", "two words", "line\n", "schlüssel", strings.Repeat("x", 4097)} {
		if _, err := New(bad, admin, slog.Default()); err == nil {
			t.Errorf("the token %q was accepted", bad)
		}
	}
}

func TestNewTokenIsUsable(t *testing.T) {
	a, b := NewToken(), NewToken()
	if a == b || len(a) != 43 {
		t.Errorf("tokens %q and %q: want two different ones of 43 characters", a, b)
	}
	if _, err := New(a, admin, slog.Default()); err != nil {
		t.Error(err)
	}
}

func TestGuard(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	guard := tokens(t).Guard(served)
	for _, c := range []struct {
		path, kind string
		members    []string
	}{
		{"/api/v1/eventHooks", "application/json", []string{"errorCode", "errorSummary", "errorLink", "errorId", "errorCauses"}},
		{"/v1/sources", "application/problem+json", []string{"title", "status", "detail"}},
		{"/metrics", "application/problem+json", []string{"title", "status", "detail"}},
	} {
		t.Run(c.path, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			w := httptest.NewRecorder()
			guard.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized || w.Header().Get("Content-Type") != c.kind {
				t.Errorf("answered %d %s, want 401 %s", w.Code, w.Header().Get("Content-Type"), c.kind)
			}
			if len(w.Header().Values("Www-Authenticate")) != 2 {
				t.Errorf("schemes named: %q, want two", w.Header().Values("Www-Authenticate"))
			}
			var body map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			for _, m := range c.members {
				if body[m] == nil {
					t.Errorf("the body has no %s: %s", m, w.Body)
				}
			}
			if c.kind == "application/json" && body["errorCode"] != "E0000011" {
				t.Errorf("errorCode %v, want E0000011", body["errorCode"])
			}

			r.Header.Set("Authorization", "SSWS "+token)
			w = httptest.NewRecorder()
			guard.ServeHTTP(w, r)
			if w.Code != http.StatusTeapot {
				t.Errorf("with the token answered %d, want the handler's", w.Code)
			}
		})
	}
}
