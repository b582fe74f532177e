package test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// busy is a destination that takes a while, and counts what it is doing.
type busy struct {
	*destination
	mu           sync.Mutex
	flying, most int
	distinct     map[string]int // calls by webhook-id
	takes        time.Duration
}

func (w *world) busy(host, addr string, takes time.Duration) *busy {
	b := &busy{takes: takes, distinct: map[string]int{}}
	b.destination = w.destination(host, addr, b.answer)
	return b
}

func (b *busy) answer(_ int, r *http.Request, _ http.ResponseWriter) {
	b.mu.Lock()
	b.distinct[r.Header.Get("webhook-id")]++
	b.flying++
	b.most = max(b.most, b.flying)
	takes := b.takes
	b.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
	}
	b.mu.Lock()
	b.flying--
	b.mu.Unlock()
}

// take makes later calls take another while.
func (b *busy) take(takes time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takes = takes
}

// peak is how many calls there were at once since the last peak.
func (b *busy) peak() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, b.most = b.most, b.flying
	return n
}

// sendMany sends n events in one delivery.
func (w *world) sendMany(name string, n int) {
	w.Helper()
	var batch []string
	for i := range n {
		batch = append(batch, event(fmt.Sprintf("%s-%d", name, i), start))
	}
	w.send(200, batch...)
}

// replace replaces a hook's delivery object.
func (w *world) replace(id, name, uri, delivery string) {
	w.Helper()
	w.call("PUT", "/api/v1/eventHooks/"+id, hookBody(name, uri, `"*"`, delivery), 200)
}

func TestConcurrencyIsNeverExceeded(t *testing.T) {
	story(t, func(w *world) {
		d := w.busy("busy.example", "192.0.0.11", time.Second)
		const uri = "http://busy.example/hook"
		id := w.createHook("busy", uri, `"*"`, `{"verification":"none","concurrency":3}`)
		w.sendMany("event", 100)
		w.wait(10*time.Second + 500*time.Millisecond)
		if n := d.peak(); n != 3 {
			t.Errorf("%d at once with a concurrency of 3", n)
		}
		if n := len(d.arrivals()); n != 33 {
			t.Errorf("%d within 10.5 s, want 33", n)
		}
		w.replace(id, "busy", uri, `{"verification":"none","concurrency":7}`)
		w.wait(3 * time.Second)
		if n := d.peak(); n != 7 {
			t.Errorf("%d at once with a concurrency of 7", n)
		}
		w.replace(id, "busy", uri, `{"verification":"none","concurrency":1}`)
		w.wait(time.Second)
		d.peak()
		w.wait(3 * time.Second)
		if n := d.peak(); n != 1 {
			t.Errorf("%d at once with a concurrency of 1", n)
		}
		w.replace(id, "busy", uri, `{"verification":"none","concurrency":1000}`)
		w.wait(2 * time.Second)
		if n := len(w.deliveries("state=delivered&limit=1000")); n != 100 || len(d.distinct) != 100 {
			t.Errorf("%d delivered, %d arrived", n, len(d.distinct))
		}
	})
}

func TestTheRateLimitIsKept(t *testing.T) {
	story(t, func(w *world) {
		d := w.busy("busy.example", "192.0.0.11", 50*time.Millisecond)
		const uri = "http://busy.example/hook"
		id := w.createHook("busy", uri, `"*"`, `{"verification":"none","rateLimit":"10/s"}`)
		begun := time.Since(epoch)
		for n := range 8 {
			w.sendMany(fmt.Sprint("batch-", n), 100)
		}
		w.wait(time.Minute)
		got := d.arrivals()
		if len(got) < 599 || len(got) > 602 {
			t.Errorf("%d within a minute at 10/s", len(got))
		}
		for i := range got {
			if i >= 10 && got[i].at-got[i-10].at < 990*time.Millisecond {
				t.Fatalf("11 within %v, from %v on", got[i].at-got[i-10].at, got[i-10].at-begun)
			}
		}
		w.replace(id, "busy", uri, `{"verification":"none","rateLimit":"120/m"}`)
		before := len(d.arrivals())
		w.wait(10 * time.Second)
		if n := len(d.arrivals()) - before; n < 19 || n > 22 {
			t.Errorf("%d within 10 s at 120/m", n)
		}
		w.replace(id, "busy", uri, `{"verification":"none","rateLimit":""}`)
		w.wait(2 * time.Second)
		if n := len(d.arrivals()); n != 800 {
			t.Errorf("%d arrived without a limit, want 800", n)
		}
	})
}

func TestTimeout(t *testing.T) {
	story(t, func(w *world) {
		d := w.busy("slow.example", "192.0.0.11", 1500*time.Millisecond)
		w.createHook("slow", "http://slow.example/hook", `"*"`, `{"verification":"none","timeout":"1s","retry":{"schedule":["10s"]}}`)
		w.send(200, event("one", start))
		w.wait(5 * time.Second)
		waiting := w.deliveries("state=waiting")
		if len(waiting) != 1 || waiting[0].Reason != "timeout" {
			t.Fatalf("waiting: %+v", waiting)
		}
		d.take(900 * time.Millisecond)
		w.wait(10 * time.Second)
		one := w.delivery(waiting[0].ID)
		if one.State != "delivered" || one.AttemptCount != 2 || len(one.Attempts) != 2 {
			t.Fatalf("%+v", one)
		}
		if a := one.Attempts[0]; a.Reason != "timeout" || a.Status != 0 || a.Duration != "1s" {
			t.Errorf("the first attempt: %+v", a)
		}
		if a := one.Attempts[1]; a.Reason != "" || a.Status != 200 || a.Duration != "900ms" {
			t.Errorf("the second attempt: %+v", a)
		}
	})
}

// delivery is one delivery with its attempts.
func (w *world) delivery(id string) (d deliveryView) {
	w.Helper()
	w.get("/v1/deliveries/"+id, &d)
	return d
}

func TestNoRetries(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("bad.example", "192.0.0.11", func(_ int, _ *http.Request, rw http.ResponseWriter) { rw.WriteHeader(500) })
		w.createHook("bad", "http://bad.example/hook", `"*"`, `{"verification":"none","retry":{"schedule":[]}}`)
		w.send(200, event("one", start))
		w.wait(time.Hour)
		dead := w.deliveries("state=dead")
		if len(d.arrivals()) != 1 || len(dead) != 1 || dead[0].Reason != "retries_exhausted" || dead[0].AttemptCount != 1 {
			t.Errorf("%d attempts, dead: %+v", len(d.arrivals()), dead)
		}
	})
}

func TestWhatIsRetried(t *testing.T) {
	story(t, func(w *world) {
		statuses := []int{300, 400, 404, 408, 418, 425, 429, 500, 503, 599}
		w.net.name("nobody.example", "192.0.0.99")
		for i, on := range []string{"", `,"on":["404","network"]`, `,"on":["4xx","503"]`, `,"on":[]`} {
			policy := `{"verification":"none","retry":{"schedule":["1s"]` + on + `}}`
			w.createHook(fmt.Sprint("nobody-", i), "http://nobody.example/hook", fmt.Sprintf(`"nobody.%d"`, i), policy)
			for j, status := range statuses {
				name := fmt.Sprintf("bad-%d-%d", i, status)
				w.destination(name+".example", fmt.Sprintf("192.0.0.%d", 100+10*i+j), func(_ int, _ *http.Request, rw http.ResponseWriter) { rw.WriteHeader(status) })
				w.createHook(name, "http://"+name+".example/hook", fmt.Sprintf(`"all.%d"`, i), policy)
			}
			w.send(200, event(fmt.Sprint("event-", i), fmt.Sprint("all.", i)), event(fmt.Sprint("network-", i), fmt.Sprint("nobody.", i)))
		}
		w.wait(time.Minute)
		retried := []map[string]bool{
			{"nobody-0": true, "bad-0-408": true, "bad-0-425": true, "bad-0-429": true, "bad-0-500": true, "bad-0-503": true, "bad-0-599": true},
			{"nobody-1": true, "bad-1-404": true},
			{"bad-2-400": true, "bad-2-404": true, "bad-2-408": true, "bad-2-418": true, "bad-2-425": true, "bad-2-429": true, "bad-2-503": true},
			{},
		}
		want := map[string]bool{}
		for _, of := range retried {
			for name := range of {
				want[name] = true
			}
		}
		hooks := w.counters().Hooks
		if len(hooks) != 4*(1+len(statuses)) {
			t.Errorf("%d hooks", len(hooks))
		}
		for _, h := range hooks {
			attempts := 1
			if want[h.Name] {
				attempts = 2
			}
			if h.Dead != 1 || h.Attempts != attempts {
				t.Errorf("%s: %+v, want %d attempts", h.Name, h, attempts)
			}
		}
		for _, dead := range w.deliveries("state=dead&limit=1000") {
			reason := "not_retryable"
			if dead.AttemptCount == 2 {
				reason = "retries_exhausted"
			}
			if dead.Reason != reason {
				t.Errorf("%+v, want the reason %s", dead, reason)
			}
		}
	})
}

// Retry-After replaces the policy's wait, within a second and the longest wait.
func TestRetryAfterWithinBounds(t *testing.T) {
	for _, test := range []struct {
		field    string
		from, to time.Duration
	}{
		{"30", 30 * time.Second, 30 * time.Second},
		{"Sat, 01 Jan 2000 00:01:00 GMT", 59 * time.Second, time.Minute}, // a minute after the story begins
		{"3600", 5 * time.Minute, 5 * time.Minute},
		{"99999999999999999999", 5 * time.Minute, 5 * time.Minute},
		{"Fri, 31 Dec 9999 23:59:59 GMT", 5 * time.Minute, 5 * time.Minute},
		{"0", 0, 10 * time.Second}, // the policy's own wait: up to initial
		{"-1", 0, 10 * time.Second},
		{"Fri, 31 Dec 1999 23:59:59 GMT", 0, 10 * time.Second},
		{"when it rains", 0, 10 * time.Second},
		{"", 0, 10 * time.Second},
	} {
		t.Run(test.field, func(t *testing.T) {
			story(t, func(w *world) {
				d := w.destination("busy.example", "192.0.0.14", func(n int, _ *http.Request, rw http.ResponseWriter) {
					if n == 1 {
						rw.Header().Set("Retry-After", test.field)
						rw.WriteHeader(http.StatusServiceUnavailable)
					}
				})
				w.createHook("busy", "http://busy.example/hook", `"*"`, `{"verification":"none","retry":{"initial":"10s","max":"5m","for":"1h"}}`)
				w.send(200, event(uuid1, start))
				w.wait(6 * time.Minute)
				got := d.arrivals()
				if len(got) != 2 {
					t.Fatalf("%d attempts", len(got))
				}
				if wait := got[1].at - got[0].at; wait < test.from || wait > test.to+100*time.Millisecond {
					t.Errorf("retried after %v, want %v to %v", wait, test.from, test.to)
				}
			})
		})
	}
}
