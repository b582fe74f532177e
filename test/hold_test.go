package test

import (
	"net/http"
	"testing"
	"time"
)

// A hook whose destination is gone is led elsewhere, and all is delivered there.
func TestANewChannelEndsAHold(t *testing.T) {
	story(t, func(w *world) {
		old := w.destination("old.example", "192.0.0.11", func(_ int, _ *http.Request, rw http.ResponseWriter) { rw.WriteHeader(410) })
		id := w.createHook("moves", "http://old.example/hook", `"*"`, `{"verification":"none","concurrency":1}`)
		w.sendMany("early", 5)
		w.wait(time.Minute)
		w.sendMany("late", 5)
		w.wait(time.Hour)
		if n := len(old.arrivals()); n != 1 {
			t.Errorf("%d attempts at a destination that is gone", n)
		}
		waiting := w.deliveries("state=waiting&hook=" + id)
		if len(waiting) != 10 {
			t.Fatalf("%d wait, want 10", len(waiting))
		}
		for _, d := range waiting {
			if d.Reason != "gone" {
				t.Errorf("waiting: %+v", d)
			}
		}
		if h := w.hook(id); h.Hold == nil || h.Hold.Reason != "gone" || w.log.count("410", "hook="+id, "reason=gone") != 1 {
			t.Errorf("hold %+v, logged %d times", h.Hold, w.log.count("410", "hook="+id, "reason=gone"))
		}
		next := w.destination("next.example", "192.0.0.12", nil)
		w.replace(id, "moves", "http://next.example/hook", "")
		w.wait(time.Second)
		if n := len(next.arrivals()); n != 10 {
			t.Errorf("%d arrived at the new destination, want 10", n)
		}
		if h := w.hook(id); h.Hold != nil || h.Delivered != 10 {
			t.Errorf("counters %+v, hold %+v", h, h.Hold)
		}
	})
}

// A hold outlasts a restart.
func TestAHoldOutlastsARestart(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("old.example", "192.0.0.11", func(_ int, _ *http.Request, rw http.ResponseWriter) { rw.WriteHeader(410) })
		id := w.createHook("gone", "http://old.example/hook", `"*"`, noHandshake)
		w.send(200, event("one", start))
		w.wait(time.Minute)
		w.stop()
		w.wait(24 * time.Hour)
		w.start()
		w.send(200, event("two", start))
		w.wait(time.Hour)
		if n := len(d.arrivals()); n != 1 {
			t.Errorf("%d attempts", n)
		}
		if h := w.hook(id); h.Hold == nil || h.Hold.Reason != "gone" || h.Waiting != 2 {
			t.Errorf("counters %+v", h)
		}
	})
}

// While a name leads inside, one delivery is tried now and then, less and less
// often, and none is lost.
func TestARefusedDestinationIsLookedAtAgain(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("moves.example", "192.0.0.18", nil)
		w.net.name("moves.example", "169.254.169.254")
		id := w.createHook("moves", "http://moves.example/hook", `"*"`, `{"verification":"none","concurrency":1}`)
		w.sendMany("event", 10)
		w.wait(2 * time.Hour)
		if h := w.hook(id); h.Attempts != 0 || h.Waiting != 10 || h.Hold == nil || h.Hold.Reason != "destination_refused" {
			t.Errorf("counters %+v, hold %+v", h, h.Hold)
		}
		if n := w.log.count("destination refused", "hook="+id); n < 8 || n > 15 {
			t.Errorf("looked %d times within 2 h", n)
		}
		w.net.name("moves.example", "192.0.0.18")
		w.wait(16 * time.Minute)
		if n := len(d.arrivals()); n != 10 {
			t.Errorf("%d arrived", n)
		}
		if h := w.hook(id); h.Hold != nil || h.Delivered != 10 {
			t.Errorf("counters %+v, hold %+v", h, h.Hold)
		}
	})
}

// Time on hold does not count against delivery.retry.for.
func TestAHoldStopsTheClock(t *testing.T) {
	story(t, func(w *world) {
		answer := make(chan int, 100)
		d := w.destination("some.example", "192.0.0.11", func(_ int, _ *http.Request, rw http.ResponseWriter) { rw.WriteHeader(<-answer) })
		id := w.createHook("some", "http://some.example/hook", `"*"`, `{"verification":"none","retry":{"initial":"1m","max":"1m","for":"30m"}}`)
		// Nor does an earlier time count for it.
		w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/deactivate", "", 200)
		w.wait(time.Hour)
		w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/activate", "", 200)
		answer <- 503
		answer <- 410
		w.send(200, event("one", start))
		w.wait(2 * time.Minute)
		if n := len(d.arrivals()); n != 2 {
			t.Fatalf("%d attempts", n)
		}
		w.wait(time.Hour)
		for range 98 {
			answer <- 503
		}
		w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/activate", "", 200)
		w.wait(20 * time.Minute)
		if h := w.hook(id); h.Waiting != 1 {
			t.Errorf("20 minutes after the hold: %+v", h)
		}
		w.wait(11 * time.Minute)
		dead := w.deliveries("state=dead")
		if len(dead) != 1 || dead[0].Reason != "retries_exhausted" {
			t.Errorf("31 minutes after the hold: %+v", dead)
		}
	})
}

func TestADeletedHookIsOwedNothing(t *testing.T) {
	story(t, func(w *world) {
		slow := w.busy("slow.example", "192.0.0.11", 10*time.Second)
		id := w.createHook("slow", "http://slow.example/hook", `"*"`, `{"verification":"none","concurrency":2,"rateLimit":"1/m"}`)
		other := w.destination("other.example", "192.0.0.12", nil)
		w.createHook("other", "http://other.example/hook", `"*"`, noHandshake)
		w.sendMany("event", 10)
		w.wait(65 * time.Second)
		w.call("DELETE", "/api/v1/eventHooks/"+id, "", 400) // it is active
		w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/deactivate", "", 200)
		w.call("DELETE", "/api/v1/eventHooks/"+id, "", 204)
		w.send(200, event("later", start))
		w.wait(time.Minute)
		if n := len(slow.arrivals()); n != 2 {
			t.Errorf("%d attempts, want the 2 that had begun", n)
		}
		cancelled := w.deliveries("state=cancelled")
		if len(cancelled) != 8 {
			t.Errorf("%d cancelled, want 8", len(cancelled))
		}
		for _, d := range cancelled {
			if d.Reason != "hook_deleted" {
				t.Errorf("%+v", d)
			}
		}
		if h := w.hook(id); h.Matched != 10 || h.Delivered != 2 || h.Cancelled != 8 || h.Waiting != 0 {
			t.Errorf("counters %+v", h)
		}
		if n := len(other.arrivals()); n != 11 {
			t.Errorf("%d arrived at the other hook", n)
		}
		w.stop()
		w.start()
		w.wait(time.Hour)
		if h := w.hook(id); h.Matched != 10 || h.Cancelled != 8 || len(slow.arrivals()) != 2 {
			t.Errorf("after a restart: %+v", h)
		}
	})
}
