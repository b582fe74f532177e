package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/api"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/replay"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// world is the API over a store in which a little of everything has happened.
// In fake time it is the same every time.
type world struct {
	testing.TB
	http.Handler
	store  *sqlite.Store
	number map[string]int64 // of hooks by id, of sources by name
}

const (
	good     = "who00000000000000001" // gets everything
	down     = "who00000000000000002" // answers 503
	inactive = "who00000000000000003"
	deleted  = "who00000000000000004"
	never    = "who00000000000000005" // was never verified
)

func newWorld(t testing.TB) *world {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "grapnel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	log := slog.New(slog.DiscardHandler)
	w := &world{TB: t, store: s, number: map[string]int64{}}
	adm := admin.New(admin.Options{
		Store: s, Key: secret.GenerateKey(), Log: log, Rules: admin.GatewayRules(), Catalogue: okta.Catalogue(),
		Changed: func(context.Context) error { return nil },
	})
	again := replay.New(replay.Options{
		Store: s, Wake: func(int64) {},
		Match: func(_ int64, e *hook.Event) bool { return e.Type == "user.session.start" },
		Compile: func(text string) (replay.Judge, error) {
			if strings.HasPrefix(text, "(") {
				return nil, errors.New("1:1: there is no )")
			}
			return func(e *hook.Event) (bool, error) {
				if strings.Contains(e.Type, "mfa") {
					return false, errors.New("debugContext is null")
				}
				return strings.Contains(e.Type, text), nil
			}, nil
		},
	})
	w.Handler = api.New(api.Options{
		Store: s, Admin: adm, Replay: again, Catalogue: okta.Catalogue(), Tag: 0x67726170, PublicURL: "https://hooks.example.com", Log: log,
	})
	w.fill(adm)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) fill(adm *admin.Admin) {
	ctx, value := w.Context(), "Basic c2VjcmV0"
	acme, err := adm.CreateSource(ctx, "acme", admin.SourceSpec{
		Host: "acme.okta.example", Auth: admin.AuthSpec{Key: "Authorization", Value: &value},
		Headers: []hook.Header{{Key: "X-Tenant", Value: "a secret, too"}},
	})
	w.must(err)
	beta, err := adm.CreateSource(ctx, "beta", admin.SourceSpec{Auth: admin.AuthSpec{Key: "X-Secret", Value: &value}})
	w.must(err)
	_, err = w.store.UpdateSource(ctx, "beta", func(s *hook.Source) error {
		s.Challenge = hook.Challenge{At: time.Now(), Secret: hook.SecretWrong}
		return nil
	})
	w.must(err)
	w.number["acme"], w.number["beta"] = acme.Number, beta.Number
	for _, id := range []string{good, down, inactive, deleted, never} {
		h := hook.EventHook{ID: id, Name: "hook " + id[19:], Status: hook.Active, Verified: id != never, EverVerified: id != never, Created: time.Now()}
		w.must(w.store.CreateEventHook(ctx, &h, func([]hook.EventHook) error { return nil }))
		w.number[id] = h.Number
	}
	w.minutePasses()
	w.commit("acme", []string{good, down, inactive, deleted}, []store.FilterError{{Hook: w.number[never], Detail: "1:7: event.actor is null"}},
		"user.session.start", `{ "uuid":"0001", "big": 12345678901234567890.10, "html": "<b>&\u2028</b>" }`)
	w.commit("acme", []string{good}, nil, "user.mfa.factor.activate", "{\"displayMessage\":\"caf\xe9\"}")
	w.minutePasses()
	w.commit("beta", []string{good, down}, nil, "user.session.end", `{"uuid":"0003"}`)
	w.settleAll(good, hook.Delivered, nil)
	w.settleOne(down, hook.Dead, &hook.Response{
		Status: 503, Headers: []hook.Header{{Key: "Content-Type", Value: "text/plain; charset=utf-8"}}, Body: []byte("down for caf\xc3"),
	})
	w.settleOne(down, hook.Waiting, &hook.Response{Status: 503, Body: []byte{0xff, 0xd8, 0xff}})
	_, err = w.store.UpdateEventHook(ctx, inactive, time.Now(), func(h *hook.EventHook, _ []hook.EventHook) error {
		h.Status = hook.Inactive
		return nil
	})
	w.must(err)
	w.must(w.store.DeleteEventHook(ctx, deleted, time.Now(), func(hook.EventHook) error { return nil }))
	w.minutePasses()
	w.reject("acme", hook.ReasonBadUUID, "element 3 of data.events", []byte(`{"eventType":"user.session.start"}`))
	w.reject("beta", hook.ReasonNotDelivery, "byte 1: not JSON", []byte{0x1f, 0x8b, 0xff})
	w.must(w.store.Count(ctx, map[int64]hook.SourceCount{
		0: {Unauthorized: 2}, acme.Number: {Deliveries: 3, Unauthorized: 1}, beta.Number: {Deliveries: 2, TooLarge: 1, Unavailable: 1},
	}))
}

// minutePasses moves fake time on; outside of a bubble it does nothing.
func (w *world) minutePasses() {
	if time.Now().Year() == 2000 {
		<-time.After(time.Minute)
	}
}

func (w *world) commit(source string, hooks []string, failed []store.FilterError, name, body string) hook.Seq {
	_, revision, err := w.store.EventHooks(w.Context())
	w.must(err)
	w.number["events"]++
	e := &store.Event{FilterErrors: failed, Event: hook.Event{
		Source: w.number[source], Type: name, JSON: []byte(body), Published: time.Now().Add(-1500 * time.Millisecond),
		UUID: fmt.Sprintf("3f8b2c4e-0000-11f1-9d7a-%012d", w.number["events"]),
	}}
	for _, id := range hooks {
		e.Hooks = append(e.Hooks, w.number[id])
	}
	_, err = w.store.Commit(w.Context(), &store.Group{Received: time.Now(), Revision: revision, Events: []*store.Event{e}})
	w.must(err)
	return e.Seq
}

func (w *world) reject(source string, why hook.Reason, detail string, raw []byte) {
	_, revision, err := w.store.EventHooks(w.Context())
	w.must(err)
	_, err = w.store.Commit(w.Context(), &store.Group{Received: time.Now(), Revision: revision, Rejected: []*store.Rejected{
		{Source: w.number[source], Received: time.Now(), Reason: why, Detail: detail, Raw: raw, Size: len(raw)},
	}})
	w.must(err)
}

func (w *world) settleAll(id string, state hook.State, last *hook.Response) {
	for w.settleOne(id, state, last) {
	}
}

// settleOne attempts one delivery that is due.
func (w *world) settleOne(id string, state hook.State, last *hook.Response) bool {
	now := time.Now()
	claims, _, err := w.store.Claim(w.Context(), w.number[id], now, 1, 1, time.Minute)
	w.must(err)
	if len(claims) == 0 {
		return false
	}
	o := store.Outcome{Key: claims[0].Key, Epoch: claims[0].Epoch, State: state, Response: last,
		Attempt: &hook.Attempt{At: now, Duration: 42 * time.Millisecond, Status: http.StatusNoContent}}
	if state != hook.Delivered {
		o.Attempt.Status, o.Attempt.Reason = http.StatusServiceUnavailable, hook.ReasonStatus
		o.Reason = hook.ReasonStatus
	}
	if state == hook.Dead {
		o.Reason = hook.ReasonExhausted
	}
	if state == hook.Waiting {
		o.Due = now.Add(90 * time.Second)
	}
	_, err = w.store.Settle(w.Context(), []store.Outcome{o})
	w.must(err)
	return true
}

func (w *world) call(method, path, body string) *httptest.ResponseRecorder {
	var r *http.Request
	if body == "" {
		r = httptest.NewRequest(method, path, nil)
	} else {
		r = httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer
}
