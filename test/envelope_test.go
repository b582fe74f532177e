package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

const signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// verifySignature does what a consumer does, by the text of Standard Webhooks.
func (a *arrival) verifySignature(t *testing.T) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(signingSecret[len("whsec_"):])
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", a.header.Get("Webhook-Id"), a.header.Get("Webhook-Timestamp"), a.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); a.header.Get("Webhook-Signature") != want {
		t.Errorf("signature %q, want %q", a.header.Get("Webhook-Signature"), want)
	}
	seconds, err := strconv.ParseInt(a.header.Get("Webhook-Timestamp"), 10, 64)
	if at := epoch.Add(a.at).Unix(); err != nil || seconds != at {
		t.Errorf("timestamp %q at %d", a.header.Get("Webhook-Timestamp"), at)
	}
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// The ids stay the same over all attempts; what tells of the attempt does not.
func TestTheEnvelopeOfEveryAttempt(t *testing.T) {
	publicURL := func(o *app.Options) { o.PublicURL = "https://hooks.acme.example/okta/" }
	storyWith(t, publicURL, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", func(n int, _ *http.Request, rw http.ResponseWriter) {
			if n < 3 {
				rw.WriteHeader(500)
			}
		})
		id := w.createHook("good", "http://good.example/hook", `"*"`,
			`{"verification":"none","retry":{"schedule":["1500ms","1h"]},"signing":{"secret":"`+signingSecret+`"}}`)
		w.createSource("nameless")
		raw := event(uuid1, start)
		w.post(200, "nameless", `{"data":{"events":[`+raw+`]}}`)
		w.wait(2 * time.Second)
		w.stop()
		w.start()
		w.wait(2 * time.Hour)
		got := d.arrivals()
		if len(got) != 3 {
			t.Fatalf("%d attempts", len(got))
		}
		for i, a := range got {
			a.verifySignature(t)
			at := epoch.Add(a.at).UTC().Format("2006-01-02T15:04:05.000Z")
			want := `{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1",` +
				`"source":"https://hooks.acme.example/api/v1/eventHooks/` + id + `","eventId":"` + a.eventID + `",` +
				`"data":{"events":[` + raw + `]},"eventTime":"` + at + `","contentType":"application/json"}`
			if string(a.body) != want {
				t.Errorf("attempt %d carries\n%s\nwant\n%s", i+1, a.body, want)
			}
			if !uuidForm.MatchString(a.eventID) || a.eventID != got[0].eventID || a.id != got[0].id || a.id == "" {
				t.Errorf("attempt %d has the ids %s and %s, the first %s and %s", i+1, a.eventID, a.id, got[0].eventID, got[0].id)
			}
			for key, want := range map[string]string{"Content-Type": "application/json", "Accept": "application/json", "Authorization": "s3cret", "User-Agent": "Grapnel/test"} {
				if a.header.Get(key) != want {
					t.Errorf("attempt %d has %s: %q", i+1, key, a.header.Get(key))
				}
			}
		}

		// Another event, another hook and a replay have other ids.
		w.createHook("also", "http://good.example/hook", `"*"`, noHandshake)
		w.send(200, event("two", start))
		w.wait(time.Second)
		w.call("POST", "/v1/deliveries/"+got[0].id+"/retry", "", http.StatusCreated)
		w.wait(time.Second)
		ids, eventIDs := map[string]bool{}, map[string]bool{}
		for _, a := range d.arrivals() {
			ids[a.id], eventIDs[a.eventID] = true, true
		}
		if len(ids) != 4 || len(eventIDs) != 4 {
			t.Errorf("4 deliveries have %d ids and %d eventIds", len(ids), len(eventIDs))
		}
		// acme is known by its envelope's source; its hook is ours.
		var envelope struct{ Source string }
		for _, a := range d.arrivals() {
			if err := json.Unmarshal(a.body, &envelope); a.uuid == "two" && a.header.Get("Webhook-Signature") != "" &&
				(err != nil || envelope.Source != "https://acme.okta.example/api/v1/eventHooks/"+id) {
				t.Errorf("source %q, %v", envelope.Source, err)
			}
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	story(t, func(w *world) {
		elsewhere := w.destination("elsewhere.example", "192.0.0.12", nil)
		for i, status := range []int{301, 302, 303, 307, 308} {
			name := fmt.Sprint("moved-", status)
			d := w.destination(name+".example", fmt.Sprint("192.0.0.", 20+i), func(_ int, _ *http.Request, rw http.ResponseWriter) {
				rw.Header().Set("Location", "http://elsewhere.example/hook")
				rw.WriteHeader(status)
			})
			w.createHook(name, "http://"+name+".example/hook", fmt.Sprintf(`"moved.%d"`, status), noHandshake)
			w.send(200, event(name, fmt.Sprint("moved.", status)))
			w.wait(time.Minute)
			dead := w.deliveries("event=" + name)
			if len(d.arrivals()) != 1 || len(dead) != 1 || dead[0].State != "dead" || dead[0].Reason != "not_retryable" {
				t.Fatalf("%d: %d attempts, %+v", status, len(d.arrivals()), dead)
			}
			if one := w.delivery(dead[0].ID); one.Attempts[0].Reason != "redirect" || one.Response.Status != status {
				t.Errorf("%d: %+v", status, one)
			}
		}
		if got := elsewhere.methods(); got != "" {
			t.Errorf("a redirect was followed: %s", got)
		}
	})
}

func TestEnvironmentProxiesAreIgnored(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://192.0.0.200:3128")
	}
	story(t, func(w *world) {
		l, err := w.net.Listen("tcp", "192.0.0.200:3128")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				t.Error("the proxy of the environment was used")
				conn.Close()
			}
		}()
		d := w.destination("good.example", "192.0.0.11", speaksOkta)
		w.verify(w.createHook("good", "http://good.example/hook", `"*"`, `{}`), 200)
		w.send(200, event("one", start))
		w.wait(time.Minute)
		if got := d.methods(); got != "GET POST" {
			t.Errorf("sent %q", got)
		}
	})
}

// rawDestination is a destination that is no HTTP server.
func (w *world) rawDestination(host, addr string, serve func(net.Conn)) {
	w.Helper()
	w.net.name(host, addr)
	l, err := w.net.Listen("tcp", addr+":80")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
}

// However a destination misbehaves, the reason is kept, other hooks do not
// notice, and nothing is left behind.
func TestDestinationsThatMisbehave(t *testing.T) {
	read := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 64<<10)) }
	write := func(conn net.Conn, text string) error { _, err := conn.Write([]byte(text)); return err }
	kinds := map[string]func(net.Conn){
		"connection_failure": func(conn net.Conn) { read(conn) },
		"bad_response":       func(conn net.Conn) { read(conn); _ = write(conn, "220 mail.example ESMTP\r\n") },
		"timeout":            func(conn net.Conn) { read(conn); read(conn) },
		"http_status": func(conn net.Conn) {
			read(conn)
			for err := write(conn, "HTTP/1.1 500 No\r\n\r\n"); err == nil; {
				err = write(conn, "nonono")
			}
		},
		"dns_failure": nil,
	}
	story(t, func(w *world) {
		good := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		n := 20
		for reason, serve := range kinds {
			if serve != nil {
				w.rawDestination(reason+".example", fmt.Sprint("192.0.0.", n), serve)
			}
			w.createHook(reason, "http://"+reason+".example/hook", `"*"`, `{"verification":"none","timeout":"5s","retry":{"schedule":["1s"]}}`)
			n++
		}
		w.sendMany("event", 8)
		w.wait(0)
		if n := len(good.arrivals()); n != 8 {
			t.Errorf("%d of 8 arrived at once where all is well", n)
		}
		w.wait(time.Minute)
		for _, h := range w.counters().Hooks {
			if h.Name == "good" {
				continue
			}
			if h.Dead != 8 || h.Attempts != 16 {
				t.Errorf("%s: %+v", h.Name, h)
			}
			for _, d := range w.deliveries("state=dead&hook=" + h.ID) {
				one := w.delivery(d.ID)
				if a := one.Attempts; len(a) != 2 || a[0].Reason != h.Name || a[1].Reason != h.Name {
					t.Fatalf("%s: %+v", h.Name, one)
				}
			}
		}
	})
}
