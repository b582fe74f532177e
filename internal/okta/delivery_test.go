package okta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every recorded or published delivery must come apart completely, each event
// byte for byte.
func TestParseDeliverySamples(t *testing.T) {
	files, err := filepath.Glob("testdata/event-hook-delivery-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, err := ParseDelivery(body)
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				EventID, Source string
				EventTime       time.Time
				Data            struct{ Events []json.RawMessage }
			}
			if err := json.Unmarshal(body, &want); err != nil {
				t.Fatal(err)
			}
			if d.EventID != want.EventID || d.Source != want.Source || !d.EventTime.Equal(want.EventTime) {
				t.Errorf("got %q %q %v, want %q %q %v", d.EventID, d.Source, d.EventTime, want.EventID, want.Source, want.EventTime)
			}
			if d.Host() != "acme-dev.okta.example" {
				t.Errorf("host %q", d.Host())
			}
			if len(d.Rejected) != 0 || len(d.Events) != len(want.Data.Events) || len(d.Events) == 0 {
				t.Fatalf("%d events, %d rejected; want %d events", len(d.Events), len(d.Rejected), len(want.Data.Events))
			}
			for i, e := range d.Events {
				var fields struct {
					UUID, EventType string
					Published       time.Time
				}
				if err := json.Unmarshal(want.Data.Events[i], &fields); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(e.Raw, want.Data.Events[i]) {
					t.Errorf("event %d changed:\n%s", i, e.Raw)
				}
				if e.UUID != fields.UUID || e.EventType != fields.EventType || !e.Published.Equal(fields.Published) {
					t.Errorf("event %d: got %q %q %v, want %+v", i, e.UUID, e.EventType, e.Published, fields)
				}
			}
		})
	}
}

// wrap puts elements into the smallest envelope.
func wrap(elements string) string { return `{"data":{"events":[` + elements + `]}}` }

const good = `{"uuid":"u1","eventType":"user.session.start","published":"2026-05-28T09:14:03.417Z"}`

func TestParseDeliveryAccepts(t *testing.T) {
	stamp := time.Date(2026, 5, 28, 9, 14, 3, 417e6, time.UTC)
	deep := strings.Repeat("[", MaxDepth-4) + strings.Repeat("]", MaxDepth-4)
	tests := []struct {
		name, body string
		want       []Event // Raw is not compared here
	}{
		{"no events", wrap(""), nil},
		{"only data", wrap(good), []Event{{nil, "u1", "user.session.start", stamp}}},
		{"white space", " \r\n\t" + wrap(" "+good+"\n,\t"+good+" ") + "\n ", []Event{{nil, "u1", "user.session.start", stamp}, {nil, "u1", "user.session.start", stamp}}},
		{"any key order", `{"data":{"x":[1],"events":[{"z":{"uuid":"no"},"eventType":"t","uuid":"u"}],"y":{}},"a":{"data":1}}`, []Event{{nil, "u", "t", time.Time{}}}},
		{"unknown type, six digits", wrap(`{"uuid":"u","eventType":"Brand.new-Type","published":"2026-05-28T09:14:03.417000Z"}`), []Event{{nil, "u", "Brand.new-Type", stamp}}},
		{"no fraction, offset", wrap(`{"uuid":"u","eventType":"t","published":"2026-05-28T11:14:03+02:00"}`), []Event{{nil, "u", "t", stamp.Truncate(time.Second)}}},
		{"published null", wrap(`{"uuid":"u","eventType":"t","published":null}`), []Event{{nil, "u", "t", time.Time{}}}},
		{"published not a time", wrap(`{"uuid":"u","eventType":"t","published":"yesterday"}`), []Event{{nil, "u", "t", time.Time{}}}},
		{"published a number", wrap(`{"uuid":"u","eventType":"t","published":1748423643}`), []Event{{nil, "u", "t", time.Time{}}}},
		{"escaped", wrap(`{"\u0075uid":"\u0075\/1","event\u0054ype":"a\u002eb"}`), []Event{{nil, "u/1", "a.b", time.Time{}}}},
		{"the last duplicate counts", wrap(`{"uuid":"a","uuid":"b","eventType":"x","eventType":"t"}`), []Event{{nil, "b", "t", time.Time{}}}},
		{"keys are exact", wrap(`{"uuid":"u","UUID":"v","eventType":"t","EventType":"w"}`), []Event{{nil, "u", "t", time.Time{}}}},
		{"envelope of nulls", `{"source":null,"eventId":null,"eventTime":null,"eventType":null,"data":{"events":[` + good + `]},"contentType":7}`, []Event{{nil, "u1", "user.session.start", stamp}}},
		{"huge numbers", wrap(`{"uuid":"u","eventType":"t","n":[1e999999,-0.0E-12,` + strings.Repeat("9", 5000) + `]}`), []Event{{nil, "u", "t", time.Time{}}}},
		{"invalid UTF-8 is kept", wrap("{\"uuid\":\"u\",\"eventType\":\"t\",\"displayMessage\":\"\xff\",\"\xfe\":1}"), []Event{{nil, "u", "t", time.Time{}}}},
		{"as deep as allowed", wrap(`{"uuid":"u","eventType":"t","x":` + deep + `}`), []Event{{nil, "u", "t", time.Time{}}}},
		{"longest names", wrap(`{"uuid":"` + strings.Repeat("u", MaxUUID) + `","eventType":"` + strings.Repeat("t", MaxEventType) + `"}`),
			[]Event{{nil, strings.Repeat("u", MaxUUID), strings.Repeat("t", MaxEventType), time.Time{}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ParseDelivery([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Rejected) != 0 || len(d.Events) != len(tt.want) {
				t.Fatalf("events %v, rejected %v", d.Events, d.Rejected)
			}
			for i, e := range d.Events {
				if e.UUID != tt.want[i].UUID || e.EventType != tt.want[i].EventType || e.Published != tt.want[i].Published {
					t.Errorf("event %d: %q %q %v", i, e.UUID, e.EventType, e.Published)
				}
				if !strings.Contains(tt.body, string(e.Raw)) || e.Raw[0] != '{' || e.Raw[len(e.Raw)-1] != '}' {
					t.Errorf("event %d changed: %q", i, e.Raw)
				}
			}
		})
	}
}

// A broken element is set aside with its reason; its neighbours are kept.
func TestParseDeliverySetsBrokenElementsAside(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	tests := []struct {
		element string
		reason  RejectReason
	}{
		{`null`, RejectNotObject},
		{`17`, RejectNotObject},
		{`"x"`, RejectNotObject},
		{`[{"uuid":"u","eventType":"t"}]`, RejectNotObject},
		{`{}`, RejectUUID},
		{`{"eventType":"t"}`, RejectUUID},
		{`{"uuid":"","eventType":"t"}`, RejectUUID},
		{`{"uuid":null,"eventType":"t"}`, RejectUUID},
		{`{"uuid":{"uuid":"u"},"eventType":"t"}`, RejectUUID},
		{`{"uuid":"ü","eventType":"t"}`, RejectUUID},
		{"{\"uuid\":\"\xff\",\"eventType\":\"t\"}", RejectUUID},
		{`{"uuid":"a\u0000b","eventType":"t"}`, RejectUUID},
		{`{"uuid":"` + strings.Repeat("u", MaxUUID+1) + `","eventType":"t"}`, RejectUUID},
		{`{"uuid":"u"}`, RejectEventType},
		{`{"uuid":"u","eventType":["t"]}`, RejectEventType},
		{`{"uuid":"u","eventType":""}`, RejectEventType},
		{`{"uuid":"u","eventType":"\ud800"}`, RejectEventType},
		{`{"uuid":"u","eventType":"` + strings.Repeat("t", MaxEventType+1) + `"}`, RejectEventType},
		{`{"uuid":"u","eventType":"t","x":` + deep + `}`, RejectTooDeep},
		{deep, RejectTooDeep},
		{`{"uuid":"u","eventType":"t","x":NaN}`, RejectMalformed},
		{`{"uuid":"u","eventType":"t","x":-Infinity}`, RejectMalformed},
		{`{"uuid":"u","eventType":"t","x":01}`, RejectMalformed},
		{`{"uuid":"u","eventType":"t","x":1.}`, RejectMalformed},
		{`{"uuid":"u","eventType":"t","x":1e}`, RejectMalformed},
		{`{"uuid":"u","eventType":"t","x":tru}`, RejectMalformed},
		{`{"uuid":"u","eventType":"t","x":"\x"}`, RejectMalformed},
		{`{"uuid":"u","eventType":"t","x":"\u12g4, ]}"}`, RejectMalformed},
		{"{\"uuid\":\"u\",\"eventType\":\"t\",\"x\":\"\n\"}", RejectMalformed},
		{`{"uuid":"u","eventType":"t",}`, RejectMalformed},
		{`{"uuid" "u"}`, RejectMalformed},
		{`{uuid:"u"}`, RejectMalformed},
		{`{"uuid":"u" "eventType":"t"}`, RejectMalformed},
		{`[1 2]`, RejectMalformed},
		{`undefined`, RejectMalformed},
		{`{"a":"\"]}, \\","x":NaN}`, RejectMalformed},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.40s", tt.element), func(t *testing.T) {
			for index, elements := range []string{
				tt.element + "," + good + "," + good,
				good + " , " + tt.element + "," + good,
				good + "," + good + "," + tt.element,
			} {
				d, err := ParseDelivery([]byte(wrap(elements)))
				if err != nil {
					t.Fatal(err)
				}
				if len(d.Events) != 2 || len(d.Rejected) != 1 {
					t.Fatalf("%d events, rejected %v", len(d.Events), d.Rejected)
				}
				r := d.Rejected[0]
				if r.Reason != tt.reason || r.Index != index || string(r.Raw) != tt.element || r.Detail == "" {
					t.Errorf("rejected %q at %d as %s: %s", r.Raw, r.Index, r.Reason, r.Detail)
				}
			}
		})
	}
}

func TestParseDeliveryErrors(t *testing.T) {
	tests := []struct {
		name, body string
		offset     int
		message    flaw
	}{
		{"empty", "", 0, flawNoObject},
		{"not JSON", "hello", 0, flawNoObject},
		{"form", "a=1&b=2", 0, flawNoObject},
		{"gzip", "\x1f\x8b\x08\x00", 0, flawNoObject},
		{"byte order mark", "\xef\xbb\xbf{}", 0, flawNoObject},
		{"array", `[]`, 0, flawNoObject},
		{"no data", `{"eventType":"com.okta.event_hook"}`, 35, flawNoEvents},
		{"data null", `{"data":null}`, 13, flawNoEvents},
		{"no events", `{"data":{}}`, 11, flawNoEvents},
		{"events null", `{"data":{"events":null}}`, 24, flawNoEvents},
		{"events an object", `{"data":{"events":{}}}`, 22, flawNoEvents},
		{"trailing garbage", wrap(good) + "x", len(wrap(good)), flawTrailing},
		{"two bodies", wrap(good) + wrap(good), len(wrap(good)), flawTrailing},
		{"NUL behind", wrap("") + "\x00", len(wrap("")), flawTrailing},
		{"trailing comma", wrap(good + ","), len(wrap(good)) - 2, flawValue},
		{"leading comma", wrap("," + good), 19, flawValue},
		{"no comma", wrap(good + good), 19 + len(good), flawElement},
		{"truncated", wrap(good)[:60], 60, flawEnd},
		{"truncated in an escape", `{"data":{"events":[{"a":"\`, 26, flawEnd},
		{"truncated behind a flaw", `{"data":{"events":[{"a":NaN,"b":"\`, 24, flawValue},
		{"truncated in a number", `{"data":{"events":[{"a":-`, 25, flawEnd},
		{"data twice", `{"data":{"events":[]},"data":{"events":[]}}`, 29, flawTwice},
		{"events twice", `{"data":{"events":{},"events":[]}}`, 30, flawTwice},
		{"deep envelope", `{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `,"data":{"events":[]}}`, 5 + MaxDepth - 1, flawDeep},
		{"broken envelope", `{"x":nul,"data":{"events":[]}}`, 8, flawLiteral},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ParseDelivery([]byte(tt.body))
			perr, ok := err.(*ParseError)
			if !ok || d != nil {
				t.Fatalf("got %v, %v", d, err)
			}
			if perr.Offset != tt.offset || perr.Message != string(tt.message) {
				t.Errorf("got %q at %d, want %q at %d", perr.Message, perr.Offset, tt.message, tt.offset)
			}
		})
	}
}

// Wherever Okta's body is cut, it is an error, never a shorter delivery.
func TestParseDeliveryTruncated(t *testing.T) {
	body := batchBody(t, 3)
	for n := range len(body) {
		if d, err := ParseDelivery(body[:n]); err == nil {
			t.Fatalf("accepted the first %d of %d bytes: %d events", n, len(body), len(d.Events))
		}
	}
}

func TestParseDeliveryBounds(t *testing.T) {
	elements := strings.Repeat("1,", MaxEvents-1) + good
	d, err := ParseDelivery([]byte(wrap(elements)))
	if err != nil || len(d.Rejected) != MaxEvents-1 || len(d.Events) != 1 {
		t.Fatalf("at the bound: %v", err)
	}
	if _, err = ParseDelivery([]byte(wrap(elements + ",1"))); err == nil || !strings.Contains(err.Error(), string(flawTooMany)) {
		t.Errorf("one above the bound: %v", err)
	}
	long := `{"source":"https://o/` + strings.Repeat("s", maxSource) + `","eventId":"` + strings.Repeat("i", maxEventID+1) + `","data":{"events":[]}}`
	if d, err = ParseDelivery([]byte(long)); err != nil || d.Source != "" || d.Host() != "" || d.EventID != "" {
		t.Errorf("overlong envelope: %+v, %v", d, err)
	}
}

func TestParseDeliveryHost(t *testing.T) {
	for source, want := range map[string]string{
		"https://Acme.Okta.example/api/v1/eventHooks/who1": "acme.okta.example",
		"http://127.0.0.1:8090/api/v1/eventHooks/who1":     "127.0.0.1:8090",
		"https://[2001:db8::1]:8443/x":                     "[2001:db8::1]:8443",
		"":                                                 "",
		"acme.okta.example":                                "",
		"mailto:a@b.example":                               "",
		"https://%zz/":                                     "",
	} {
		body, err := json.Marshal(map[string]any{"source": source, "data": map[string]any{"events": []any{}}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseDelivery(body)
		if err != nil || d.Host() != want {
			t.Errorf("%q: got %q, %v; want %q", source, d.Host(), err, want)
		}
	}
}

// An event's bytes must not run into its neighbour's when appended to.
func TestParseDeliveryRawIsClipped(t *testing.T) {
	d, err := ParseDelivery([]byte(wrap(good + ",1," + good)))
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{d.Events[0].Raw, d.Rejected[0].Raw} {
		if cap(raw) != len(raw) {
			t.Errorf("capacity %d behind %q", cap(raw), raw)
		}
	}
}
