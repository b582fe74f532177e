package expression

import (
	"os"
	"testing"
)

// sampleEvent is a LogEvent as an event hook delivers it: 1.9 KB, nulls written out.
func sampleEvent(t testing.TB) string { return read(t, "testdata/event.json") }

// smallEvent is one of 1.3 KB, nulls left out.
func smallEvent(t testing.TB) string { return read(t, "testdata/event-sparse.json") }

func read(t testing.TB, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func BenchmarkCompile(b *testing.B) {
	for name, source := range benchmarked {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(source, Gateway); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var benchmarked = map[string]string{
	"equality":   "event.outcome.result eq 'SUCCESS'",
	"contains":   "event.debugData.changedAttributes.contains('email')",
	"selection":  "event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size() > 0",
	"ipChain":    "event.client.ipChain.?[ip eq '203.0.113.24'].size() > 0",
	"five terms": "event.outcome.result eq 'SUCCESS' && event.actor.type eq 'User' && !event.eventType.contains('nothing') && event.target.?[type eq 'User' && id ne 'x'].size() > 0 && event.severity ne 'ERROR'",
}

// BenchmarkMatch: a document that was read before, as for the second and every later filter of an event.
func BenchmarkMatch(b *testing.B) {
	doc := NewDocument([]byte(sampleEvent(b)))
	for name, source := range benchmarked {
		b.Run(name, func(b *testing.B) {
			p := mustCompile(b, source, Gateway)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Match(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMatchNewDocument: the first filter of an event, which pays for reading it.
func BenchmarkMatchNewDocument(b *testing.B) {
	for name, event := range map[string]string{"1.9KB": sampleEvent(b), "1.3KB": smallEvent(b)} {
		b.Run(name, func(b *testing.B) {
			p := mustCompile(b, benchmarked["equality"], Gateway)
			raw := []byte(event)
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := p.Match(NewDocument(raw)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMatchTwentyPrograms: an event and the filters of twenty hooks.
func BenchmarkMatchTwentyPrograms(b *testing.B) {
	var programs []*Program
	for range 4 {
		for _, source := range benchmarked {
			programs = append(programs, mustCompile(b, source, Gateway))
		}
	}
	raw := []byte(sampleEvent(b))
	b.ReportAllocs()
	for b.Loop() {
		doc := NewDocument(raw)
		for _, p := range programs {
			if _, err := p.Match(doc); err != nil {
				b.Fatal(err)
			}
		}
	}
}
