package hook

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestPolicyDefaults spells the defaults out, as the documentation does.
func TestPolicyDefaults(t *testing.T) {
	want := Policy{
		Verification: "handshake",
		Timeout:      Duration(30 * time.Second),
		Retry: Retry{
			Initial: Duration(5 * time.Second), Max: Duration(time.Hour), For: Duration(72 * time.Hour),
			On: []string{"network", "408", "425", "429", "5xx"},
		},
		Concurrency: 16,
		Keep:        Duration(720 * time.Hour),
	}
	for _, raw := range []string{`{}`, `null`, `{"retry":{}}`, `{"retry":null,"rateLimit":"","sources":null}`, `{"retry":{"schedule":null}}`} {
		got, err := ParsePolicy([]byte(raw))
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for _, c := range []struct {
		raw  string
		edit func(p *Policy)
	}{
		{`{"verification":"none"}`, func(p *Policy) { p.Verification = VerifyNone }},
		{`{"timeout":"250ms"}`, func(p *Policy) { p.Timeout = Duration(250 * time.Millisecond) }},
		{`{"concurrency":1,"keep":"1h"}`, func(p *Policy) { p.Concurrency, p.Keep = 1, Duration(time.Hour) }},
		{`{"rateLimit":"600/m"}`, func(p *Policy) { p.RateLimit = RateLimit{600, time.Minute} }},
		{`{"sources":["acme","grapnel"]}`, func(p *Policy) { p.Sources = []string{"acme", "grapnel"} }},
		{`{"signing":{}}`, func(p *Policy) { p.Signing = &Signing{} }},
		{`{"signing":{"secret":"whsec_x"}}`, func(p *Policy) { p.Signing = &Signing{Secret: "whsec_x"} }},
		{`{"retry":{"for":"0s"}}`, func(p *Policy) { p.Retry.For = 0 }},
		{`{"retry":{"on":[]}}`, func(p *Policy) { p.Retry.On = []string{} }},
		{`{"retry":{"on":["429"]}}`, func(p *Policy) { p.Retry.On = []string{"429"} }},
		// A first wait longer than the default of the longest lengthens it.
		{`{"retry":{"initial":"2h"}}`, func(p *Policy) { p.Retry.Initial, p.Retry.Max = Duration(2*time.Hour), Duration(2*time.Hour) }},
		{`{"retry":{"max":"10s"}}`, func(p *Policy) { p.Retry.Max = Duration(10 * time.Second) }},
		// A schedule replaces the other waits, and keeps what is retried.
		{`{"retry":{"schedule":["5s","5m"]}}`, func(p *Policy) {
			p.Retry = Retry{Schedule: []Duration{Duration(5 * time.Second), Duration(5 * time.Minute)}, On: p.Retry.On}
		}},
		{`{"retry":{"schedule":[],"on":["5xx"]}}`, func(p *Policy) { p.Retry = Retry{Schedule: []Duration{}, On: []string{"5xx"}} }},
	} {
		want := DefaultPolicy()
		c.edit(&want)
		got, err := ParsePolicy([]byte(c.raw))
		if err != nil {
			t.Errorf("%s: %v", c.raw, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.raw, diff)
		}
	}
}

// TestParsePolicyRefuses checks that the error names the field.
func TestParsePolicyRefuses(t *testing.T) {
	for raw, names := range map[string]string{
		``:                                             "delivery",
		`{`:                                            "delivery",
		`[]`:                                           "delivery",
		`"x"`:                                          "delivery",
		`{}{}`:                                         "delivery",
		`{"timeoutt":"1s"}`:                            "timeoutt",
		`{"retry":{"maximum":"1s"}}`:                   "maximum",
		`{"verification":"maybe"}`:                     "delivery.verification",
		`{"timeout":30}`:                               `delivery.timeout: expected a string like "250ms"`,
		`{"timeout":"30"}`:                             `"30" is not a duration`,
		`{"timeout":"99ms"}`:                           "delivery.timeout",
		`{"timeout":"5m1ms"}`:                          "delivery.timeout",
		`{"keep":"59m"}`:                               "delivery.keep",
		`{"keep":"8761h"}`:                             "delivery.keep",
		`{"keep":"-1h"}`:                               "delivery.keep",
		`{"concurrency":0}`:                            "delivery.concurrency",
		`{"concurrency":1001}`:                         "delivery.concurrency",
		`{"concurrency":"16"}`:                         "delivery.concurrency: it cannot be a string",
		`{"concurrency":1e99}`:                         "concurrency",
		`{"rateLimit":"100"}`:                          `"100" is not a rate`,
		`{"sources":["Acme"]}`:                         "delivery.sources",
		`{"sources":[""]}`:                             "delivery.sources",
		`{"retry":{"initial":"99ms"}}`:                 "delivery.retry.initial",
		`{"retry":{"initial":"-1s"}}`:                  "delivery.retry.initial",
		`{"retry":{"initial":"25h"}}`:                  "delivery.retry.initial",
		`{"retry":{"max":"25h"}}`:                      "delivery.retry.max",
		`{"retry":{"max":"1s"}}`:                       "initial is longer than max",
		`{"retry":{"for":"721h"}}`:                     "delivery.retry.for",
		`{"retry":{"for":"-1s"}}`:                      "delivery.retry.for",
		`{"retry":{"on":["200"]}}`:                     "delivery.retry.on",
		`{"retry":{"on":["600"]}}`:                     "delivery.retry.on",
		`{"retry":{"on":["2xx"]}}`:                     "delivery.retry.on",
		`{"retry":{"on":["xx"]}}`:                      "delivery.retry.on",
		`{"retry":{"on":["0429"]}}`:                    "delivery.retry.on",
		`{"retry":{"on":["+429"]}}`:                    "delivery.retry.on",
		`{"retry":{"on":["Network"]}}`:                 "delivery.retry.on",
		`{"retry":{"schedule":"5s"}}`:                  "schedule",
		`{"retry":{"schedule":["-1s"]}}`:               "delivery.retry.schedule",
		`{"retry":{"schedule":["169h"]}}`:              "delivery.retry.schedule",
		`{"retry":{"schedule":["5s"],"initial":"1s"}}`: "either schedule",
		`{"retry":{"schedule":[],"for":"1h"}}`:         "either schedule",
		`{"retry":{"schedule":[` + strings.Repeat(`"1s",`, 100) + `"1s"]}}`: "at most 100",
		`{"sources":[` + strings.Repeat(`"a",`, 100) + `"a"]}`:              "at most 100",
	} {
		p, err := ParsePolicy([]byte(raw))
		if err == nil {
			t.Errorf("%.60s is read as %+v", raw, p)
		} else if !strings.Contains(err.Error(), names) {
			t.Errorf("%.60s: the error %q does not say %q", raw, err, names)
		}
	}
}

// TestPolicyBounds has every bound hold on both its sides.
func TestPolicyBounds(t *testing.T) {
	set := map[string]func(p *Policy, d Duration){
		"timeout": func(p *Policy, d Duration) { p.Timeout = d },
		"keep":    func(p *Policy, d Duration) { p.Keep = d },
		"initial": func(p *Policy, d Duration) { p.Retry.Initial, p.Retry.Max = d, max(d, p.Retry.Max) },
		"max":     func(p *Policy, d Duration) { p.Retry.Initial, p.Retry.Max = min(d, p.Retry.Initial), d },
		"for":     func(p *Policy, d Duration) { p.Retry.For = d },
		"schedule": func(p *Policy, d Duration) {
			p.Retry = Retry{Schedule: []Duration{d}, On: p.Retry.On}
		},
	}
	for _, c := range []struct {
		field     string
		low, high time.Duration
	}{
		{"timeout", 100 * time.Millisecond, 5 * time.Minute},
		{"keep", time.Hour, 8760 * time.Hour},
		{"initial", 100 * time.Millisecond, 24 * time.Hour},
		{"max", 100 * time.Millisecond, 24 * time.Hour},
		{"for", 0, 720 * time.Hour},
		{"schedule", 0, 168 * time.Hour},
	} {
		for d, valid := range map[time.Duration]bool{c.low - 1: false, c.low: true, c.high: true, c.high + 1: false} {
			p := DefaultPolicy()
			set[c.field](&p, Duration(d))
			if err := p.Validate(); (err == nil) != valid {
				t.Errorf("%s of %v: %v, want it valid: %v", c.field, d, err, valid)
			}
		}
	}
}

func drawDuration(t *rapid.T, name string, low, high time.Duration) Duration {
	return Duration(rapid.Int64Range(int64(low), int64(high)).Draw(t, name))
}

// aPolicy draws any valid policy.
func aPolicy(t *rapid.T) Policy {
	p := Policy{
		Verification: rapid.SampledFrom([]string{VerifyHandshake, VerifyNone}).Draw(t, "verification"),
		Timeout:      drawDuration(t, "timeout", 100*time.Millisecond, 5*time.Minute),
		Concurrency:  rapid.IntRange(1, 1000).Draw(t, "concurrency"),
		Keep:         drawDuration(t, "keep", time.Hour, 8760*time.Hour),
		Retry:        aRetry(t),
	}
	if rapid.Bool().Draw(t, "sources") {
		p.Sources = rapid.SliceOfN(rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?`), 1, 3).Draw(t, "sources")
	}
	if rapid.Bool().Draw(t, "limited") {
		p.RateLimit = RateLimit{
			Count: rapid.IntRange(1, 1_000_000).Draw(t, "count"),
			Per:   rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(t, "per"),
		}
	}
	if rapid.Bool().Draw(t, "signed") {
		p.Signing = &Signing{Secret: rapid.SampledFrom([]string{"", "whsec_x"}).Draw(t, "secret")}
	}
	return p
}

func aRetry(t *rapid.T) Retry {
	r := Retry{On: rapid.SliceOfN(rapid.SampledFrom([]string{"network", "408", "599", "3xx", "4xx", "5xx"}), 0, 4).Draw(t, "on")}
	if rapid.Bool().Draw(t, "scheduled") {
		r.Schedule = []Duration{}
		for range rapid.IntRange(0, 100).Draw(t, "entries") {
			r.Schedule = append(r.Schedule, drawDuration(t, "wait", 0, 168*time.Hour))
		}
		return r
	}
	r.Initial = drawDuration(t, "initial", 100*time.Millisecond, 24*time.Hour)
	r.Max = drawDuration(t, "max", time.Duration(r.Initial), 24*time.Hour)
	r.For = rapid.SampledFrom([]Duration{0, drawDuration(t, "for", 0, 720*time.Hour)}).Draw(t, "for or not")
	return r
}

// TestPolicyRoundTrips writes a policy as the API shows it and reads it as the
// API takes it: whoever puts back what he got changes nothing.
func TestPolicyRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := aPolicy(t)
		if err := p.Validate(); err != nil {
			t.Fatalf("the test is wrong: %v", err)
		}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePolicy(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Fatalf("%s (-written +read):\n%s", raw, diff)
		}
		var plain Policy // as a store reads it, without defaults
		if err := json.Unmarshal(raw, &plain); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, plain); diff != "" {
			t.Fatalf("%s without defaults (-written +read):\n%s", raw, diff)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	for _, raw := range []string{
		`{}`, `null`, `{"retry":{"schedule":["5s"]}}`, `{"retry":{"for":"0s","on":null}}`, `{"RETRY":{"Schedule":[]}}`,
		`{"rateLimit":"100/s","signing":{"secret":"whsec_"},"sources":["a"]}`, `{"retry":{"max":null,"initial":"2h"}}`,
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePolicy(raw)
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("%q is read and invalid: %v", raw, err)
		}
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePolicy(written)
		if err != nil {
			t.Fatalf("%q is written as %s: %v", raw, written, err)
		}
		if len(p.Sources) == 0 {
			p.Sources = nil // which is the same, and is not written
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatalf("%q is written as %s (-first +second):\n%s", raw, written, diff)
		}
	})
}
