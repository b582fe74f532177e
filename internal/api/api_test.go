package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

type listing struct {
	Items []map[string]any `json:"items"`
	Next  string           `json:"next"`
}

func (w *world) list(path string, q url.Values) (l listing) {
	w.Helper()
	answer := w.call(http.MethodGet, path+"?"+q.Encode(), "")
	if answer.Code != http.StatusOK {
		w.Fatalf("%s?%s: %d %s", path, q.Encode(), answer.Code, answer.Body)
	}
	w.must(json.Unmarshal(answer.Body.Bytes(), &l))
	return l
}

// However small the pages, they are the whole list.
func TestPagesMakeTheList(t *testing.T) {
	w := newWorld(t)
	// The same uuid from another source: one parameter, two events.
	w.number["events"] = 0
	w.commit("beta", []string{good, down, inactive}, nil, "user.session.start", `{}`)
	for range 3 {
		w.commit("acme", []string{good, down}, nil, "user.session.start", `{}`)
	}
	for path, q := range map[string]string{
		"/v1/sources":     "",
		"/v1/events":      "type=user.session.start",
		"/v1/event-types": "q=session&eligible=true",
		"/v1/rejected":    "",
		"/v1/deliveries":  "state=waiting,dead",
		"/v1/deliveries#": "event=3f8b2c4e-0000-11f1-9d7a-000000000001",
	} {
		path = strings.TrimSuffix(path, "#")
		values, err := url.ParseQuery(q)
		w.must(err)
		want := w.list(path, values)
		if len(want.Items) < 2 || want.Next != "" {
			t.Fatalf("%s?%s lists %d, next %q", path, q, len(want.Items), want.Next)
		}
		for limit := 1; limit <= len(want.Items); limit++ {
			values.Set("limit", fmt.Sprint(limit))
			values.Del("after")
			var got []map[string]any
			for pages := 0; ; pages++ {
				if pages > len(want.Items) {
					t.Fatalf("%s: no end with limit %d", path, limit)
				}
				l := w.list(path, values)
				got = append(got, l.Items...)
				if values.Set("after", l.Next); l.Next == "" {
					break
				}
			}
			if diff := cmp.Diff(want.Items, got); diff != "" {
				t.Errorf("%s?%s with limit %d: %s", path, q, limit, diff)
			}
		}
	}
}

func TestRetryOfWhatIsBeingSent(t *testing.T) {
	w := newWorld(t)
	seq := w.commit("acme", []string{good}, nil, "user.session.start", `{}`)
	_, _, err := w.store.Claim(t.Context(), w.number[good], time.Now(), 1, 1, time.Minute)
	w.must(err)
	l := w.list("/v1/deliveries", url.Values{"event": {seq.String()}})
	if l.Items[0]["state"] != "sending" {
		t.Fatalf("got %v", l.Items[0])
	}
	answer := w.call(http.MethodPost, fmt.Sprintf("/v1/deliveries/%s/retry", l.Items[0]["id"]), "")
	if answer.Code != http.StatusConflict || answer.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %v %s", answer.Code, answer.Header(), answer.Body)
	}
}

func TestWhyADeliveryWaits(t *testing.T) {
	w := newWorld(t)
	_, err := w.store.Hold(t.Context(), w.number[down], hook.ReasonGone, time.Now(), time.Now().Add(time.Hour))
	w.must(err)
	l := w.list("/v1/deliveries", url.Values{"hook": {down}, "state": {"waiting"}})
	if l.Items[0]["reason"] != "gone" {
		t.Errorf("got %v", l.Items[0])
	}
	var stats struct {
		Hooks []struct {
			ID   string
			Hold struct{ Reason, Since, Recheck string }
		}
	}
	w.must(json.Unmarshal(w.call(http.MethodGet, "/v1/stats", "").Body.Bytes(), &stats))
	for _, h := range stats.Hooks {
		if h.ID == down && (h.Hold.Reason != "gone" || h.Hold.Since == "" || h.Hold.Recheck == "") {
			t.Errorf("got %+v", h)
		}
	}
}

func TestManyDeliveriesOfOneEvent(t *testing.T) {
	w := newWorld(t)
	seq := w.commit("acme", []string{good}, nil, "user.session.start", `{}`)
	for range 100 {
		r := store.Replay{ID: "rpl", Hook: w.number[good], Created: time.Now()}
		w.must(w.store.CreateReplay(t.Context(), &r))
		_, err := w.store.AddToReplay(t.Context(), &r, []hook.Seq{seq}, time.Now())
		w.must(err)
	}
	var e struct {
		Deliveries     []map[string]any
		MoreDeliveries bool
	}
	w.must(json.Unmarshal(w.call(http.MethodGet, "/v1/events/"+seq.String(), "").Body.Bytes(), &e))
	if len(e.Deliveries) != 100 || !e.MoreDeliveries {
		t.Errorf("got %d, more %v", len(e.Deliveries), e.MoreDeliveries)
	}
}

func TestStoreUnavailable(t *testing.T) {
	w := newWorld(t)
	w.must(w.store.Close())
	for _, path := range []string{"/v1/events", "/v1/stats", "/v1/sources", "/v1/deliveries/dlvctp62s00000000000100000008000000"} {
		answer := w.call(http.MethodGet, path, "")
		if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" ||
			!strings.Contains(answer.Body.String(), "try again") {
			t.Errorf("%s: %d %v %s", path, answer.Code, answer.Header(), answer.Body)
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	w := newWorld(t)
	answer := w.call(http.MethodPost, "/v1/replays", strings.Repeat(" ", 2<<20))
	if answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
}

func TestDescription(t *testing.T) {
	w := newWorld(t)
	answer := w.call(http.MethodGet, "/v1/openapi.json", "")
	var spec struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Responses   map[string]any
		}
	}
	w.must(json.Unmarshal(answer.Body.Bytes(), &spec))
	if !strings.HasPrefix(spec.OpenAPI, "3.1") {
		t.Errorf("openapi: %q", spec.OpenAPI)
	}
	var got []string
	for path, operations := range spec.Paths {
		for method, op := range operations {
			got = append(got, strings.ToUpper(method)+" "+path)
			if op.OperationID == "" || op.Summary == "" || len(op.Responses) < 2 {
				t.Errorf("%s %s is not described: %+v", method, path, op)
			}
			if _, ok := op.Responses["422"]; ok {
				t.Errorf("%s %s answers 422 by its description", method, path)
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"DELETE /v1/sources/{name}",
		"GET /v1/deliveries", "GET /v1/deliveries/{id}",
		"GET /v1/event-types", "GET /v1/event-types/{type}",
		"GET /v1/events", "GET /v1/events/{id}",
		"GET /v1/rejected", "GET /v1/rejected/{id}",
		"GET /v1/sources", "GET /v1/sources/{name}",
		"GET /v1/stats",
		"POST /v1/deliveries/{id}/retry", "POST /v1/replays", "POST /v1/sources",
		"PUT /v1/sources/{name}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Nothing in it makes a reader's program call another host.
	if link := regexp.MustCompile(`"\$ref":"[^#]`).FindString(answer.Body.String()); link != "" {
		t.Errorf("found %s", link)
	}
}

func TestBodyOfAnotherType(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/replays", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // curl's default
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	if answer.Code != http.StatusUnsupportedMediaType || !strings.Contains(answer.Body.String(), "Content-Type: application/json") {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
}
