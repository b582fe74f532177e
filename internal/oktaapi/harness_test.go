package oktaapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/reach"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// gateway is the API on a store of its own.
type gateway struct {
	http.Handler
	store *sqlite.Store
	admin *admin.Admin
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(t.TempDir(), "grapnel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	way, err := reach.New(reach.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	g := &gateway{store: store}
	g.admin = admin.New(admin.Options{
		Store: store, Key: secret.GenerateKey(), CheckURL: way.CheckURL, Verify: handshake,
		Changed:   func(context.Context) error { return nil },
		AdminUser: "00u4k8xw1HhTzq2Rm1d7", Rules: admin.GatewayRules(), Catalogue: okta.Catalogue(), Log: log,
	})
	value := "org secret"
	_, err = g.admin.CreateSource(ctx, "acme", admin.SourceSpec{Auth: admin.AuthSpec{Key: "Authorization", Value: &value}})
	if err != nil {
		t.Fatal(err)
	}
	g.Handler = New(Options{Admin: g.admin, Log: log})
	return g
}

// handshake asks a destination that answers a challenge as it should, unless
// its host begins with "broken".
func handshake(_ context.Context, h hook.EventHook) error {
	destination := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "broken") {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		okta.WriteVerification(w, r.Header.Get(okta.HeaderChallenge))
	})
	r := httptest.NewRequest(http.MethodGet, h.Channel.URI, nil)
	r.Header.Set(okta.HeaderChallenge, "challenge")
	w := httptest.NewRecorder()
	destination.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return errors.New("the destination answered 404")
	}
	return okta.CheckVerification(w.Body.Bytes(), "challenge")
}

func (g *gateway) call(method, path string, header http.Header, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://gateway.example"+path, strings.NewReader(body))
	for key, values := range header {
		r.Header[key] = values
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}
