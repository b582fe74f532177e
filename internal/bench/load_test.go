package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// through sends events over the connections through a relay in this process to
// a sink whose bodies accept gets, and returns when the relay has nothing left.
func through(t *testing.T, l *ledger, connections int, events int64, accept func(int, []byte)) {
	t.Helper()
	s, err := startSink(t.Context(), accept)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	relay := NewRelay(s.urls(l.fanOut))
	server := httptest.NewServer(relay)
	load, err := newLoader(t.Context(), target{address: server.Listener.Addr().String(), path: "/", secret: "x"}, "a.okta.example", connections, l)
	if err != nil {
		t.Fatal(err)
	}
	err = load.run(t.Context(), time.Minute, events)
	load.close()
	server.Close()
	relay.Close()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryEventIsAccountedFor(t *testing.T) {
	for _, connections := range []int{1, 8} {
		l := newLedger(newEventID(3), 1000, 1)
		through(t, l, connections, 500, l.arrive)
		if got, want := l.counts(), (Counts{Acknowledged: 500, Delivered: 500}); got != want {
			t.Errorf("%d connections: %+v, want %+v", connections, got, want)
		}
		m := l.figures(0)
		if m.AcknowledgedPerSecond <= 0 || m.DeliveredPerSecond <= 0 || m.AckP99 <= 0 || m.DeliveryP99 <= 0 {
			t.Errorf("%d connections: %+v", connections, m)
		}
	}
}

func TestEveryDeliveryIsAccountedFor(t *testing.T) {
	l := newLedger(newEventID(3), 1000, 3)
	through(t, l, 4, 500, func(destination int, body []byte) {
		// Of each event one of three deliveries is missing, of event 7 none.
		if uuid, _ := nextUUID(body); bytes.HasSuffix(uuid, []byte("00000007")) || destination != 1 {
			l.arrive(destination, body)
		}
	})
	if got, want := l.counts(), (Counts{Acknowledged: 500, Delivered: 1001, Lost: 499}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	m := l.figures(0)
	if ratio := m.DeliveriesPerSecond / m.DeliveredPerSecond; math.Abs(ratio-1001) > 1e-6 {
		t.Errorf("%v deliveries for each event that arrived everywhere, want 1001", ratio)
	}
	if first, owed := l.owed(0); !owed || first != 0 {
		t.Errorf("owed from %d, %v", first, owed)
	}
}

func TestWithoutADestinationNothingIsOwed(t *testing.T) {
	l := newLedger(newEventID(3), 1000, 0)
	through(t, l, 4, 500, l.arrive)
	if got, want := l.counts(), (Counts{Acknowledged: 500}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if m := l.figures(0); m.AcknowledgedPerSecond <= 0 || m.DeliveredPerSecond != 0 {
		t.Errorf("%+v", m)
	}
	if _, owed := l.owed(0); owed {
		t.Error("something is owed")
	}
}

func TestASinkThatDropsIsLoss(t *testing.T) {
	l := newLedger(newEventID(3), 1000, 1)
	var n atomic.Int64
	through(t, l, 4, 500, func(destination int, body []byte) {
		if n.Add(1)%10 != 0 {
			l.arrive(destination, body)
		}
	})
	if got, want := l.counts(), (Counts{Acknowledged: 500, Delivered: 450, Lost: 50}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestASinkThatSeesTwiceIsRepeats(t *testing.T) {
	l := newLedger(newEventID(3), 1000, 1)
	var n atomic.Int64
	through(t, l, 4, 500, func(destination int, body []byte) {
		l.arrive(destination, body)
		if n.Add(1)%10 == 0 {
			l.arrive(destination, body)
			l.arrive(destination, body)
		}
	})
	if got, want := l.counts(), (Counts{Acknowledged: 500, Delivered: 500, Repeated: 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWhatWasNotSentIsUnexpected(t *testing.T) {
	l := newLedger(newEventID(3), 1000, 1)
	through(t, l, 1, 10, l.arrive)
	for _, c := range []struct {
		destination int
		body        []byte
	}{
		{0, eventBody(newEventID(4), 1)},          // another phase's
		{0, eventBody(l.id, 10)},                  // not sent yet
		{0, eventBody(l.id, 1<<31)},               // past every capacity
		{1, eventBody(l.id, 1)},                   // not owed there
		{-1, eventBody(l.id, 1)},                  // nowhere
		{0, []byte(`{"data":{}}`)}, {0, []byte{}}, // no event
		{0, []byte(`{"uuid":"short"}`)},    // not a uuid
		{0, []byte(`"uuid":"` + uuidSlot)}, // cut off
	} {
		before := l.unexpected.Load()
		l.arrive(c.destination, c.body)
		if l.unexpected.Load() != before+1 {
			t.Errorf("%q was expected at %d", c.body, c.destination)
		}
	}
	if got, want := l.counts(), (Counts{Acknowledged: 10, Delivered: 10, Unexpected: 9}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestADeliveryMayHoldSeveralEvents(t *testing.T) {
	l := newLedger(newEventID(3), 10, 1)
	for range 3 {
		l.take(10)
	}
	l.arrive(0, bytes.Join([][]byte{eventBody(l.id, 0), eventBody(l.id, 1), eventBody(l.id, 2), eventBody(l.id, 1)}, []byte(",\n")))
	if got, want := l.counts(), (Counts{Delivered: 3, Repeated: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestARefusedEventIsNotAcknowledged(t *testing.T) {
	l := newLedger(newEventID(3), 1000, 1)
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	if err := runAgainst(t, server, l, 20); err != nil {
		t.Fatal(err)
	}
	if got, want := l.counts(), (Counts{Acknowledged: 15, Refused: 5, Lost: 15}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAnUnexpectedAnswerEndsTheLoad(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}))
	defer server.Close()
	err := runAgainst(t, server, newLedger(newEventID(3), 1000, 1), 20)
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "who are you?") {
		t.Errorf("error %v, want the answer", err)
	}
}

func TestACutConnectionEndsTheLoad(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	if err := runAgainst(t, server, newLedger(newEventID(3), 1000, 1), 20); err == nil {
		t.Error("no error")
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-hang
	}))
	defer server.Close()
	defer close(hang)
	load, err := newLoader(t.Context(), target{address: server.Listener.Addr().String(), path: "/"}, "a.okta.example", 2, newLedger(newEventID(3), 1000, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer load.close()
	if err := load.run(ctx, time.Minute, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func runAgainst(t *testing.T, server *httptest.Server, l *ledger, events int64) error {
	t.Helper()
	load, err := newLoader(t.Context(), target{address: server.Listener.Addr().String(), path: "/"}, "a.okta.example", 2, l)
	if err != nil {
		t.Fatal(err)
	}
	defer load.close()
	return load.run(t.Context(), time.Minute, events)
}

func TestALoadStopsAtTheLedgersCapacity(t *testing.T) {
	l := newLedger(newEventID(3), 50, 1)
	through(t, l, 4, 0, l.arrive)
	if got := l.counts().Delivered; got != 50 {
		t.Errorf("%d delivered, want 50", got)
	}
}

// envelope is what a destination reads of the body.
type envelope struct {
	EventType string
	EventID   string
	EventTime time.Time
	Source    string
	Data      struct {
		Events []struct {
			UUID        string
			Published   time.Time
			EventType   string
			Transaction struct{ ID string }
		}
	}
}

func TestRequestsAreOktasDeliveries(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	requests, err := newRequests(target{address: "127.0.0.1:1", path: "/in/a", secret: "s3"}, "a.okta.example", random)
	if err != nil {
		t.Fatal(err)
	}
	id, now := newEventID(3), time.Date(2026, 5, 28, 9, 14, 3, 417_000_000, time.UTC)
	seen, types, size := map[string]bool{}, map[string]bool{}, 0
	var buffer []byte
	for i := range requests {
		buffer = requests[i].stamp(buffer, id, int64(i), now, random)
		text := string(buffer)
		head, body, _ := strings.Cut(text, "\r\n\r\n")
		if !strings.HasPrefix(head, "POST /in/a HTTP/1.1\r\n") || !strings.Contains(head, "\r\nAuthorization: s3") {
			t.Fatalf("head %q", head)
		}
		var e envelope
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if len(e.Data.Events) != 1 || !e.EventTime.Equal(now) || e.EventType != "com.okta.event_hook" {
			t.Fatalf("%s", body)
		}
		event := e.Data.Events[0]
		if index, ok := id.index([]byte(event.UUID)); !ok || index != int64(i) || !event.Published.Equal(now) {
			t.Fatalf("event %d is %+v", i, event)
		}
		for _, unique := range []string{e.EventID, event.UUID, event.Transaction.ID} {
			if seen[unique] {
				t.Fatalf("%q twice", unique)
			}
			seen[unique] = true
		}
		if strings.Count(body, event.Transaction.ID) != 2 || strings.ContainsAny(body, "\n") {
			t.Fatalf("%s", body)
		}
		types[event.EventType] = true
		size += len(body)
	}
	if len(types) != len(eventTypes) {
		t.Errorf("%d types, want %d", len(types), len(eventTypes))
	}
	if mean := size / len(requests); mean < 1250 || mean > 1350 {
		t.Errorf("%d bytes on average, want about 1,300", mean)
	}
}
