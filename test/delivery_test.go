package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const uuid1 = "0f6a1c52-5a7e-11f1-9c3d-2b7e4d10a6f3"

type deliveryView struct {
	ID, State, Reason, Event string
	AttemptCount             int
	Attempts                 []struct {
		Status           int
		Reason, Duration string
	}
	ReplayOf string
	Response *struct {
		Status int
		Body   string
	}
}

// deliveries lists what a query selects.
func (w *world) deliveries(query string) []deliveryView {
	w.Helper()
	var page struct{ Items []deliveryView }
	w.get("/v1/deliveries?"+query, &page)
	return page.Items
}

func TestDeliveredOnceEach(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"*"`, `{"verification":"none","signing":{"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}`)
		w.send(200, event(uuid1, "user.session.start"), event(uuid1, "user.session.start"))
		w.send(200, event(uuid1, "user.session.start"), event("another", "user.session.end"))
		w.wait(time.Second)
		got := d.arrivals()
		if len(got) != 2 {
			t.Fatalf("%d deliveries, want 2", len(got))
		}
		for _, a := range got {
			if a.header.Get("Authorization") != "s3cret" || a.header.Get("webhook-signature") == "" || !strings.HasPrefix(a.id, "dlv") {
				t.Errorf("headers %v", a.header)
			}
		}
		if got := w.deliveries("state=delivered"); len(got) != 2 {
			t.Errorf("%d delivered, want 2", len(got))
		}
	})
}

func TestRetriesUntilTheDestinationIsBack(t *testing.T) {
	story(t, func(w *world) {
		w.net.name("down.example", "192.0.0.12")
		w.createHook("down", "http://down.example/hook", `"*"`, `{"verification":"none"}`)
		const events = 20
		for n := range events {
			w.send(200, event(fmt.Sprintf("event-%d", n), "user.session.start"))
		}
		w.wait(2 * time.Hour)
		if got := len(w.deliveries("state=waiting")); got != events {
			t.Fatalf("%d wait, want %d", got, events)
		}
		d := w.destination("down.example", "192.0.0.12", nil)
		w.wait(61 * time.Minute) // the longest wait is an hour
		if got := len(d.arrivals()); got != events {
			t.Fatalf("%d arrived, want %d", got, events)
		}
		if got := len(w.deliveries("state=delivered")); got != events {
			t.Errorf("%d delivered, want %d", got, events)
		}
	})
}

func TestGivesUpAfterThePolicy(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("bad.example", "192.0.0.13", func(_ int, _ *http.Request, rw http.ResponseWriter) {
			rw.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(rw, strings.Repeat("no", 20<<10))
		})
		w.createHook("bad", "http://bad.example/hook", `"*"`, `{"verification":"none","retry":{"schedule":["5s","1m"]}}`)
		w.send(200, event(uuid1, "user.session.start"))
		w.wait(2 * time.Minute)
		got := d.arrivals()
		if len(got) != 3 {
			t.Fatalf("%d attempts, want 3", len(got))
		}
		for i, want := range []time.Duration{0, 5 * time.Second, 65 * time.Second} {
			if late := got[i].at - got[0].at - want; late < 0 || late > time.Second {
				t.Errorf("attempt %d after %v, want %v", i+1, got[i].at-got[0].at, want)
			}
			if got[i].id != got[0].id || got[i].eventID != got[0].eventID {
				t.Errorf("attempt %d has other ids than the first", i+1)
			}
		}
		dead := w.deliveries("state=dead")
		if len(dead) != 1 || dead[0].Reason != "retries_exhausted" {
			t.Fatalf("dead letters: %+v", dead)
		}
		var one deliveryView
		w.get("/v1/deliveries/"+dead[0].ID, &one)
		if len(one.Attempts) != 3 || one.Response == nil || one.Response.Status != 500 || len(one.Response.Body) != 16<<10 {
			t.Errorf("dead letter: %d attempts, response %v", len(one.Attempts), one.Response != nil)
		}

		// A retry is a new delivery that points back.
		var again deliveryView
		if err := unmarshal(w.call("POST", "/v1/deliveries/"+dead[0].ID+"/retry", "", http.StatusCreated), &again); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		got = d.arrivals()
		if len(got) != 4 || got[3].id != again.ID || again.ID == dead[0].ID || got[3].uuid != uuid1 || again.ReplayOf != dead[0].ID {
			t.Errorf("retry: %+v, %d arrivals", again, len(got))
		}
	})
}

func TestNotRetryable(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("bad.example", "192.0.0.13", func(_ int, _ *http.Request, rw http.ResponseWriter) {
			http.Redirect(rw, &http.Request{}, "http://good.example/", http.StatusFound)
		})
		w.createHook("bad", "http://bad.example/hook", `"*"`, `{"verification":"none"}`)
		w.send(200, event(uuid1, "user.session.start"))
		w.wait(time.Hour)
		dead := w.deliveries("state=dead")
		if len(d.arrivals()) != 1 || len(dead) != 1 || dead[0].Reason != "not_retryable" {
			t.Errorf("%d attempts, dead %+v", len(d.arrivals()), dead)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("busy.example", "192.0.0.14", func(n int, _ *http.Request, rw http.ResponseWriter) {
			if n == 1 {
				rw.Header().Set("Retry-After", "120")
				rw.WriteHeader(http.StatusTooManyRequests)
			}
		})
		w.createHook("busy", "http://busy.example/hook", `"*"`, `{"verification":"none"}`)
		w.send(200, event(uuid1, "user.session.start"))
		w.wait(time.Hour)
		got := d.arrivals()
		if len(got) != 2 || got[1].at-got[0].at < 2*time.Minute || got[1].at-got[0].at > 2*time.Minute+time.Second {
			t.Fatalf("arrivals %v", got)
		}
	})
}

func TestAHangingHookSlowsNoOther(t *testing.T) {
	story(t, func(w *world) {
		w.destination("hangs.example", "192.0.0.15", func(_ int, r *http.Request, _ http.ResponseWriter) { <-r.Context().Done() })
		d := w.destination("good.example", "192.0.0.16", nil)
		w.createHook("hangs", "http://hangs.example/hook", `"*"`, `{"verification":"none"}`)
		w.createHook("good", "http://good.example/hook", `"*"`, `{"verification":"none"}`)
		const events = 2000
		for n := range events / 20 {
			var batch []string
			for i := range 20 {
				batch = append(batch, event(fmt.Sprintf("event-%d", n*20+i), "user.session.start"))
			}
			w.send(200, batch...)
		}
		w.wait(time.Second)
		if got := len(d.arrivals()); got != events {
			t.Errorf("%d of %d arrived at the good destination within a second", got, events)
		}
	})
}

func TestGonePutsTheHookOnHold(t *testing.T) {
	story(t, func(w *world) {
		var back atomic.Bool
		d := w.destination("gone.example", "192.0.0.17", func(_ int, _ *http.Request, rw http.ResponseWriter) {
			if !back.Load() {
				rw.WriteHeader(http.StatusGone)
			}
		})
		id := w.createHook("gone", "http://gone.example/hook", `"*"`, `{"verification":"none"}`)
		w.send(200, event("one", "user.session.start"))
		w.wait(time.Minute)
		w.send(200, event("two", "user.session.start"))
		w.wait(2 * time.Hour)
		if n := len(d.arrivals()); n != 1 {
			t.Fatalf("%d attempts, want 1", n)
		}
		if got := w.deliveries("state=waiting"); len(got) != 2 {
			t.Fatalf("waiting: %+v", got)
		}
		back.Store(true)
		w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/activate", "", 200)
		w.wait(time.Minute)
		if n := len(w.deliveries("state=delivered")); n != 2 {
			t.Errorf("%d delivered after activation, want 2", n)
		}
	})
}

func TestRefusedDestinationWaits(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("moves.example", "192.0.0.18", nil)
		w.net.name("moves.example", "10.0.0.1")
		w.createHook("moves", "http://moves.example/hook", `"*"`, `{"verification":"none"}`)
		w.send(200, event("one", "user.session.start"), event("two", "user.session.start"))
		w.wait(time.Hour)
		got := w.deliveries("")
		if len(got) != 2 || got[0].State != "waiting" || got[0].AttemptCount != 0 {
			t.Fatalf("deliveries: %+v", got)
		}
		w.net.name("moves.example", "192.0.0.18")
		w.wait(16 * time.Minute)
		if n := len(d.arrivals()); n != 2 {
			t.Errorf("%d arrived after the name led elsewhere, want 2", n)
		}
	})
}

func TestWaitsWhileInactive(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.16", nil)
		id := w.createHook("good", "http://good.example/hook", `"*"`, `{"verification":"none"}`)
		w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/deactivate", "", 200)
		w.send(200, event("one", "user.session.start"))
		w.wait(2 * time.Hour)
		if len(d.arrivals()) != 0 {
			t.Fatal("an inactive hook was delivered to")
		}
		w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/activate", "", 200)
		w.wait(time.Second)
		if len(d.arrivals()) != 1 {
			t.Error("what waited was not delivered after activation")
		}
	})
}

func TestRestartGoesOn(t *testing.T) {
	story(t, func(w *world) {
		w.net.name("later.example", "192.0.0.19")
		w.createHook("later", "http://later.example/hook", `"*"`, `{"verification":"none"}`)
		w.send(200, event("one", "user.session.start"), event("two", "user.session.start"))
		w.wait(time.Minute)
		w.stop()
		d := w.destination("later.example", "192.0.0.19", nil)
		w.start()
		w.send(200, event("one", "user.session.start"))
		w.wait(time.Hour)
		if n := len(d.arrivals()); n != 2 {
			t.Errorf("%d arrived, want 2", n)
		}
	})
}
