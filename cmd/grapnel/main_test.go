package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/grapnel-hooks/grapnel/internal/app"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"grapnel": main})
}

// Each script under testdata runs against a gateway of its own with the same
// past; see history.
func TestScripts(t *testing.T) {
	if files, err := filepath.Glob("testdata/*.txtar"); err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	past := tell(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			file := filepath.Join(t.TempDir(), "grapnel.db")
			if err := os.WriteFile(file, past.store, 0o600); err != nil {
				return err
			}
			gateway, c, err := past.start(file)
			if err != nil {
				return err
			}
			env.Defer(func() { gateway.Stop(context.Background()) })
			// The same past once more, which nobody serves from.
			if err := os.WriteFile(filepath.Join(env.WorkDir, "past.db"), past.store, 0o600); err != nil {
				return err
			}
			env.Setenv("STORE", file)
			env.Setenv("GRAPNEL_URL", c.base)
			env.Setenv("GRAPNEL_TOKEN", c.token)
			for name, value := range past.names {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"expand": expand, "sql": damage},
	})
}

// expand FILE puts the values of environment variables into a file.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(file, []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o600))
}

// sql FILE STATEMENT changes what is in a store.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := driver.OpenConn(ts.MkAbs(args[0]), driver.OpenReadWrite)
	ts.Check(err)
	ts.Check(sqlitex.ExecuteTransient(conn, args[1], nil))
	ts.Check(conn.Close())
}

// TestExitCodes: 0 fine, 1 failed, 2 wrong usage.
func TestExitCodes(t *testing.T) {
	t.Setenv("GRAPNEL_URL", "http://127.0.0.1:1")
	t.Setenv("GRAPNEL_TOKEN", "token")
	dir := t.TempDir()
	for _, test := range []struct {
		want int
		args []string
	}{
		{exitFailed, []string{"events", "list"}},
		{exitUsage, []string{"event"}},
		{exitUsage, []string{"events"}},
		{exitUsage, []string{"events", "list", "--limit", "0"}},
		{exitUsage, []string{"events", "list", "--since", "yesterday"}},
		{exitUsage, []string{"events", "list", "--output", "xml"}},
		{exitUsage, []string{"events", "list", "--url", "localhost"}},
		{exitUsage, []string{"events", "replay"}},
		{exitUsage, []string{"deliveries", "list", "--state", "lost"}},
		{exitUsage, []string{"deliveries", "replay"}},
		{exitUsage, []string{"hooks", "create", "-f", "no-such-file"}},
		{exitUsage, []string{"hooks", "create", "-f", "main.go"}},
		{exitFine, []string{"event-types", "unlock"}},
		{exitUsage, []string{"event-types", "get"}},
		{exitFailed, []string{"event-types", "get", "unlock"}},
		{exitFailed, []string{"serve", "--store", "sqlite:" + dir + "/grapnel.db", "--event-types", dir + "/none"}},
		{exitUsage, []string{"serve", "--retention", "1s"}},
		{exitUsage, []string{"serve", "--public-url", "hooks.example.com"}},
		{exitUsage, []string{"serve", "--store", "grapnel.db"}},
		{exitUsage, []string{"serve", "--store", "sqlite:" + dir}},
		{exitUsage, []string{"serve", "--store", "sqlite:" + dir + "/grapnel.db", "--allow-destination", "everywhere"}},
		{exitUsage, []string{"serve", "--store", "sqlite:" + dir + "/grapnel.db", "--egress-proxy", "proxy"}},
		{exitUsage, []string{"store", "copy", "sqlite:a.db"}},
		{exitUsage, []string{"store", "copy", "a.db", "sqlite:b.db"}},
		{exitUsage, []string{"store", "copy", "sqlite:a.db", "sqlite:a.db"}},
		{exitFailed, []string{"store", "copy", "sqlite:" + dir + "/none.db", "sqlite:" + dir + "/b.db"}},
		{exitUsage, []string{"store", "backup", "sqlite:a.db"}},
		{exitUsage, []string{"store", "backup", "a.db", "b.db"}},
		{exitUsage, []string{"store", "backup", "sqlite:a.db", "sqlite:b.db"}},
		{exitUsage, []string{"store", "backup", "postgres://db/grapnel", "b.db"}},
		{exitUsage, []string{"store", "backup", "sqlite:a.db", ""}},
		{exitFailed, []string{"store", "backup", "sqlite:" + dir + "/none.db", dir + "/b.db"}},
		{exitUsage, []string{"store", "restore", "postgres://db/grapnel", "sqlite:b.db"}},
		{exitUsage, []string{"store", "restore", "a.db", "postgres://db/grapnel"}},
		{exitFailed, []string{"store", "restore", dir + "/none.db", "sqlite:" + dir + "/b.db"}},
		{exitUsage, []string{"store", "check"}},
		{exitUsage, []string{"store", "check", "grapnel.db"}},
		{exitFailed, []string{"store", "check", "sqlite:" + dir + "/none.db"}},
		{exitFailed, []string{"serve", "--store", "sqlite:" + dir + "/grapnel.db", "--secret-key", "short"}},
		{exitFailed, []string{"serve", "--store", "sqlite:" + dir + "/grapnel.db", "--listen", "nowhere"}},
	} {
		if got := run(t.Context(), test.args); got != test.want {
			t.Errorf("grapnel %v: exit code %d, want %d", test.args, got, test.want)
		}
	}
}

// history is the past of a gateway: three event hooks, GOOD, DOWN and HELD, of
// which DOWN is not active and HELD is on hold, and two events. It is told before the first script runs,
// as a child process that is just being forked would hold the store's lock.
type history struct {
	key    string
	store  []byte            // the whole file
	names  map[string]string // that the scripts use; see tell
	number map[string]int64
	tag    uint32
}

// tell makes the past that every script begins with. The names: GOOD, DOWN and
// HELD, the hooks' ids; DEAD and WAITING, deliveries to DOWN; EVENT, the id of
// the later event; DESTINATION, a URL that answers Okta's handshake.
func tell(t *testing.T) *history {
	destination := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"verification":"` + r.Header.Get("X-Okta-Verification-Challenge") + `"}`))
	}))
	t.Cleanup(destination.Close)
	h := &history{
		key: secret.GenerateKey().Encode(), number: map[string]int64{},
		names: map[string]string{"DESTINATION": destination.URL},
	}
	file := filepath.Join(t.TempDir(), "grapnel.db")
	gateway, c, err := h.start(file)
	if err != nil {
		t.Fatal(err)
	}
	err = h.configure(c)
	gateway.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.events(file); err != nil {
		t.Fatal(err)
	}
	if h.store, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	return h
}

// start runs a gateway.
func (h *history) start(file string) (*app.App, *client, error) {
	ctx := context.Background()
	gateway, err := app.New(ctx, app.Options{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Store: "sqlite:" + file, SecretKey: h.key,
		PublicURL: "https://hooks.example.com", AllowHTTP: true, AllowDestination: []string{"127.0.0.0/8"},
		Version: "test", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	if err := gateway.Start(ctx); err != nil {
		gateway.Stop(ctx)
		return nil, nil, err
	}
	return gateway, &client{base: "http://" + gateway.AdminAddr().String(), token: gateway.Token()}, nil
}

func (h *history) configure(c *client) error {
	ctx := context.Background()
	source := map[string]any{"name": "acme", "auth": map[string]any{"key": "Authorization", "value": "s3cret"}}
	if _, _, err := c.object(ctx, http.MethodPost, sourcesPath, source); err != nil {
		return err
	}
	for _, name := range []string{"GOOD", "DOWN", "HELD"} {
		created, _, err := c.object(ctx, http.MethodPost, hooksPath, map[string]any{
			"name":     name,
			"events":   map[string]any{"type": "EVENT_TYPE", "items": []string{"user.session.start", "user.session.end"}},
			"channel":  map[string]any{"type": "HTTP", "version": "1.0.0", "config": map[string]any{"uri": h.names["DESTINATION"]}},
			"delivery": map[string]any{"verification": "none"},
		})
		if err != nil {
			return err
		}
		h.names[name] = created.text("id")
	}
	_, err := c.do(ctx, http.MethodPost, hookPath(h.names["DOWN"])+"/lifecycle/deactivate", nil, nil)
	return err
}

// events keeps two events and what became of them, straight in the store.
func (h *history) events(file string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: file})
	if err != nil {
		return err
	}
	defer s.Close()
	hooks, revision, err := s.EventHooks(ctx)
	if err != nil {
		return err
	}
	for _, one := range hooks {
		h.number[one.Name] = one.Number
	}
	if _, err := s.Hold(ctx, h.number["HELD"], hook.ReasonGone, time.Now(), time.Time{}); err != nil {
		return err
	}
	h.tag = s.Identity().Tag
	for _, e := range []store.Event{
		{Hooks: []int64{h.number["GOOD"], h.number["DOWN"]}, Event: hook.Event{UUID: "3f8b2c4e-0000-11f1-9d7a-000000000001", Type: "user.session.start"}},
		{Hooks: []int64{h.number["DOWN"]}, Event: hook.Event{UUID: "3f8b2c4e-0000-11f1-9d7a-000000000002", Type: "user.session.end"}},
	} {
		e.Source, e.Published = 1, time.Now()
		e.JSON = []byte(`{"uuid":"` + e.UUID + `","eventType":"` + e.Type + `","displayMessage":"\u001b[2J` + "\u009b" + `","n":1e999}`)
		if _, err := s.Commit(ctx, &store.Group{Received: time.Now(), Revision: revision, Events: []*store.Event{&e}}); err != nil {
			return err
		}
		h.names["WAITING"] = hook.Key{Hook: h.number["DOWN"], Seq: e.Seq}.ID(h.tag)
		h.names["EVENT"] = e.Seq.String()
	}
	if err := h.settle(s, "GOOD", hook.Delivered); err != nil {
		return err
	}
	return h.settle(s, "DOWN", hook.Dead)
}

func (h *history) settle(s *sqlite.Store, name string, state hook.State) error {
	ctx, now := context.Background(), time.Now()
	claims, _, err := s.Claim(ctx, h.number[name], now, 1, 1, time.Minute)
	if err != nil {
		return err
	}
	o := store.Outcome{Key: claims[0].Key, Epoch: claims[0].Epoch, State: state, Attempt: &hook.Attempt{At: now, Duration: time.Second, Status: 200}}
	if state == hook.Dead {
		h.names["DEAD"] = o.ID(h.tag)
		o.Reason, o.Attempt.Status, o.Attempt.Reason = hook.ReasonExhausted, 503, hook.ReasonStatus
		o.Response = &hook.Response{Status: 503, Headers: []hook.Header{{Key: "Server", Value: "tired"}}, Body: []byte("no\x1b[2J\nnever")}
	}
	_, err = s.Settle(ctx, []store.Outcome{o})
	return err
}
