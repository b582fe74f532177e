package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const challengeHeader = "X-Okta-Verification-Challenge"

// speaksOkta answers Okta's handshake, and takes everything.
func speaksOkta(_ int, r *http.Request, w http.ResponseWriter) {
	if r.Method == http.MethodGet {
		_ = json.NewEncoder(w).Encode(map[string]string{"verification": r.Header.Get(challengeHeader)})
	}
}

// methods is what a destination was sent.
func (d *destination) methods() (list string) {
	for _, a := range d.arrivals() {
		list += a.method + " "
	}
	return strings.TrimSpace(list)
}

// verification is a hook's status.
func (w *world) verification(id string) string {
	w.Helper()
	var h struct{ VerificationStatus string }
	w.get("/api/v1/eventHooks/"+id, &h)
	return h.VerificationStatus
}

func (w *world) verify(id string, status int) []byte {
	w.Helper()
	return w.call("POST", "/api/v1/eventHooks/"+id+"/lifecycle/verify", "", status)
}

func TestTheHandshake(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", speaksOkta)
		body := strings.Replace(hookBody("good", "http://good.example/okta?k=v", `"*"`, ""), `"config":{`,
			`"config":{"headers":[{"key":"X-Tenant","value":"t1"},{"key":"x-zone","value":"eu"}],`, 1)
		id := w.createHookWith(body)
		w.send(200, event("before", start))
		w.wait(time.Minute)
		if got := d.methods(); got != "" || w.verification(id) != "UNVERIFIED" {
			t.Fatalf("before verification: %s, sent %q", w.verification(id), got)
		}
		w.verify(id, 200)
		if w.verification(id) != "VERIFIED" {
			t.Errorf("after verification: %s", w.verification(id))
		}
		get := d.arrivals()[0]
		for key, want := range map[string]string{"Authorization": "s3cret", "X-Tenant": "t1", "X-Zone": "eu", "Accept": "application/json"} {
			if got := get.header.Get(key); got != want {
				t.Errorf("the GET has %s: %q, want %q", key, got, want)
			}
		}
		if c := get.header.Get(challengeHeader); len(c) < 26 || len(c) > 100 || len(get.body) != 0 || get.header.Get("Content-Type") != "" {
			t.Errorf("the GET has the challenge %q, a body of %d bytes and Content-Type %q", c, len(get.body), get.header.Get("Content-Type"))
		}

		// It is owed everything from now on, and nothing from before.
		w.send(200, event("after", start))
		w.wait(time.Minute)
		if got := d.methods(); got != "GET POST" || d.arrivals()[1].uuid != "after" {
			t.Errorf("sent %q", got)
		}
		if h := w.hook(id); h.Matched != 1 {
			t.Errorf("counters %+v", h)
		}
		w.verify(id, 200) // again
		w.verify(w.createHook("gateway only speaks POST", "http://good.example/post", `"*"`, noHandshake), 200)
		if got := d.methods(); got != "GET POST GET" {
			t.Errorf("sent %q", got)
		}
		if first, second := d.arrivals()[0], d.arrivals()[2]; first.header.Get(challengeHeader) == second.header.Get(challengeHeader) {
			t.Error("two handshakes had the same challenge")
		}
	})
}

func TestHandshakesThatFail(t *testing.T) {
	right := func(r *http.Request) string { return `{"verification":"` + r.Header.Get(challengeHeader) + `"}` }
	hang := func(_ int, r *http.Request, _ http.ResponseWriter) { <-r.Context().Done() }
	for _, test := range []struct {
		name   string
		answer func(n int, r *http.Request, w http.ResponseWriter)
		gets   int
		ok     bool
		took   time.Duration
	}{
		{"another value", func(_ int, _ *http.Request, w http.ResponseWriter) { io.WriteString(w, `{"verification":"x"}`) }, 2, false, 0},
		{"nothing", func(int, *http.Request, http.ResponseWriter) {}, 2, false, 0},
		{"the bare value", func(_ int, r *http.Request, w http.ResponseWriter) { io.WriteString(w, r.Header.Get(challengeHeader)) }, 2, false, 0},
		{"500", func(_ int, r *http.Request, w http.ResponseWriter) { w.WriteHeader(500); io.WriteString(w, right(r)) }, 2, false, 0},
		{"401", func(_ int, _ *http.Request, w http.ResponseWriter) { w.WriteHeader(401) }, 2, false, 0},
		{"a redirect", func(_ int, r *http.Request, w http.ResponseWriter) { http.Redirect(w, r, "/elsewhere", 302) }, 2, false, 0},
		{"too much", func(_ int, r *http.Request, w http.ResponseWriter) {
			io.WriteString(w, right(r)+strings.Repeat(" ", 70<<10))
		}, 2, false, 0},
		{"no answer", hang, 2, false, 6 * time.Second},
		{"right, the second time", func(n int, r *http.Request, w http.ResponseWriter) {
			if n == 1 {
				w.WriteHeader(503)
			}
			io.WriteString(w, right(r))
		}, 2, true, 0},
		{"no answer the first time", func(n int, r *http.Request, w http.ResponseWriter) {
			if n == 1 {
				hang(n, r, w)
			}
			io.WriteString(w, right(r))
		}, 2, true, 3 * time.Second},
		{"in time", func(_ int, r *http.Request, w http.ResponseWriter) {
			<-time.After(2900 * time.Millisecond)
			io.WriteString(w, right(r))
		}, 1, true, 2900 * time.Millisecond},
		{"204 with nothing", func(_ int, _ *http.Request, w http.ResponseWriter) { w.WriteHeader(204) }, 2, false, 0},
		{"201 and more keys", func(_ int, r *http.Request, w http.ResponseWriter) {
			w.WriteHeader(201)
			io.WriteString(w, ` {"a":[1],"verification":"`+r.Header.Get(challengeHeader)+`","b":null}`)
		}, 1, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			story(t, func(w *world) {
				d := w.destination("some.example", "192.0.0.11", test.answer)
				id := w.createHook("My \"hook\"", "http://some.example/okta", `"*"`, `{}`)
				status := http.StatusOK
				if !test.ok {
					status = http.StatusBadRequest
				}
				begun := time.Now()
				answer := w.verify(id, status)
				if took := time.Since(begun); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if n := len(d.arrivals()); n != test.gets {
					t.Errorf("%d GETs, want %d", n, test.gets)
				}
				if got, want := w.verification(id), map[bool]string{true: "VERIFIED", false: "UNVERIFIED"}[test.ok]; got != want {
					t.Errorf("%s, want %s", got, want)
				}
				if !test.ok {
					verificationFailed(t, answer, `Unable to verify event hook. Hook My "hook" execution failed`)
				}
			})
		})
	}
}

// verificationFailed wants Okta's answer to a failed handshake.
func verificationFailed(t *testing.T, answer []byte, cause string) {
	t.Helper()
	var e struct {
		ErrorCode, ErrorSummary, ErrorLink, ErrorID string
		ErrorCauses                                 []struct{ ErrorSummary string }
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		t.Fatal(err)
	}
	if e.ErrorCode != "E0000001" || e.ErrorSummary != "Api validation failed: eventHook" || e.ErrorLink != "E0000001" ||
		!strings.HasPrefix(e.ErrorID, "oae") || len(e.ErrorCauses) == 0 || e.ErrorCauses[0].ErrorSummary != cause {
		t.Errorf("answered %s", answer)
	}
}

func TestAGuardedDestinationIsNotVerified(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("inside.example", "10.0.0.1", speaksOkta)
		id := w.createHook("inside", "http://inside.example/okta", `"*"`, `{}`)
		verificationFailed(t, w.verify(id, 400), "Unable to verify event hook. Hook inside execution failed")
		w.net.name("inside.example", "192.0.0.11")
		w.verify(id, 400) // nobody listens there
		if got := d.methods(); got != "" {
			t.Errorf("sent %q", got)
		}
		w.allow("192.0.0.0/24", "10.0.0.0/8")
		w.net.name("inside.example", "10.0.0.1")
		w.verify(id, 200)
	})
}

// A new channel has to be verified again. Meanwhile everything waits.
func TestANewChannelIsVerifiedAgain(t *testing.T) {
	story(t, func(w *world) {
		first := w.destination("first.example", "192.0.0.11", speaksOkta)
		second := w.destination("second.example", "192.0.0.12", speaksOkta)
		id := w.createHook("moves", "http://first.example/okta", `"*"`, `{}`)
		w.verify(id, 200)
		w.send(200, event("one", start))
		w.wait(time.Second)
		w.call("PUT", "/api/v1/eventHooks/"+id, hookBody("moves", "http://first.example/okta", `"*"`, ""), 200)
		if got := w.verification(id); got != "VERIFIED" {
			t.Errorf("after a PUT of the same channel: %s", got)
		}
		w.call("PUT", "/api/v1/eventHooks/"+id, hookBody("moves", "http://second.example/okta", `"*"`, ""), 200)
		if got := w.verification(id); got != "UNVERIFIED" {
			t.Errorf("after a PUT of another channel: %s", got)
		}
		w.send(200, event("two", start))
		w.wait(time.Hour)
		waiting := w.deliveries("state=waiting")
		if len(waiting) != 1 || waiting[0].Reason != "hook_unverified" || second.methods() != "" || first.methods() != "GET POST" {
			t.Errorf("waiting: %+v; sent %q and %q", waiting, first.methods(), second.methods())
		}
		w.verify(id, 200)
		w.send(200, event("three", start))
		w.wait(time.Second)
		if got := second.methods(); got != "GET POST POST" {
			t.Errorf("sent %q", got)
		}
		if h := w.hook(id); h.Delivered != 3 || h.Waiting != 0 {
			t.Errorf("counters %+v", h)
		}
	})
}

func TestNoVerification(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("post.example", "192.0.0.11", nil)
		id := w.createHook("post", "http://post.example/a", `"*"`, noHandshake)
		for n, uri := range []string{"http://post.example/a", "http://post.example/b"} {
			w.call("PUT", "/api/v1/eventHooks/"+id, hookBody("post", uri, `"*"`, ""), 200)
			if got := w.verification(id); got != "VERIFIED" {
				t.Errorf("after a PUT of %s: %s", uri, got)
			}
			w.send(200, event(fmt.Sprint("event-", n), start))
		}
		w.wait(time.Second)
		if got := d.methods(); got != "POST POST" {
			t.Errorf("sent %q", got)
		}
	})
}
