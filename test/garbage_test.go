package test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// dump is a gateway that is fed rubbish, with one hook that wants all of it.
type dump struct {
	*life
	mu  sync.Mutex
	got map[string][]string // events as they were delivered, by uuid
	new chan struct{}       // tells of each
}

func newDump(t *testing.T, flags ...string) *dump {
	d := &dump{got: make(map[string][]string), new: make(chan struct{}, 1<<20)}
	s := newSite(t, t.TempDir(), program(t))
	s.command = append(s.command, flags...)
	d.life = s.serve()
	d.createSource()
	sink := newSink(t, func(p parcel, _ http.ResponseWriter, _ *http.Request) {
		d.mu.Lock()
		d.got[p.uuid] = append(d.got[p.uuid], p.event)
		d.mu.Unlock()
		d.new <- struct{}{}
	})
	d.createHook("all", sink.url, everything, `{"verification":"none","concurrency":64}`)
	return d
}

// delivered waits until an event has been delivered and returns its bytes.
func (d *dump) delivered(uuid string) string {
	d.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		d.mu.Lock()
		got := d.got[uuid]
		d.mu.Unlock()
		if len(got) > 0 {
			return got[0]
		}
		select {
		case <-d.new:
		case <-deadline.C:
			d.Fatalf("%q is not delivered", uuid)
		}
	}
}

// rejected is an element or a body that the gateway keeps although it is no event.
type rejected struct {
	ID, Reason, Detail string
	Size               int
	Body, BodyBase64   string
}

// lastRejected returns the newest rejected thing, with its bytes; the zero
// value when there is none.
func (d *dump) lastRejected() (r rejected, body string) {
	d.Helper()
	var page struct{ Items []rejected }
	d.call("GET", "/v1/rejected?limit=1", "", http.StatusOK, &page)
	if len(page.Items) == 0 {
		return r, ""
	}
	d.call("GET", "/v1/rejected/"+page.Items[0].ID, "", http.StatusOK, &r)
	if r.Body != "" {
		return r, r.Body
	}
	raw, err := base64.StdEncoding.DecodeString(r.BodyBase64)
	if err != nil {
		d.Fatal(err)
	}
	return r, string(raw)
}

// deliver posts a body with the right secret and returns how it was answered.
func (d *dump) deliver(body string, header ...string) (status int) {
	d.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+d.public+"/in/acme", strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	request.Header.Set("Authorization", orgSecret)
	for _, h := range header {
		key, value, _ := strings.Cut(h, ": ")
		request.Header.Set(key, value)
	}
	response, err := d.client.Do(request)
	if err != nil {
		d.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// TestRejectedBodies posts what is no delivery. Every body must be answered 400
// and be kept as it came.
func TestRejectedBodies(t *testing.T) {
	d := newDump(t)
	good := oktaDelivery(event("good", "user.session.start"))
	for name, body := range map[string]string{
		"empty":                "",
		"white space":          " \r\n\t ",
		"NUL bytes":            strings.Repeat("\x00", 1000),
		"not JSON":             "hello, Okta",
		"NaN":                  "NaN",
		"a number":             "1e999999999",
		"a string":             `"` + good[1:20] + `"`,
		"null":                 "null",
		"an array":             "[" + good + "]",
		"an open brace":        "{",
		"no events":            `{"eventType":"com.okta.event_hook"}`,
		"events are an object": `{"data":{"events":{}}}`,
		"events are null":      `{"data":{"events":null}}`,
		"cut short":            good[:len(good)-20],
		"cut within an event":  good[:strings.Index(good, "published")],
		"two of them":          good + good,
		"data twice":           strings.Replace(good, `"data"`, `"data":{"events":[]},"data"`, 1),
		"Infinity in envelope": strings.Replace(good, `"cloudEventsVersion":"0.1"`, `"cloudEventsVersion":Infinity`, 1),
		"deep envelope":        `{"x":` + strings.Repeat("[", 1_000_000),
		"deep, and closed":     `{"x":` + strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000) + `,"data":{"events":[]}}`,
		"byte order mark":      "\ufeff" + good,
		"UTF-16":               "\xff\xfe{\x00}\x00",
		"compressed":           zipped(good),
		"form":                 "payload=%7B%22data%22%3A%7B%7D%7D",
		"XML":                  `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>`,
		"too many elements":    `{"data":{"events":[` + strings.Repeat("0,", 100_000) + `0]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if status := d.deliver(body); status != http.StatusBadRequest {
				t.Errorf("answered %d", status)
			}
			r, kept := d.lastRejected()
			if kept != body || r.Size != len(body) || r.Reason != "not_a_delivery" || r.Detail == "" {
				t.Errorf("of %d bytes, %d are kept: %q %q", len(body), len(kept), r.Reason, r.Detail)
			}
		})
	}
	if status := d.deliver(zipped(good), "Content-Encoding: gzip"); status != http.StatusBadRequest {
		t.Errorf("a compressed body was answered %d", status)
	}
	if r, kept := d.lastRejected(); kept != zipped(good) || !strings.Contains(r.Detail, "Content-Encoding") {
		t.Errorf("a compressed body is not kept, or not told as one: %q", r.Detail)
	}
	d.stillWell()
}

// stillWell shows that the gateway serves as if nothing had happened.
func (d *dump) stillWell() {
	d.Helper()
	uuid := fmt.Sprintf("well-%d", time.Now().UnixNano())
	d.send(event(uuid, "user.session.start"))
	d.delivered(uuid)
	if text := d.log.String(); strings.Contains(text, "panic") {
		d.Errorf("the gateway panicked:\n%s", text)
	}
	d.modest()
}

// memoryBound is more than the gateway may ever have taken, in bytes.
const memoryBound = 512 << 20

func (d *dump) modest() {
	d.Helper()
	if peak := d.peakMemory(); peak > memoryBound {
		d.Errorf("the gateway took %d MiB", peak>>20)
	} else {
		d.Logf("the gateway took %d MiB", peak>>20)
	}
}

// TestRejectedElements posts deliveries in which one element is broken or odd,
// between two good ones. Whatever is an event must be delivered as it came, and
// the rest be kept as it came.
func TestRejectedElements(t *testing.T) {
	d := newDump(t)
	with := func(uuid, member string) string {
		return fmt.Sprintf(`{"uuid":%q,"eventType":"user.session.start",%s}`, uuid, member)
	}
	n := 0
	for name, c := range map[string]struct {
		uuid    string // of the event that it is; "" for none
		element string
		reason  string // why it is not one
	}{
		"huge numbers":           {uuid: "huge", element: with("huge", `"n":[1e999999,-1e-999999,`+strings.Repeat("9", 100_000)+`]`)},
		"long string":            {uuid: "long", element: with("long", `"s":"`+strings.Repeat("x", 1<<20)+`"`)},
		"invalid UTF-8":          {uuid: "utf8", element: with("utf8", "\"s\":\"\xff\xfe\xc0\x80\xed\xa0\x80\"")},
		"lone surrogates":        {uuid: "surrogate", element: with("surrogate", `"s":"\ud800 \udfff \udfff\ud800"`)},
		"duplicate keys":         {uuid: "second", element: `{"uuid":"first","uuid":"second","eventType":"a","eventType":"b.c","x":1,"x":2}`},
		"NUL escaped":            {uuid: "nul", element: with("nul", `"\u0000":"\u0000"`)},
		"unknown members":        {uuid: "unknown", element: with("unknown", `"":null,"__proto__":{"a":[]},"$ref":"#"`)},
		"many members":           {uuid: "many", element: with("many", strings.Repeat(`"k":0,`, 50_000)+`"k":1`)},
		"odd published":          {uuid: "when", element: with("when", `"published":"0000-99-99T99:99:99Z"`)},
		"white space":            {uuid: "white", element: "{\n\t\"uuid\" :\r\n\"white\" , \"eventType\":\"a.b\" }"},
		"as deep as it may":      {uuid: "deep", element: with("deep", `"d":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))},
		"too deep":               {element: with("deeper", `"d":`+strings.Repeat(`{"d":[`, 100_000)+strings.Repeat("]}", 100_000)), reason: "too_deep"},
		"NaN":                    {element: with("nan", `"n":NaN`), reason: "malformed"},
		"minus Infinity":         {element: with("infinity", `"n":-Infinity`), reason: "malformed"},
		"hexadecimal":            {element: with("hex", `"n":0x10`), reason: "malformed"},
		"leading zero":           {element: with("zero", `"n":007`), reason: "malformed"},
		"trailing comma":         {element: `{"uuid":"comma","eventType":"a",}`, reason: "malformed"},
		"comment":                {element: `{"uuid":"comment",/* really */"eventType":"a"}`, reason: "malformed"},
		"control character":      {element: with("control", "\"s\":\"\x01\""), reason: "malformed"},
		"no quotes":              {element: `{uuid:"quotes",eventType:"a"}`, reason: "malformed"},
		"null":                   {element: `null`, reason: "not_object"},
		"string":                 {element: `"uuid"`, reason: "not_object"},
		"array":                  {element: `[{"uuid":"inner","eventType":"a"}]`, reason: "not_object"},
		"empty object":           {element: `{}`, reason: "bad_uuid"},
		"uuid is a number":       {element: `{"uuid":12345,"eventType":"a"}`, reason: "bad_uuid"},
		"uuid is empty":          {element: `{"uuid":"","eventType":"a"}`, reason: "bad_uuid"},
		"uuid is long":           {element: `{"uuid":"` + strings.Repeat("u", 100_000) + `","eventType":"a"}`, reason: "bad_uuid"},
		"uuid is invalid UTF-8":  {element: "{\"uuid\":\"\xff\",\"eventType\":\"a\"}", reason: "bad_uuid"},
		"uuid has a line break":  {element: `{"uuid":"a\nb","eventType":"a"}`, reason: "bad_uuid"},
		"eventType is an object": {element: `{"uuid":"type","eventType":{}}`, reason: "bad_event_type"},
		"eventType is missing":   {element: `{"uuid":"typeless"}`, reason: "bad_event_type"},
	} {
		n++
		before, after := fmt.Sprintf("before-%d", n), fmt.Sprintf("after-%d", n)
		t.Run(name, func(t *testing.T) {
			body := oktaDelivery(event(before, "user.session.start"), c.element, event(after, "user.session.end"))
			if status := d.deliver(body); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
			d.delivered(before)
			d.delivered(after)
			if c.uuid != "" {
				if got := d.delivered(c.uuid); got != c.element {
					t.Errorf("%.200q was delivered as %.200q", c.element, got)
				}
				return
			}
			if r, kept := d.lastRejected(); kept != c.element || r.Reason != c.reason || r.Detail == "" {
				t.Errorf("%.200q is kept as %.200q, for %s: %s", c.element, kept, r.Reason, r.Detail)
			}
		})
	}
	d.stillWell()
}

// TestLargeBatches posts batches of 10,000 elements.
func TestLargeBatches(t *testing.T) {
	d := newDump(t)
	const size = 10_000
	var events, rubbish, mixed []string
	for n := range size {
		events = append(events, event(fmt.Sprintf("batch-%d", n), "user.session.start"))
		rubbish = append(rubbish, fmt.Sprint(n))
		mixed = append(mixed, []string{event(fmt.Sprintf("mixed-%d", n), "user.session.end"), `{"uuid":"broken",}`, event("always the same", "a.b")}[n%3])
	}
	for _, batch := range [][]string{events, rubbish, mixed, events} {
		if status := d.deliver(oktaDelivery(batch...)); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
	}
	third := int64(size / 3)
	want := [3]int64{size + third + 1 + 1, size + third, third - 1 + size}
	var got [3]int64
	until(t, "all delivered", func() bool {
		stats := d.stats()
		got = [3]int64{stats.Sources[0].Received, stats.Sources[0].Rejected, stats.Sources[0].Duplicates}
		return stats.Hooks[0].Delivered == want[0]
	})
	if got != want {
		t.Errorf("received, rejected, duplicates: %d, want %d", got, want)
	}
	d.mu.Lock()
	for uuid, times := range d.got {
		if len(times) != 1 {
			t.Errorf("%q was delivered %d times", uuid, len(times))
		}
	}
	d.mu.Unlock()
	d.stillWell()
}

// TestContentTypes posts good deliveries with every odd header about their
// content: what Okta's header says is proof of nothing.
func TestContentTypes(t *testing.T) {
	d := newDump(t)
	for i, header := range []string{
		"Content-Type: ", "Content-Type: text/plain", "Content-Type: application/xml", "Content-Type: application/x-www-form-urlencoded",
		"Content-Type: multipart/form-data; boundary=x", "Content-Type: application/json; charset=utf-16", "Content-Type: //;;,,",
		"Content-Encoding: gzip", "Content-Encoding: identity", "Content-MD5: AAAA",
	} {
		uuid := fmt.Sprintf("type-%d", i)
		if status := d.deliver(oktaDelivery(event(uuid, "user.session.start")), header); status != http.StatusOK {
			t.Errorf("%s: answered %d", header, status)
		}
		d.delivered(uuid)
	}
}
