package test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// delivery is the body of Okta's POST of some events.
func delivery(events ...string) string {
	return `{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1",` +
		`"source":"https://acme.okta.example/api/v1/eventHooks/who1","eventId":"6c1b7a2e-93d4-4f0a-8b6e-2f5d1a7c9e30",` +
		`"data":{"events":[` + strings.Join(events, ",") + `]},"eventTime":"2000-01-01T00:00:00.000Z","contentType":"application/json"}`
}

// send is Okta's POST of some events.
func (w *world) send(status int, events ...string) {
	w.Helper()
	w.post(status, "acme", delivery(events...))
}

// post is Okta's POST of a body to a source, with the org's secret.
func (w *world) post(status int, source, body string) []byte {
	w.Helper()
	return w.do("POST", "http://"+publicAddr+"/in/"+source, http.Header{"Authorization": {secret}}, body, status)
}

// tryPost is post for many goroutines at once: it fails no test.
func (w *world) tryPost(source, body string) (status int, header http.Header, err error) {
	request, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "http://"+publicAddr+"/in/"+source, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", secret)
	response, err := w.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header, err
}

type eventView struct {
	ID, UUID, Source, Type string
	Published, Received    string
	LogEvent               json.RawMessage
	LogEventRepaired       bool
	FilterErrors           []struct{ Hook, Reason, Detail string }
}

// events lists what a query selects, newest first.
func (w *world) events(query string) []eventView {
	w.Helper()
	var page struct{ Items []eventView }
	w.get("/v1/events?limit=1000&"+query, &page)
	return page.Items
}

// event is the one event that has a uuid, shown alone.
func (w *world) event(uuid string) (alone eventView) {
	w.Helper()
	found := w.events("uuid=" + uuid)
	if len(found) != 1 {
		w.Fatalf("%d events have the uuid %s, want 1", len(found), uuid)
	}
	w.get("/v1/events/"+found[0].ID, &alone)
	return alone
}

type rejectedView struct {
	ID, Source, Reason, Detail string
	Size                       int
	Body                       string
	BodyBase64                 []byte
}

// rejected is everything that was kept as rejected, newest first, with bodies.
func (w *world) rejected() []rejectedView {
	w.Helper()
	var page struct{ Items []rejectedView }
	w.get("/v1/rejected", &page)
	for i := range page.Items {
		w.get("/v1/rejected/"+page.Items[i].ID, &page.Items[i])
	}
	return page.Items
}

// sourceCounts are the counters of a source.
type sourceCounts struct {
	Deliveries, Received, Duplicates, Rejected, Unauthorized, TooLarge, Unavailable int
}

type sourceView struct {
	Name, Host string
	Challenge  *struct{ At, Secret string }
	Previous   *struct{ Until string }
	Warnings   []string
	Counters   sourceCounts
}

func (w *world) source(name string) (s sourceView) {
	w.Helper()
	w.get("/v1/sources/"+name, &s)
	return s
}

// hookCounts are the counters of an event hook.
type hookCounts struct {
	ID, Name                                                             string
	Matched, Delivered, Dead, Cancelled, Waiting, Attempts, FilterErrors int
	Hold                                                                 *struct{ Reason string }
}

type statsView struct {
	Totals  struct{ Matched, Delivered, Dead, Cancelled, Waiting, Attempts int }
	Hooks   []hookCounts
	Sources []struct {
		Name string
		sourceCounts
	}
	UnknownSources sourceCounts
	Store          struct{ Bytes int64 }
}

func (w *world) counters() (s statsView) {
	w.Helper()
	w.get("/v1/stats", &s)
	return s
}

// hook is the counters of one hook, whose sums must close.
func (w *world) hook(id string) hookCounts {
	w.Helper()
	for _, h := range w.counters().Hooks {
		if h.ID != id {
			continue
		}
		if h.Matched != h.Delivered+h.Dead+h.Cancelled+h.Waiting {
			w.Errorf("the counters of hook %s do not add up: %+v", id, h)
		}
		return h
	}
	w.Fatalf("no counters for hook %s", id)
	return hookCounts{}
}

// carried is the bytes of the events in the envelope that a destination got.
func (a *arrival) carried() []byte {
	_, rest, _ := bytes.Cut(a.body, []byte(`"data":{"events":[`))
	end := bytes.LastIndex(rest, []byte(`]},"eventTime":`))
	if end < 0 {
		return nil
	}
	return rest[:end]
}
