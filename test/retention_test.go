package test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

const day = 24 * time.Hour

// sleepFor stops the gateway for some time, and gives it two minutes for upkeep
// after the next start.
func (w *world) sleepFor(d time.Duration) {
	w.Helper()
	w.stop()
	w.wait(d - 2*time.Minute)
	w.start()
	w.wait(2 * time.Minute)
}

// gone is a destination that wants no more: its hook is on hold.
func gone(_ int, _ *http.Request, rw http.ResponseWriter) { rw.WriteHeader(http.StatusGone) }

// has reports whether there is an event with a uuid.
func (w *world) has(uuid string) bool {
	w.Helper()
	return len(w.events("uuid="+uuid)) == 1
}

func TestEventsAreKeptFor90Days(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.destination("gone.example", "192.0.0.12", gone)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		held := w.createHook("held", "http://gone.example/hook", `"held"`, `{"verification":"none","keep":"8760h"}`)
		w.send(200, event("settled", start))
		w.send(200, event("owed", "held"))
		w.post(400, "acme", "not a delivery")
		w.wait(time.Minute)
		w.sleepFor(89 * day)
		w.send(200, event("late", start))
		for _, uuid := range []string{"settled", "owed", "late"} {
			if !w.has(uuid) {
				t.Errorf("event %s is gone after 89 days", uuid)
			}
		}
		if n := len(w.rejected()); n != 1 {
			t.Errorf("%d rejected bodies after 89 days", n)
		}
		w.sleepFor(2 * day)
		if w.has("settled") || !w.has("owed") || !w.has("late") || len(w.rejected()) != 0 {
			t.Errorf("after 91 days: settled %v, owed %v, late %v, %d rejected", w.has("settled"), w.has("owed"), w.has("late"), len(w.rejected()))
		}
		if got := w.deliveries("hook=" + held); len(got) != 1 || got[0].State != "waiting" {
			t.Errorf("owed: %+v", got)
		}
		// Once it is delivered it may go.
		w.replace(held, "held", "http://good.example/held", "")
		w.wait(2 * time.Minute)
		if w.has("owed") || len(d.arrivals()) != 4 {
			t.Errorf("the owed event is still there: %v; %d arrived", w.has("owed"), len(d.arrivals()))
		}
		if h := w.hook(held); h.Delivered != 1 {
			t.Errorf("counters %+v", h)
		}
	})
}

// Dedupe keys outlive their events: to the hundredth day.
func TestADuplicateIsKnownFor100Days(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		uuids := []string{uuid1, "01890a5d-ac96-774b-bcce-b302099a8057", "odd"}
		for _, uuid := range uuids {
			w.send(200, event(uuid, start))
		}
		w.sleepFor(95 * day)
		w.send(200, event("late", start))
		w.wait(2 * time.Minute)
		for _, uuid := range uuids {
			if w.has(uuid) {
				t.Errorf("event %s is still there after 95 days", uuid)
			}
			w.send(200, event(uuid, start))
		}
		w.wait(time.Minute)
		d.once(append(uuids, "late")...)
		if c := w.source("acme").Counters; c.Duplicates != len(uuids) {
			t.Errorf("counters %+v", c)
		}
		w.sleepFor(6 * day)
		for _, uuid := range uuids {
			w.send(200, event(uuid, start))
		}
		w.wait(time.Minute)
		if n := len(d.arrivals()); n != 2*len(uuids)+1 {
			t.Errorf("%d arrived, want all but one twice", n)
		}
	})
}

// A hook that is forgotten: its deliveries expire after delivery.keep, which is
// said a week ahead.
func TestDeliveriesExpire(t *testing.T) {
	const ahead, expired = "will expire", "deliveries expired"
	story(t, func(w *world) {
		w.destination("gone.example", "192.0.0.12", gone)
		id := w.createHook("forgotten", "http://gone.example/hook", `"*"`, noHandshake)
		short := w.createHook("short", "http://gone.example/short", `"short"`, `{"verification":"none","keep":"1h"}`)
		w.send(200, event("one", start))
		w.wait(time.Minute)
		w.send(200, event("two", start))
		w.sleepFor(22 * day)
		if w.log.count(ahead, id) != 0 || w.log.count(expired) != 0 {
			t.Errorf("said %d times that they will expire, after 22 days", w.log.count(ahead, id))
		}
		w.sleepFor(2 * day)
		if n := w.log.count(ahead, id, "name=forgotten", "expires=2000-01-31"); n != 1 {
			t.Errorf("said %d times that they will expire, after 24 days", n)
		}
		if h := w.hook(id); h.Waiting != 2 || h.Dead != 0 {
			t.Errorf("after 24 days: %+v", h)
		}
		w.sleepFor(6*day + time.Hour)
		dead := w.deliveries("state=dead&hook=" + id)
		if len(dead) != 2 || dead[0].Reason != "expired" || dead[1].Reason != "expired" {
			t.Errorf("after 30 days: %+v", dead)
		}
		if w.log.count(expired, id, "deliveries=2") != 1 {
			t.Error("it was not said that they have expired")
		}
		// Dead letters can be sent again.
		d := w.destination("back.example", "192.0.0.13", nil)
		w.replace(id, "forgotten", "http://back.example/hook", "")
		w.call("POST", "/v1/deliveries/"+dead[0].ID+"/retry", "", http.StatusCreated)
		w.wait(time.Second)
		if n := len(d.arrivals()); n != 1 {
			t.Errorf("%d arrived", n)
		}

		w.send(200, event("three", "short"))
		w.wait(40 * time.Minute)
		if n := w.log.count(ahead, short); n != 1 {
			t.Errorf("said %d times that what is kept for an hour will expire", n)
		}
		w.wait(22 * time.Minute)
		if h := w.hook(short); h.Dead != 1 {
			t.Errorf("after 62 minutes: %+v", h)
		}
	})
}

// letters is text that does not compress well.
func letters(random *rand.Rand, n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(b)
}

// At its size limit the store loses the oldest settled events, then the oldest
// that are owed, and never one that is sent to it.
func TestTheSizeLimit(t *testing.T) {
	const limit = 10 << 20
	storyWith(t, func(o *app.Options) { o.RetentionSize = limit }, func(w *world) {
		w.destination("gone.example", "192.0.0.12", gone)
		good := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"settled"`, noHandshake)
		held := w.createHook("held", "http://gone.example/hook", `"owed"`, noHandshake)
		pad := letters(rand.New(rand.NewPCG(1, 1)), 300<<10)
		fill := func(kind string, from, to int) {
			t.Helper()
			for i := from; i < to; i++ {
				w.send(200, fmt.Sprintf(`{"uuid":"%s-%d","eventType":%q,"pad":"%s"}`, kind, i, kind, pad[i*100:250<<10+i*100]))
			}
			w.wait(90 * time.Second)
			if n := w.counters().Store.Bytes; n > limit+limit/10 {
				t.Errorf("the store has %d bytes", n)
			}
		}
		fill("owed", 0, 2) // 250 KiB each
		fill("settled", 0, 45)
		if h := w.hook(held); h.Waiting != 2 || h.Dead != 0 {
			t.Errorf("owed: %+v", h)
		}
		if w.has("settled-0") || !w.has("settled-44") || !w.has("owed-0") {
			t.Errorf("settled-0 %v, settled-44 %v, owed-0 %v", w.has("settled-0"), w.has("settled-44"), w.has("owed-0"))
		}
		fill("owed", 2, 45)
		h := w.hook(held)
		if h.Dead < 3 || h.Dead > 12 || h.Matched != 45 {
			t.Errorf("owed: %+v", h)
		}
		if w.has("owed-0") || !w.has("owed-44") || w.has("settled-44") {
			t.Errorf("owed-0 %v, owed-44 %v, settled-44 %v", w.has("owed-0"), w.has("owed-44"), w.has("settled-44"))
		}
		if n := w.log.count("at its size limit", "reason=store_full"); n == 0 {
			t.Error("it was not said that deliveries had to end")
		}
		if n := len(good.arrivals()); n != 45 {
			t.Errorf("%d arrived at the good destination", n)
		}
		// What is left waits as before.
		w.replace(held, "held", "http://good.example/held", "")
		w.wait(time.Second)
		if n := len(good.arrivals()) - 45; n != h.Waiting {
			t.Errorf("%d of %d that waited arrived", n, h.Waiting)
		}
	})
}

// Removing a lot keeps nobody waiting.
func TestIntakeIsAnsweredWhileMuchIsRemoved(t *testing.T) {
	storyWith(t, func(o *app.Options) { o.Retention, o.DedupeRetention = time.Hour, 2*time.Hour }, func(w *world) {
		w.createSource("other")
		for i := range 300 {
			w.sendMany(fmt.Sprint("old-", i), 3)
		}
		w.stop()
		w.wait(3 * time.Hour)
		w.start()
		for i := range 50 {
			begun := time.Now()
			w.send(200, event(fmt.Sprint("new-", i), start))
			if took := time.Since(begun); took > 20*time.Millisecond {
				t.Errorf("a call was answered after %v", took)
			}
		}
		w.wait(time.Minute)
		if n := len(w.events("")); n < 50 || n > 53 {
			t.Errorf("%d events are left", n)
		}
	})
}
