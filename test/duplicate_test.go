package test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// twoHooks makes two destinations that want everything.
func (w *world) twoHooks() (one, two *destination) {
	w.Helper()
	one = w.destination("one.example", "192.0.0.21", nil)
	two = w.destination("two.example", "192.0.0.22", nil)
	w.createHook("one", "http://one.example/hook", `"*"`, noHandshake)
	w.createHook("two", "http://two.example/hook", `"user.session.start"`, noHandshake)
	return one, two
}

// once wants each of some events to have arrived exactly once.
func (d *destination) once(uuids ...string) {
	d.w.Helper()
	times := map[string]int{}
	for _, a := range d.arrivals() {
		times[a.uuid]++
	}
	for _, uuid := range uuids {
		if times[uuid] != 1 {
			d.w.Errorf("event %s arrived %d times", uuid, times[uuid])
		}
		delete(times, uuid)
	}
	for uuid, n := range times {
		d.w.Errorf("event %s arrived %d times, and was not to", uuid, n)
	}
}

const start = "user.session.start"

func TestDuplicatesInOneBatch(t *testing.T) {
	story(t, func(w *world) {
		one, two := w.twoHooks()
		w.send(200, event("a", start), event("a", start), event("b", start), event("a", start))
		w.wait(time.Second)
		one.once("a", "b")
		two.once("a", "b")
		if c := w.source("acme").Counters; c.Received != 2 || c.Duplicates != 2 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestDuplicatesInLaterBatches(t *testing.T) {
	story(t, func(w *world) {
		one, two := w.twoHooks()
		w.send(200, event("a", start), event("b", start))
		w.wait(time.Minute)
		w.send(200, event("c", start), event("b", start))
		w.send(200, event("a", start))
		w.send(200, event("a", start), event("b", start), event("c", start))
		w.wait(time.Second)
		one.once("a", "b", "c")
		two.once("a", "b", "c")
	})
}

// The first copy is the event; a later one is a duplicate whatever it says.
func TestADuplicateMayDiffer(t *testing.T) {
	story(t, func(w *world) {
		one, two := w.twoHooks()
		first := `{"uuid":"a","eventType":"user.session.end","say":"first"}`
		w.send(200, first, `{"uuid":"a","eventType":"user.session.start","say":"second"}`)
		w.send(200, `{"uuid":"a","eventType":"user.session.start","say":"third"}`)
		w.wait(time.Second)
		one.once("a")
		two.once() // it wants only user.session.start
		if e := w.event("a"); string(e.LogEvent) != first || e.Type != "user.session.end" {
			t.Errorf("kept: %s", e.LogEvent)
		}
	})
}

func TestDuplicatesAtOnce(t *testing.T) {
	story(t, func(w *world) {
		one, two := w.twoHooks()
		const callers, events = 40, 10
		var uuids []string
		for i := range events {
			uuids = append(uuids, fmt.Sprint("event-", i))
		}
		var calls sync.WaitGroup
		for c := range callers {
			calls.Go(func() {
				var batch []string
				for i := range events {
					batch = append(batch, event(uuids[(i+c)%events], start))
				}
				if status, _, err := w.tryPost("acme", delivery(batch...)); status != 200 {
					t.Errorf("caller %d: %d, %v", c, status, err)
				}
			})
		}
		calls.Wait()
		w.wait(time.Second)
		one.once(uuids...)
		two.once(uuids...)
		if c := w.source("acme").Counters; c.Received != events || c.Duplicates != (callers-1)*events || c.Deliveries != callers {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestDuplicatesAfterARestart(t *testing.T) {
	story(t, func(w *world) {
		one, two := w.twoHooks()
		// Okta's own uuids are of version 1, others are possible.
		uuids := []string{uuid1, strings.ToUpper(uuid1), "01890a5d-ac96-774b-bcce-b302099a8057", "6c1b7a2e-93d4-4f0a-8b6e-2f5d1a7c9e30", "odd", uuid1 + "x"}
		for _, uuid := range uuids {
			w.send(200, event(uuid, start))
		}
		w.stop()
		w.start()
		for _, uuid := range uuids {
			w.send(200, event(uuid, start))
		}
		w.wait(time.Second)
		one.once(uuids...)
		two.once(uuids...)
	})
}

// One uuid from two orgs is two events.
func TestOneUUIDOfTwoSources(t *testing.T) {
	story(t, func(w *world) {
		w.createSource("other")
		one, _ := w.twoHooks()
		w.send(200, event("a", start))
		w.post(200, "other", delivery(event("a", start)))
		w.post(200, "other", delivery(event("a", start)))
		w.wait(time.Second)
		if n := len(one.arrivals()); n != 2 {
			t.Errorf("%d arrived, want 2", n)
		}
		if n := len(w.events("uuid=a")); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
	})
}

// A duplicate of an event that still waits makes no second delivery of it.
func TestADuplicateOfWhatWaits(t *testing.T) {
	story(t, func(w *world) {
		w.net.name("down.example", "192.0.0.23")
		id := w.createHook("down", "http://down.example/hook", `"*"`, `{"verification":"none","retry":{"schedule":["1m","1m","1m"]}}`)
		w.send(200, event("a", start))
		w.wait(90 * time.Second)
		w.send(200, event("a", start))
		d := w.destination("down.example", "192.0.0.23", nil)
		w.wait(2 * time.Minute)
		d.once("a")
		if h := w.hook(id); h.Matched != 1 || h.Delivered != 1 {
			t.Errorf("counters %+v", h)
		}
	})
}
