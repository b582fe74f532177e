package test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestACallerThatReadsNoAnswerStopsNobody has one connection send a delivery
// and never read. A change of the hooks waits for it, and with the change
// whoever calls next: not for long.
func TestACallerThatReadsNoAnswerStopsNobody(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.allow("192.0.0.0/24")
		conn, err := w.net.Dial(w.Context(), "tcp", publicAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		body := `{"data":{"events":[` + event("first", "user.session.start") + `]}}`
		fmt.Fprintf(conn, "POST /in/acme HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", secret, len(body), body)
		synctest.Wait()
		w.wait(10 * time.Second)
		w.createHook("good", "http://good.example/hook", `"*"`, `{"verification":"none"}`)
		w.send(200, event(uuid1, "user.session.start"))
		w.wait(time.Second)
		if got := len(d.arrivals()); got != 1 {
			t.Errorf("%d arrived, want 1", got)
		}
	})
}
