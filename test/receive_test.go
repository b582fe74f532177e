package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

const noHandshake = `{"verification":"none"}`

// elements are the bytes of data.events[], found by a parser that is not ours.
func elements(t *testing.T, body []byte) (raw []json.RawMessage) {
	t.Helper()
	var envelope struct {
		Data struct{ Events []json.RawMessage }
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatal(err)
	}
	return envelope.Data.Events
}

func uuidOf(t *testing.T, raw []byte) string {
	t.Helper()
	var e struct{ UUID string }
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	return e.UUID
}

// Every file in testdata/deliveries is a delivery of Okta's: accepted whole,
// and each event kept and handed on byte for byte.
func TestEveryShapeOfADelivery(t *testing.T) {
	files, err := filepath.Glob("testdata/deliveries/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no deliveries in testdata: %v", err)
	}
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		want := map[string][]byte{}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w.post(200, "acme", string(body))
			for _, raw := range elements(t, body) {
				want[uuidOf(t, raw)] = raw
			}
		}
		w.wait(time.Second)
		if got := d.arrivals(); len(got) != len(want) {
			t.Errorf("%d events arrived, %d were sent", len(got), len(want))
		}
		for _, a := range d.arrivals() {
			if !bytes.Equal(a.carried(), want[a.uuid]) {
				t.Errorf("event %s arrived as %.200q and was sent as %.200q", a.uuid, a.carried(), want[a.uuid])
			}
		}
		for uuid, raw := range want {
			w.keptAs(uuid, raw)
		}
		if rejected := w.rejected(); len(rejected) != 0 {
			t.Errorf("rejected: %+v", rejected)
		}
		if c := w.source("acme").Counters; c.Deliveries != len(files) || c.Received != len(want) {
			t.Errorf("counters %+v after %d deliveries of %d events", c, len(files), len(want))
		}
	})
}

// keptAs wants an event to be shown as it came.
func (w *world) keptAs(uuid string, raw []byte) {
	w.Helper()
	if e := w.event(uuid); !bytes.Equal(e.LogEvent, raw) || e.LogEventRepaired {
		w.Errorf("event %s is shown as %.200q and was sent as %.200q", uuid, e.LogEvent, raw)
	}
}

// Bytes that a JSON library would write otherwise.
var oddEvents = []string{
	"{ \"uuid\"\t:\r\n\"%s\" ,\n\n\"eventType\":\"user.session.start\"   }",
	`{"uuid":"%s","eventType":"user.session.start","displayMessage":"a\u0041\/\ud83d\ude80\"\\\b\u2028"}`,
	`{"uuid":"%s","eventType":"user.session.start","displayMessage":"<b>&amp;</b> ` + "\u2028\u2029\u007f" + ` é 🚀"}`,
	`{"uuid":"%s","eventType":"user.session.start","n":[1E+2,-0,-0.0,1e-7,10.50,123456789012345678901234567890,1e400,0.1000]}`,
	`{"uuid":"%s","eventType":"user.session.start","a":1,"a":2,"A":3,"outcome":{"result":"x","result":"y"}}`,
	`{"\u0075uid":"%s","eventType":"user.session.st\u0061rt","z":{},"":null,"b":[ ]}`,
	`{"uuid":"%s","eventType":"user.session.start","lone":"\ud800 \udc00","nul":"\u0000"}`,
}

func TestBytesAreKept(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"user.session.*"`, noHandshake)
		var events []string
		for i, odd := range oddEvents {
			events = append(events, fmt.Sprintf(odd, fmt.Sprintf("odd-%d", i)))
		}
		w.send(200, events...)
		w.wait(time.Second)
		got := d.arrivals()
		if len(got) != len(events) {
			t.Fatalf("%d arrived, want %d", len(got), len(events))
		}
		for _, a := range got {
			if !slices.Contains(events, string(a.carried())) {
				t.Errorf("arrived: %q", a.carried())
			}
		}
		for i, raw := range events {
			w.keptAs(fmt.Sprintf("odd-%d", i), []byte(raw))
		}
	})
}

// Bytes that are not UTF-8 cannot be shown inside JSON. They are kept.
func TestInvalidUTF8IsKept(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		raw := `{"uuid":"latin-1","eventType":"user.session.start","displayMessage":"caf` + "\xe9\xff\xc0\xaf" + `"}`
		w.send(200, raw)
		w.wait(time.Second)
		got := d.arrivals()
		if len(got) != 1 || string(got[0].carried()) != raw {
			t.Errorf("arrived: %v", got)
		}
		if e := w.event("latin-1"); !e.LogEventRepaired || !bytes.Contains(e.LogEvent, []byte("caf\uFFFD")) {
			t.Errorf("shown as %s, repaired: %v", e.LogEvent, e.LogEventRepaired)
		}
	})
}

func TestSeveralMebibytes(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		random := rand.New(rand.NewPCG(1, 2))
		letters := make([]byte, 4<<20)
		for i := range letters {
			letters[i] = 'a' + byte(random.IntN(26))
		}
		large := fmt.Sprintf(`{"uuid":"large","eventType":"user.session.start","displayMessage":"%s"}`, letters)
		var many []string
		for i := range 500 {
			many = append(many, fmt.Sprintf(`{"uuid":"many-%d","eventType":"user.session.start","displayMessage":"%s"}`, i, letters[i*1000:i*1000+2000]))
		}
		w.send(200, large)
		w.send(200, many...)
		w.wait(time.Second)
		got := d.arrivals()
		if len(got) != 501 {
			t.Fatalf("%d arrived, want 501", len(got))
		}
		for _, a := range got {
			if a.uuid == "large" && string(a.carried()) != large {
				t.Error("the large event did not arrive as it was sent")
			}
		}
	})
}

// ask is a GET of a source's address.
func (w *world) ask(status int, source string, header http.Header) ([]byte, http.Header) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+publicAddr+"/in/"+source, nil)
	if err != nil {
		w.Fatal(err)
	}
	request.Header = header
	response, err := w.client.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		w.Fatalf("GET /in/%s: %d, want %d: %s, %v", source, response.StatusCode, status, body, err)
	}
	return body, response.Header
}

func TestChallengeIsAnsweredWhateverTheSecret(t *testing.T) {
	const challenge = `X-Okta-Verification-Challenge`
	story(t, func(w *world) {
		if c := w.source("acme").Challenge; c != nil {
			t.Errorf("a challenge before the first: %+v", c)
		}
		for _, test := range []struct {
			authorization []string
			state         string
			warnings      int
		}{
			{[]string{secret}, "right", 0},
			{[]string{"Bearer another"}, "wrong", 1},
			{[]string{""}, "wrong", 1},
			{nil, "absent", 1},
			{[]string{secret}, "right", 0},
		} {
			w.wait(time.Minute)
			header := http.Header{challenge: {`"a\b` + "é<&>"}}
			if test.authorization != nil {
				header["Authorization"] = test.authorization
			}
			body, answered := w.ask(200, "acme", header)
			var answer map[string]string
			if err := json.Unmarshal(body, &answer); err != nil || len(answer) != 1 || answer["verification"] != header.Get(challenge) {
				t.Errorf("%s secret: answered %s", test.state, body)
			}
			if kind := answered.Get("Content-Type"); kind != "application/json" {
				t.Errorf("Content-Type %q", kind)
			}
			s := w.source("acme")
			now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
			if s.Challenge == nil || s.Challenge.Secret != test.state || s.Challenge.At != now || len(s.Warnings) != test.warnings {
				t.Errorf("%s secret: challenge %+v at %s, warnings %q", test.state, s.Challenge, now, s.Warnings)
			}
			if logged := w.log.count("without its secret", "secret="+test.state); (logged > 0) != (test.state != "right") {
				t.Errorf("%s secret: logged %d times", test.state, logged)
			}
		}
		body, _ := w.ask(200, "acme", http.Header{challenge: {strings.Repeat("x", 1024)}})
		if len(body) != len(`{"verification":""}`)+1024 {
			t.Errorf("a challenge of 1024 bytes: %s", body)
		}
		w.ask(400, "acme", http.Header{challenge: {strings.Repeat("x", 1025)}})
		w.ask(400, "acme", http.Header{})
		w.ask(404, "other", http.Header{challenge: {"x"}})
		w.stop()
		w.start()
		if c := w.source("acme").Challenge; c == nil || c.Secret != "absent" {
			t.Errorf("after a restart: %+v", c) // the last one had no secret
		}
	})
}

func TestRefusalsAreCountedAndShown(t *testing.T) {
	limit := func(o *app.Options) { o.BodyLimit = 4096 }
	storyWith(t, limit, func(w *world) {
		url := "http://" + publicAddr + "/in/acme"
		good := delivery(event("one", "user.session.start"))
		w.do("POST", url, http.Header{}, good, 401)
		w.do("POST", url, http.Header{"Authorization": {"Bearer of-the-or"}}, good, 401)
		w.do("POST", url, http.Header{"Authorization": {"of-the-org"}}, "not even JSON", 401)
		w.do("POST", url+"2", http.Header{"Authorization": {secret}}, good, 404)
		w.post(413, "acme", delivery(fmt.Sprintf(`{"uuid":"big","eventType":"x","pad":"%s"}`, strings.Repeat("x", 4096))))
		w.chunked(413, strings.Repeat(" ", 4097))
		w.chunked(200, delivery(event("two", "user.session.start")))
		w.post(200, "acme", good)
		w.post(400, "acme", `{"data":{}}`)
		w.wait(2 * time.Second)

		want := sourceCounts{Deliveries: 3, Received: 2, Rejected: 1, Unauthorized: 3, TooLarge: 2}
		if got := w.source("acme").Counters; got != want {
			t.Errorf("/v1/sources: %+v, want %+v", got, want)
		}
		s := w.counters()
		if len(s.Sources) != 1 || s.Sources[0].sourceCounts != want {
			t.Errorf("/v1/stats: %+v, want %+v", s.Sources, want)
		}
		if s.UnknownSources.Deliveries != 1 {
			t.Errorf("unknown sources: %+v", s.UnknownSources)
		}
		w.stop()
		w.start()
		if got := w.source("acme").Counters; got != want {
			t.Errorf("after a restart: %+v, want %+v", got, want)
		}
	})
}

// chunked posts a body without saying its length.
func (w *world) chunked(status int, body string) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "http://"+publicAddr+"/in/acme", io.MultiReader(strings.NewReader(body)))
	if err != nil {
		w.Fatal(err)
	}
	request.Header.Set("Authorization", secret)
	response, err := w.client.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != status {
		w.Fatalf("chunked: %d, want %d", response.StatusCode, status)
	}
}

func TestCustomHeadersMustMatchToo(t *testing.T) {
	story(t, func(w *world) {
		w.call("POST", "/v1/sources", `{"name":"strict","auth":{"key":"X-Org-Secret","value":"s3","headers":[{"key":"X-Tenant","value":"t1"},{"key":"X-Zone","value":"eu"}]}}`, 201)
		for _, test := range []struct {
			status int
			header http.Header
		}{
			{200, http.Header{"X-Org-Secret": {"s3"}, "X-Tenant": {"t1"}, "X-Zone": {"eu"}}},
			{200, http.Header{"x-org-secret": {"s3"}, "x-tenant": {"t1"}, "x-zone": {"eu"}, "X-More": {"?"}}},
			{401, http.Header{"X-Org-Secret": {"s3"}, "X-Tenant": {"t1"}}},
			{401, http.Header{"X-Org-Secret": {"s3"}, "X-Tenant": {"t1"}, "X-Zone": {"us"}}},
			{401, http.Header{"X-Org-Secret": {"s3"}, "X-Tenant": {"T1"}, "X-Zone": {"eu"}}},
			{401, http.Header{"X-Org-Secret": {"S3"}, "X-Tenant": {"t1"}, "X-Zone": {"eu"}}},
			{401, http.Header{"X-Tenant": {"t1"}, "X-Zone": {"eu"}}},
			{401, http.Header{"Authorization": {"s3"}, "X-Tenant": {"t1"}, "X-Zone": {"eu"}}},
		} {
			w.do("POST", "http://"+publicAddr+"/in/strict", test.header, delivery(), test.status)
		}
		w.ask(200, "strict", http.Header{"X-Okta-Verification-Challenge": {"c"}, "X-Org-Secret": {"s3"}, "X-Tenant": {"t1"}})
		if c := w.source("strict").Challenge; c == nil || c.Secret != "wrong" {
			t.Errorf("a challenge without one of the headers: %+v", c)
		}
	})
}

func TestSecretRotation(t *testing.T) {
	story(t, func(w *world) {
		n := 0
		try := func(status int, secret string) {
			t.Helper()
			n++
			w.do("POST", "http://"+publicAddr+"/in/acme", http.Header{"Authorization": {secret}}, delivery(event(fmt.Sprint("event-", n), "x")), status)
		}
		until := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
		w.call("PUT", "/v1/sources/acme", `{"auth":{"key":"Authorization","value":"new"},"previous":{"value":"`+secret+`","until":"`+until+`"}}`, 200)
		try(200, "new")
		try(200, secret)
		w.wait(2*time.Hour - time.Second)
		try(200, secret)
		w.wait(time.Second)
		try(401, secret)
		try(200, "new")

		// The replaced secret stays good for a day when nobody says otherwise.
		w.call("PUT", "/v1/sources/acme", `{"auth":{"key":"Authorization","value":"newer"}}`, 200)
		w.stop()
		w.wait(24*time.Hour - time.Minute)
		w.start()
		try(200, "new")
		try(200, "newer")
		try(401, secret)
		w.wait(2 * time.Minute)
		try(401, "new")
		try(200, "newer")

		// A time in the past ends it at once.
		w.call("PUT", "/v1/sources/acme", `{"auth":{"key":"Authorization","value":"newest"},"previous":{"until":"2000-01-01T00:00:00Z"}}`, 200)
		try(401, "newer")
		try(200, "newest")
	})
}

func TestWhatIsNoDeliveryIsKept(t *testing.T) {
	story(t, func(w *world) {
		bodies := []string{
			"", "null", "[]", "{", `{"data":{"events":{}}}`, "hello", "\x1f\x8b\x08\x00\xff", "{\"data\":\xff}",
			`{"eventType":"com.okta.event_hook"}`, delivery(event("cut", "x"))[:150], delivery(event("twice", "x")) + delivery(),
			strings.Repeat("[", 100_000),
		}
		for i, body := range bodies {
			w.post(400, "acme", body)
			got := w.rejected()
			if len(got) != i+1 {
				t.Fatalf("%q: %d rejected, want %d", body, len(got), i+1)
			}
			r := got[0]
			if r.Reason != "not_a_delivery" || r.Source != "acme" || r.Size != len(body) || r.Detail == "" {
				t.Errorf("%.40q: kept as %+v", body, r)
			}
			if r.Body != body && string(r.BodyBase64) != body {
				t.Errorf("%.40q: its bytes are %.40q, %.40q", body, r.Body, r.BodyBase64)
			}
		}
		if events := w.events(""); len(events) != 0 {
			t.Errorf("events: %+v", events)
		}
	})
}

func TestOneBrokenElementKeepsTheOthers(t *testing.T) {
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		broken := []struct{ raw, reason string }{
			{`{"uuid":"x","eventType":"user.session.start",}`, "malformed"},
			{`{"uuid":"x","eventType":"user.session.start","n":NaN}`, "malformed"},
			{`{"uuid":"x","eventType":"user.session.start","n":01}`, "malformed"},
			{`{"uuid":"x","eventType":"user.session.start","deep":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, "too_deep"},
			{`null`, "not_object"}, {`"event"`, "not_object"}, {`[{"uuid":"x"}]`, "not_object"}, {`7`, "not_object"},
			{`{"eventType":"user.session.start"}`, "bad_uuid"}, {`{"uuid":7,"eventType":"a"}`, "bad_uuid"}, {`{"uuid":"","eventType":"a"}`, "bad_uuid"},
			{`{"uuid":"x"}`, "bad_event_type"}, {`{"uuid":"x","eventType":null}`, "bad_event_type"}, {`{"uuid":"x","eventType":"caf` + "\xe9" + `"}`, "bad_event_type"},
		}
		for i, b := range broken {
			before, after := event(fmt.Sprintf("before-%d", i), "a.b"), event(fmt.Sprintf("after-%d", i), "a.b")
			w.send(200, before, b.raw, after)
			got := w.rejected()
			if len(got) != i+1 {
				t.Fatalf("%.60s: %d rejected, want %d", b.raw, len(got), i+1)
			}
			if r := got[0]; r.Reason != b.reason || r.Detail == "" || r.Body != b.raw && string(r.BodyBase64) != b.raw {
				t.Errorf("%.60s: rejected as %s (%s): %.60s", b.raw, r.Reason, r.Detail, r.Body)
			}
		}
		w.wait(time.Second)
		if got := d.arrivals(); len(got) != 2*len(broken) {
			t.Errorf("%d arrived, want %d", len(got), 2*len(broken))
		}
		c := w.source("acme").Counters
		if c.Rejected != len(broken) || c.Received != 2*len(broken) || c.Deliveries != len(broken) {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestTheOrgsHostIsLearnt(t *testing.T) {
	from := func(host string) string { return strings.ReplaceAll(delivery(), "acme.okta.example", host) }
	story(t, func(w *world) {
		d := w.destination("good.example", "192.0.0.11", nil)
		id := w.createHook("good", "http://good.example/hook", `"*"`, noHandshake)
		if host := w.source("acme").Host; host != "" {
			t.Errorf("host %q before anything came", host)
		}
		w.post(400, "acme", "no delivery")
		w.post(200, "acme", from("ACME.Okta.example"))
		w.wait(0)
		if host := w.source("acme").Host; host != "acme.okta.example" {
			t.Errorf("host %q", host)
		}
		w.post(200, "acme", from("other.okta.example")) // the first is kept
		w.wait(0)
		if host := w.source("acme").Host; host != "acme.okta.example" {
			t.Errorf("host %q", host)
		}
		w.send(200, event("one", "x"))
		w.wait(time.Second)
		var envelope struct{ Source string }
		if got := d.arrivals(); len(got) != 1 || json.Unmarshal(got[0].body, &envelope) != nil ||
			envelope.Source != "https://acme.okta.example/api/v1/eventHooks/"+id {
			t.Errorf("the envelope names %q", envelope.Source)
		}

		// Another source of the same org is refused, if it is known in time.
		w.call("POST", "/v1/sources", `{"name":"twin","host":"acme.okta.example","auth":{"key":"Authorization","value":"`+secret+`"}}`, 409)
		w.createSource("late")
		w.post(200, "late", delivery())
		w.wait(0)
		for _, name := range []string{"acme", "late"} {
			if s := w.source(name); s.Host != "acme.okta.example" || len(s.Warnings) != 1 {
				t.Errorf("source %s: host %q, warnings %q", name, s.Host, s.Warnings)
			}
		}
		w.call("POST", "/v1/sources", `{"name":"twin","host":"acme.okta.example","force":true,"auth":{"key":"Authorization","value":"`+secret+`"}}`, 201)
	})
}
