package test

import (
	"strings"
	"testing"
	"time"
)

// A filter that cannot judge an event counts as no match, and it shows: with
// the event, and in the hook's counters.
func TestAFilterThatCannotJudgeShowsWhy(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("some.example", "192.0.0.11", nil)
		picky := w.createHookWith(hookBody("picky", "http://some.example/picky", `"*"`, noHandshake, "*", "event.outcome.result > 5"))
		sober := w.createHookWith(hookBody("sober", "http://some.example/sober", `"user.session.*"`, noHandshake, "user.session.start", "event.outcome.result eq 'SUCCESS'"))
		w.send(200, event("odd", start), event("end", "user.session.end"), strings.Replace(event("failed", start), "SUCCESS", "FAILURE", 1),
			strings.Replace(event("number", "x"), `"SUCCESS"`, "7", 1))
		w.wait(time.Second)
		var got []string
		for _, a := range d.arrivals() {
			got = append(got, a.uuid)
		}
		if len(got) != 3 {
			t.Errorf("arrived: %q, want odd and end for one hook, number for the other", got)
		}
		for uuid, hooks := range map[string][]string{"odd": {picky}, "end": {picky}, "failed": {picky}, "number": nil} {
			e := w.event(uuid)
			if len(e.FilterErrors) != len(hooks) {
				t.Errorf("event %s: %+v", uuid, e.FilterErrors)
				continue
			}
			for i, f := range e.FilterErrors {
				if f.Hook != hooks[i] || f.Reason != "filter_error" || f.Detail == "" {
					t.Errorf("event %s: %+v", uuid, f)
				}
			}
		}
		if h := w.hook(picky); h.FilterErrors != 3 || h.Matched != 1 {
			t.Errorf("counters %+v", h)
		}
		if h := w.hook(sober); h.FilterErrors != 0 || h.Matched != 2 {
			t.Errorf("counters %+v", h)
		}
	})
}

// Events of one source only, and of all others, and wildcards beside types.
func TestSourcesAndWildcards(t *testing.T) {
	story(t, func(w *world) {
		w.createSource("other")
		d := w.destination("some.example", "192.0.0.11", nil)
		for name, of := range map[string][2]string{
			"all":     {`"*"`, noHandshake},
			"acme":    {`"*"`, `{"verification":"none","sources":["acme"]}`},
			"session": {`"user.session.*","user.session.start"`, `{"verification":"none","sources":["other","acme"]}`},
			"exact":   {`"user.session.start"`, `{"verification":"none","sources":["other"]}`},
		} {
			w.createHook(name, "http://some.example/"+name, of[0], of[1])
		}
		w.send(200, event("a", start), event("b", "group.add"))
		w.post(200, "other", delivery(event("c", start), event("d", "user.session.end")))
		w.wait(time.Second)
		want := map[string]int{"all": 4, "acme": 2, "session": 3, "exact": 1}
		for _, h := range w.counters().Hooks {
			if h.Matched != want[h.Name] || h.Delivered != want[h.Name] {
				t.Errorf("%s: %+v, want %d", h.Name, h, want[h.Name])
			}
		}
		if n := len(d.arrivals()); n != 10 {
			t.Errorf("%d arrived", n)
		}
		w.call("POST", "/api/v1/eventHooks", hookBody("bad", "http://some.example/x", `"*"`, `{"verification":"none","sources":["nobody"]}`), 400)
	})
}
