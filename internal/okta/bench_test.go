package okta

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// singleBody is a compact delivery of one event, about 2.2 KB; batchBody one of
// n such events.
func batchBody(tb testing.TB, n int) []byte {
	tb.Helper()
	b, err := os.ReadFile("testdata/event-hook-delivery-single.json")
	if err != nil {
		tb.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		tb.Fatal(err)
	}
	body := compact.Bytes()
	open := bytes.Index(body, []byte(`"events":[`)) + len(`"events":[`)
	end := bytes.LastIndex(body, []byte(`]},"eventTime"`))
	var out []byte
	out = append(out, body[:open]...)
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, body[open:end]...)
	}
	return append(out, body[end:]...)
}

func BenchmarkParseDelivery(b *testing.B) {
	for name, n := range map[string]int{"single": 1, "batch10000": 10_000} {
		body := batchBody(b, n)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				d, err := ParseDelivery(body)
				if err != nil || len(d.Events) != n {
					b.Fatal(len(d.Events), err)
				}
			}
		})
	}
}
