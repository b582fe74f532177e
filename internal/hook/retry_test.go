package hook

import (
	"encoding"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRetries(t *testing.T) {
	defaults := DefaultPolicy().Retry
	for status, want := range map[int]bool{
		0: true, 408: true, 425: true, 429: true, 500: true, 503: true, 599: true,
		200: false, 301: false, 400: false, 401: false, 404: false, 410: false, 600: false,
	} {
		if got := defaults.Retries(status); got != want {
			t.Errorf("by default, %d is retried: %v, want %v", status, got, want)
		}
	}
	none, classes := Retry{}, Retry{On: []string{"3xx", "404"}}
	for status, want := range map[int]bool{0: false, 300: true, 399: true, 400: false, 404: true, 500: false} {
		if none.Retries(status) {
			t.Errorf("without anything to retry on, %d is retried", status)
		}
		if got := classes.Retries(status); got != want {
			t.Errorf("on 3xx and 404, %d is retried: %v, want %v", status, got, want)
		}
	}
}

// TestNext spells out the waits of an exponential policy and of a schedule.
func TestNext(t *testing.T) {
	s := time.Second
	exponential := Retry{Initial: Duration(5 * s), Max: Duration(60 * s), For: Duration(1000 * s)}
	schedule := Retry{Schedule: []Duration{Duration(5 * s), 0, Duration(60 * s)}}
	for _, c := range []struct {
		name                string
		retry               Retry
		attempt             int
		elapsed, retryAfter time.Duration
		random              float64
		want                time.Duration
		ok                  bool
	}{
		{"the least of the first", exponential, 1, s, 0, 0, 0, true},
		{"half of the first", exponential, 1, s, 0, 0.5, 2500 * time.Millisecond, true},
		{"half of the second", exponential, 2, s, 0, 0.5, 5 * s, true},
		{"half of the third", exponential, 3, s, 0, 0.5, 10 * s, true},
		{"half of the longest", exponential, 5, s, 0, 0.5, 30 * s, true},
		{"half of the longest, much later", exponential, 5000, s, 0, 0.5, 30 * s, true},
		{"asked for less", exponential, 5, s, 2 * s, 0.5, 2 * s, true},
		{"asked for nearly nothing", exponential, 5, s, time.Millisecond, 0.5, s, true},
		{"asked for too much", exponential, 1, s, time.Hour, 0.5, 60 * s, true},
		{"just in time", exponential, 5, 970 * s, 0, 0.5, 30 * s, true},
		{"just too late", exponential, 5, 970*s + 1, 0, 0.5, 0, false},
		{"asked beyond the end", exponential, 5, 970 * s, 31 * s, 0.5, 0, false},
		{"the first of a schedule", schedule, 1, s, 0, 0.5, 5 * s, true},
		{"at once", schedule, 2, s, 0, 0.5, 0, true},
		{"the last of a schedule", schedule, 3, 10000 * time.Hour, 0, 0.5, 60 * s, true},
		{"after the last", schedule, 4, s, 0, 0.5, 0, false},
		{"a schedule, asked for more", schedule, 1, s, 20 * s, 0.5, 20 * s, true},
		{"a schedule, asked for too much", schedule, 1, s, 61 * s, 0.5, 60 * s, true},
		{"after the last, asked for more", schedule, 4, s, 20 * s, 0.5, 0, false},
		{"an empty schedule", Retry{Schedule: []Duration{}}, 1, s, s, 0.5, 0, false},
		{"no time at all", Retry{Initial: Duration(s), Max: Duration(s)}, 1, time.Millisecond, 0, 0.5, 0, false},
	} {
		got, ok := c.retry.Next(c.attempt, c.elapsed, c.retryAfter, c.random)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

// TestNextKeepsWithinThePolicy lets a delivery fail until its policy is
// exhausted, whatever the destination asks for.
func TestNextKeepsWithinThePolicy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := aRetry(t)
		if r.Schedule == nil {
			r.For = min(r.For, 50*r.Initial)
		}
		longest := time.Duration(r.Max)
		for _, wait := range r.Schedule {
			longest = max(longest, time.Duration(wait))
		}
		elapsed := time.Duration(0)
		for attempt := 1; ; attempt++ {
			elapsed += time.Duration(rapid.Int64Range(1, int64(5*time.Minute)).Draw(t, "attempt took"))
			asked := time.Duration(rapid.SampledFrom([]int64{0, 0, 1, int64(time.Minute), math.MaxInt64}).Draw(t, "asked"))
			random := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "random")
			wait, ok := r.Next(attempt, elapsed, asked, random)
			if r.Schedule != nil && ok != (attempt <= len(r.Schedule)) {
				t.Fatalf("attempt %d of a schedule of %d: another one %v", attempt, len(r.Schedule), ok)
			}
			if !ok {
				return
			}
			switch {
			case wait < 0 || wait > max(longest, time.Second):
				t.Fatalf("attempt %d: wait %v, the longest is %v", attempt, wait, longest)
			case asked > 0 && wait != max(min(asked, longest), time.Second):
				t.Fatalf("attempt %d: wait %v, asked for %v, the longest is %v", attempt, wait, asked, longest)
			case asked == 0 && r.Schedule == nil && float64(wait) > float64(r.Initial)*math.Pow(2, float64(attempt-1)):
				t.Fatalf("attempt %d: wait %v, initial %v", attempt, wait, time.Duration(r.Initial))
			case asked == 0 && r.Schedule != nil && wait != time.Duration(r.Schedule[attempt-1]):
				t.Fatalf("attempt %d: wait %v, want %v", attempt, wait, r.Schedule[attempt-1])
			}
			if elapsed += wait; r.Schedule == nil && elapsed > time.Duration(r.For) {
				t.Fatalf("attempt %d would start after %v, for is %v", attempt+1, elapsed, time.Duration(r.For))
			}
		}
	})
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Nanosecond: "1ns", 250 * time.Millisecond: "250ms", 30 * time.Second: "30s", 90 * time.Second: "1m30s",
		time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 72 * time.Hour: "72h", 70 * time.Minute: "1h10m",
		time.Hour + time.Second: "1h0m1s", 100 * time.Hour: "100h", -time.Hour: "-1h", 20*time.Hour + 20*time.Minute: "20h20m",
	} {
		if text, err := Duration(d).MarshalText(); err != nil || string(text) != want {
			t.Errorf("%v is written %q, want %q: %v", d, text, want, err)
		}
	}
	var d Duration
	for _, text := range []string{"", "30", "1d", "s", "1 h", "1h ", "99999999999h"} {
		if err := d.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "write it like") {
			t.Errorf("%q is read as %v: %v", text, d, err)
		}
	}
}

// roundTrips checks that a text that is read is written as a text that is read
// as the same.
func roundTrips[V comparable](t *testing.T, text string, v *V, read encoding.TextUnmarshaler, write func() ([]byte, error)) {
	t.Helper()
	if read.UnmarshalText([]byte(text)) != nil {
		return
	}
	first := *v
	written, err := write()
	if err != nil {
		t.Fatal(err)
	}
	if err := read.UnmarshalText(written); err != nil || *v != first {
		t.Errorf("%q is read as %v, written %q, read as %v: %v", text, first, written, *v, err)
	}
}

func FuzzDuration(f *testing.F) {
	for _, text := range []string{"72h", "1h0m0s", "250ms", "1.5h", "-1m0s", "9223372036.854775807s", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d Duration
		roundTrips(t, text, &d, &d, func() ([]byte, error) { return d.MarshalText() })
	})
}

func TestRateLimits(t *testing.T) {
	for text, perSecond := range map[string]float64{"100/s": 100, "600/m": 10, "3600/h": 1, "1/h": 1.0 / 3600, "1000000/s": 1e6, "1/s": 1} {
		l, err := ParseRateLimit(text)
		if err != nil || l.String() != text || math.Abs(l.PerSecond()-perSecond) > 1e-9 {
			t.Errorf("%q is read as %v, %v a second: %v", text, l, l.PerSecond(), err)
		}
	}
	for _, text := range []string{"", "/", "100", "100/", "/s", "0/s", "-1/s", "1000001/s", "1.5/s", "100/d", "100/S", "100/s/s", "100 /s", "1e3/s"} {
		if l, err := ParseRateLimit(text); err == nil {
			t.Errorf("%q is read as %v", text, l)
		}
	}
	var none RateLimit
	if !math.IsInf(none.PerSecond(), 1) || none.String() != "" {
		t.Errorf("no limit is %v a second, written %q", none.PerSecond(), none)
	}
	limited := RateLimit{5, time.Second}
	if err := limited.UnmarshalText(nil); err != nil || limited != none {
		t.Errorf("an empty text is read as %v: %v", limited, err)
	}
}

func FuzzRateLimit(f *testing.F) {
	for _, text := range []string{"100/s", "600/m", "1000/h", "+5/s", "05/s", "", "1/x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l RateLimit
		roundTrips(t, text, &l, &l, func() ([]byte, error) { return l.MarshalText() })
		if l.Count < 0 || l.Count > 1_000_000 {
			t.Errorf("%q is read as %v", text, l)
		}
	})
}
