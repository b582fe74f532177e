package test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is a destination on a real socket.
type sink struct {
	testing.TB
	url    string
	server *http.Server

	mu    sync.Mutex
	open  map[net.Conn]bool
	quiet chan struct{} // closed whenever no connection is open
}

// parcel is one delivery as a sink gets it.
type parcel struct {
	id      string // webhook-id
	eventID string // of the envelope
	uuid    string // of the event
	event   string // its bytes
}

// newSink opens a destination that handles parcels.
func newSink(t *testing.T, handle func(p parcel, w http.ResponseWriter, r *http.Request)) *sink {
	t.Helper()
	return newRawSink(t, func(w http.ResponseWriter, r *http.Request) {
		if p, ok := unpack(r); ok {
			handle(p, w, r)
		}
	})
}

// newRawSink opens a destination that handles POSTs.
func newRawSink(t *testing.T, handle http.HandlerFunc) *sink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{TB: t, url: "http://" + listener.Addr().String(), open: make(map[net.Conn]bool), quiet: make(chan struct{})}
	close(s.quiet)
	s.server = &http.Server{
		ConnState: s.count,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				handle(w, r)
			}
		}),
	}
	var served sync.WaitGroup
	served.Go(func() { _ = s.server.Serve(listener) })
	t.Cleanup(func() {
		_ = s.server.Close()
		served.Wait()
		s.settle()
	})
	return s
}

// unpack reads a delivery. ok is false when its sender died in the middle.
func unpack(r *http.Request) (p parcel, ok bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return p, false
	}
	var envelope struct {
		EventID string
		Data    struct{ Events []struct{ UUID string } }
	}
	p.id = r.Header.Get("webhook-id")
	// One pass over large bodies is enough: the one event's bytes are what the
	// array holds.
	if json.Unmarshal(body, &envelope) == nil && len(envelope.Data.Events) == 1 {
		_, rest, _ := strings.Cut(string(body), `"events":[`)
		p.eventID, p.uuid, p.event = envelope.EventID, envelope.Data.Events[0].UUID, rest[:max(0, strings.LastIndex(rest, "]"))]
	}
	return p, true
}

// count keeps track of open connections.
func (s *sink) count(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(s.open) == 0 {
			s.quiet = make(chan struct{})
		}
		s.open[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(s.open, conn)
		if len(s.open) == 0 {
			close(s.quiet)
		}
	}
}

// drain returns when everything that a gateway sent before it ended has been
// handled. Connections are accepted in their order, so once one of ours is
// answered, all of the gateway's are known, and they end as it has ended.
func (s *sink) drain() {
	s.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get(s.url)
	if err != nil {
		s.Fatal(err)
	}
	_ = response.Body.Close()
	s.settle()
}

func (s *sink) settle() {
	s.mu.Lock()
	quiet := s.quiet
	s.mu.Unlock()
	select {
	case <-quiet:
	case <-time.After(patience):
		s.Error("connections to a destination stay open")
	}
}

// reset breaks a connection off without an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// linger takes time over an answer, unless the caller goes away.
func linger(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
