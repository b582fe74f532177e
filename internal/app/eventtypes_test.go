package app

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEventTypesOfAFile: a newer list takes the place of the one in the binary,
// in the API and in the warnings about a hook's types.
func TestEventTypesOfAFile(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	options := Options{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", AdminToken: "token",
		Store: "sqlite:" + filepath.Join(dir, "grapnel.db"), Log: slog.New(slog.DiscardHandler),
		EventTypes: filepath.Join(dir, "event-types.tsv"),
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(options.EventTypes, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("release\t2026.09.0\ntype\tuser.new\tph\ntype\tuser.odd\tx\n")
	if _, err := New(ctx, options); err == nil || !strings.Contains(err.Error(), options.EventTypes+": line 3: type user.odd") {
		t.Fatalf("with a bad file: %v", err)
	}
	write("release\t2026.09.0\ntype\tuser.new\tph\n")
	a, err := New(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop(ctx)
	if err := a.Start(ctx); err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, "http://"+a.AdminAddr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer token")
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s, %v", method, path, answer.StatusCode, text, err)
		}
		return string(text)
	}
	if got := call(http.MethodGet, "/v1/event-types", ""); strings.Count(got, `"type":`) != 1 || !strings.Contains(got, "user.new") {
		t.Errorf("listed: %s", got)
	}
	hook := call(http.MethodPost, "/api/v1/eventHooks", `{"name":"a","events":{"type":"EVENT_TYPE","items":["user.new","user.session.start"]},
		"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":"https://siem.example.com/"}}}`)
	if strings.Contains(hook, "no event type user.new") || !strings.Contains(hook, "Okta's release 2026.09.0 has no event type user.session.start") {
		t.Errorf("warned: %s", hook)
	}
}
