package receive

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// TestAFloodOfHandshakesIsNoFloodOfWrites has anybody repeat the handshake, as
// nobody needs a secret for it: each is answered, and few are kept.
func TestAFloodOfHandshakesIsNoFloodOfWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []hook.SecretState
		r := New(Options{
			Challenged: func(_ context.Context, _ string, c hook.Challenge) { kept = append(kept, c.Secret) },
			Log:        slog.New(slog.DiscardHandler),
		})
		r.SetSources([]*Source{{Source: hook.Source{Name: "acme", Number: 1}, Auth: hook.SourceAuth{Key: "Authorization", Value: "right"}}})
		mux := http.NewServeMux()
		r.Register(mux)
		shake := func(secret string) {
			t.Helper()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/in/acme", nil)
			req.Header.Set(okta.HeaderChallenge, "c")
			req.Header.Set("Authorization", secret)
			answer := httptest.NewRecorder()
			if mux.ServeHTTP(answer, req); answer.Code != http.StatusOK {
				t.Fatalf("answered %d", answer.Code)
			}
		}
		for range 1000 {
			shake("wrong")
			time.Sleep(10 * time.Millisecond)
		}
		shake("right")
		time.Sleep(time.Second)
		shake("wrong")
		time.Sleep(time.Minute)
		shake("wrong")
		want := []hook.SecretState{hook.SecretWrong, hook.SecretRight, hook.SecretWrong, hook.SecretWrong}
		if len(kept) != len(want) || kept[1] != hook.SecretRight {
			t.Errorf("kept %v, want %v", kept, want)
		}
	})
}
