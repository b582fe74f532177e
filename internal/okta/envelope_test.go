package okta

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"
)

// A delivery taken apart and put together again is the same delivery. The batch
// sample gives eventTime with six digits, which Timestamp does not.
func TestAppendEnvelopeSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/event-hook-delivery-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		want := sample(t, filepath.Base(file))
		d, err := ParseDelivery(want)
		if err != nil {
			t.Fatal(err)
		}
		e := Envelope{Source: d.Source, EventID: d.EventID, EventTime: d.EventTime}
		for _, event := range d.Events {
			e.Events = append(e.Events, event.Raw)
		}
		want = bytes.Replace(want, []byte("20:52.744318Z"), []byte("20:52.744Z"), 1)
		if got := AppendEnvelope([]byte("x"), e); !bytes.Equal(got[1:], want) {
			t.Errorf("%s: got %s, want %s", file, got[1:], want)
		}
	}
}

func TestAppendEnvelopeEscapes(t *testing.T) {
	e := Envelope{
		Source: "https://h/\"\\\n\u2028é<&>", EventID: "\xff\x7f",
		EventTime: time.Date(2026, 1, 2, 3, 4, 5, 6789e5, time.FixedZone("", 3600)),
		Events:    [][]byte{[]byte(`{"a": "\u00e9<"}`)},
	}
	got := AppendEnvelope(nil, e)
	if !utf8.Valid(got) {
		t.Errorf("not UTF-8: %q", got)
	}
	var back struct {
		Source, EventID, EventTime string
		Data                       struct{ Events []json.RawMessage }
	}
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if back.Source != e.Source || back.EventID != "\ufffd\x7f" || back.EventTime != "2026-01-02T02:04:05.678Z" {
		t.Errorf("%s", got)
	}
	if len(back.Data.Events) != 1 || string(back.Data.Events[0]) != `{"a": "\u00e9<"}` {
		t.Errorf("event changed: %s", got)
	}
}

func BenchmarkAppendEnvelope(b *testing.B) {
	d, err := ParseDelivery(batchBody(b, 1))
	if err != nil {
		b.Fatal(err)
	}
	e := Envelope{Source: d.Source, EventID: d.EventID, EventTime: d.EventTime, Events: [][]byte{d.Events[0].Raw}}
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = AppendEnvelope(dst[:0], e)
	}
}
