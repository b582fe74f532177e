package oktaapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

var asJSON = http.Header{"Content-Type": {"application/json"}}

func body(name, uri string) string {
	return fmt.Sprintf(`{"name":%q,"events":{"type":"EVENT_TYPE","items":["user.session.start"]},
		"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":%q}}}`, name, uri)
}

const uri = "https://hooks.example.com/okta"

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return v
}

func TestBodyIsBounded(t *testing.T) {
	g := newGateway(t)
	fill := func(n int) string {
		text := body("h", uri)
		return text + strings.Repeat(" ", n-len(text))
	}
	w := g.call(http.MethodPost, hooks, asJSON, fill(MaxBody+1))
	if e := decode[okta.Error](t, w); w.Code != http.StatusBadRequest || e.ErrorCode != okta.CodeValidation {
		t.Errorf("a body over the bound got %d %v", w.Code, &e)
	}
	if w := g.call(http.MethodPost, hooks, asJSON, fill(MaxBody)); w.Code != http.StatusOK {
		t.Errorf("a body as long as the bound got %d %s", w.Code, w.Body)
	}
}

func TestLinksFollowTheWayIn(t *testing.T) {
	g := newGateway(t)
	configured := New(Options{Admin: g.admin, BaseURL: "https://grapnel.initech.example/", Log: slog.Default()})
	for _, c := range []struct {
		name    string
		handler http.Handler
		tls     *tls.ConnectionState
		want    string
	}{
		{"plain", g, nil, "http://10.1.2.3:8081"},
		{"TLS", g, &tls.ConnectionState{}, "https://10.1.2.3:8081"},
		{"configured", configured, nil, "https://grapnel.initech.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, hooks, strings.NewReader(body(c.name, uri)))
			r.Host, r.TLS = "10.1.2.3:8081", c.tls
			w := httptest.NewRecorder()
			c.handler.ServeHTTP(w, r)
			h := decode[struct {
				ID    string
				Links struct{ Self struct{ Href string } } `json:"_links"`
			}](t, w)
			if want := c.want + hooks + "/" + h.ID; h.Links.Self.Href != want {
				t.Errorf("self is %s, want %s", h.Links.Self.Href, want)
			}
		})
	}
}

// A store that cannot serve is our trouble: the caller gets an id by which the
// log tells more.
func TestInternalErrorIsLogged(t *testing.T) {
	g := newGateway(t)
	var log bytes.Buffer
	api := New(Options{Admin: g.admin, Log: slog.New(slog.NewTextHandler(&log, nil))})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		logged bool
	}{
		{"a caller that has gone", gone, false},
		{"a closed store", context.Background(), true},
	} {
		if c.logged {
			if err := g.store.Close(); err != nil {
				t.Fatal(err)
			}
		}
		log.Reset()
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, hooks, nil).WithContext(c.ctx))
		e := decode[okta.Error](t, w)
		if w.Code != http.StatusInternalServerError || e.ErrorCode != okta.CodeInternal || len(e.ErrorCauses) != 0 {
			t.Errorf("%s: answered %d %v", c.name, w.Code, &e)
		}
		if strings.Contains(log.String(), e.ErrorID) != c.logged {
			t.Errorf("%s: the log says %q", c.name, &log)
		}
	}
}

// Two people who replace one hook at once leave what one of them wrote, and
// nothing in between; each is told what he wrote.
func TestConcurrentReplace(t *testing.T) {
	g := newGateway(t)
	h := decode[okta.EventHook](t, g.call(http.MethodPost, hooks, asJSON, body("start", uri)))
	path := hooks + "/" + h.ID
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprintf("writer %d", i)
			for range 10 {
				w := g.call(http.MethodPut, path, asJSON, body(name, "https://hooks.example.com/"+fmt.Sprint(i)))
				got := decode[okta.EventHook](t, w)
				if w.Code != http.StatusOK || got.Name != name || !strings.HasSuffix(got.Channel.Config.URI, fmt.Sprint(i)) {
					t.Errorf("%s was told %d %s", name, w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
	left := decode[okta.EventHook](t, g.call(http.MethodGet, path, nil, ""))
	if _, n, _ := strings.Cut(left.Name, " "); "https://hooks.example.com/"+n != left.Channel.Config.URI {
		t.Errorf("%q was left with the URI of another: %s", left.Name, left.Channel.Config.URI)
	}
}

func TestConcurrentCreateOfOneName(t *testing.T) {
	g := newGateway(t)
	codes := make([]int, 8)
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() { codes[i] = g.call(http.MethodPost, hooks, asJSON, body("same", uri)).Code })
	}
	all.Wait()
	made := 0
	for _, code := range codes {
		if code == http.StatusOK {
			made++
		} else if code != http.StatusBadRequest {
			t.Errorf("answered %d", code)
		}
	}
	if list := decode[[]okta.EventHook](t, g.call(http.MethodGet, hooks, nil, "")); made != 1 || len(list) != 1 {
		t.Errorf("%d were told that they made it, and %d hooks are there; want one", made, len(list))
	}
}
