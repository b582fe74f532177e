package test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestStopWithSlowClients stops a gateway while a caller has stopped in the
// middle of a body, and a destination takes its time. The caller must not cost
// the destination its time to answer: its answer counts, and nothing is repeated.
func TestStopWithSlowClients(t *testing.T) {
	books := newLedger(t, func(string, *posted) bool { return true })
	arrived, answer := make(chan struct{}, 1), make(chan struct{})
	sink := newSink(t, func(p parcel, _ http.ResponseWriter, r *http.Request) {
		books.arrive("slow", p)
		arrived <- struct{}{}
		select {
		case <-answer:
			books.succeed("slow", p)
		case <-r.Context().Done():
		}
	})
	s := newSite(t, t.TempDir(), program(t))
	s.command = append(s.command, "--log-level", "debug")
	l := s.serve()
	l.createSource()
	l.createHook("slow", sink.url, everything, `{"verification":"none"}`)
	e := &posted{uuid: "slow", json: event("slow", "user.session.start")}
	books.post([]*posted{e})
	l.send(e.json)
	books.acknowledge([]*posted{e})
	<-arrived

	conn := l.dial()
	stuck := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, request("{", "Content-Length: 1000", "Expect: 100-continue")); err != nil {
		t.Fatal(err)
	}
	if line, err := stuck.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err) // now it reads the body
	}
	l.signal(syscall.SIGTERM)
	// The gateway ends the caller's connection when it no longer waits for it.
	_, _ = stuck.ReadString(0)
	until(t, "only deliveries are under way", func() bool { return strings.Contains(l.log.String(), "part=deliveries") })
	close(answer)
	l.ends()
	books.end(false)
	l = l.serve()
	until(t, "delivered", func() bool { h := l.stats().Hooks[0]; return h.Delivered == 1 && h.Waiting == 0 })
	l.stop()
	books.judge()
	if books.arrivals != 1 {
		t.Errorf("delivered %d times", books.arrivals)
	}
}
