package test

import (
	"fmt"
	"net/http"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// noRoom lets this process write no file any longer, as on a full disk, until
// it is called with false.
func noRoom(t *testing.T, full bool) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if full {
		limit.Cur = 1
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
}

// While the disk is full Okta is told to come again and nothing is sent; with
// room again all goes on without a restart, and nothing is sent twice.
func TestAFullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ) // a write over the limit is then an error
	defer signal.Reset(syscall.SIGXFSZ)
	defer noRoom(t, false)
	story(t, func(w *world) {
		d := w.busy("good.example", "192.0.0.11", time.Second)
		id := w.createHook("good", "http://good.example/hook", `"*"`, `{"verification":"none","concurrency":5}`)
		w.sendMany("before", 30)
		w.wait(1500 * time.Millisecond) // 5 are delivered, 5 under way
		noRoom(t, true)
		for n := range 10 {
			status, header, err := w.tryPost("acme", delivery(event(fmt.Sprint("meanwhile-", n), start), event(fmt.Sprint("lost-", n), start)))
			if err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
				t.Errorf("on a full disk: %d, Retry-After %q, %v", status, header.Get("Retry-After"), err)
			}
			w.wait(time.Minute)
		}
		if n := len(d.arrivals()); n > 15 {
			t.Errorf("%d attempts, although no outcome could be kept since the first 5", n)
		}
		w.ask(200, "acme", http.Header{challengeHeader: {"c"}, "Authorization": {secret}})
		if n := len(w.events("")); n != 30 {
			t.Errorf("%d events are kept", n)
		}
		if n := w.log.count("outcomes cannot be stored"); n != 1 {
			t.Errorf("logged %d times that sending has stopped", n)
		}

		noRoom(t, false)
		w.wait(2 * time.Second)
		for n := range 10 {
			w.send(200, event(fmt.Sprint("meanwhile-", n), start))
		}
		w.wait(time.Minute)
		d.once(append(names("before", 30), names("meanwhile", 10)...)...)
		if h := w.hook(id); h.Delivered != 40 || h.Attempts != 40 {
			t.Errorf("counters %+v", h)
		}
		if c := w.source("acme").Counters; c.Unavailable != 10 || c.Received != 40 || c.Duplicates != 0 {
			t.Errorf("counters %+v", c)
		}
	})
}
