package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as Go writes it ("250ms", "72h").
type Duration time.Duration

// MarshalText writes the shortest form: "72h", not "72h0m0s".
func (d Duration) MarshalText() ([]byte, error) {
	s := time.Duration(d).String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return []byte(s), nil
}

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; write it like \"250ms\", \"30s\" or \"72h\"", text)
	}
	*d = Duration(v)
	return nil
}

// Verifications of a hook's destination.
const (
	VerifyHandshake = "handshake" // Okta's one-time GET
	VerifyNone      = "none"      // for endpoints that only speak POST
)

// Policy is the `delivery` object of an event hook: what Okta lacks.
type Policy struct {
	Verification string    `json:"verification"`
	Timeout      Duration  `json:"timeout"` // of one attempt, 100ms to 5m
	Retry        Retry     `json:"retry"`
	Sources      []string  `json:"sources,omitempty"` // names of sources; none means all but OwnSource
	Concurrency  int       `json:"concurrency"`       // attempts at once, 1 to 1000
	RateLimit    RateLimit `json:"rateLimit,omitzero"`
	Keep         Duration  `json:"keep"` // how long a delivery may be owed, 1h to 8760h
	// Signing is present when deliveries are signed as Standard Webhooks says.
	Signing *Signing `json:"signing,omitempty"`
}

// Signing says how deliveries are signed.
type Signing struct {
	// Secret is "whsec_" and base64 of 24 to 64 bytes (Standard Webhooks,
	// "Signature scheme"). It is write-only: kept sealed and never returned.
	Secret string `json:"secret,omitempty"`
}

// Retry says when a failed delivery is tried again. Either exponential backoff
// with full jitter, or a fixed schedule.
type Retry struct {
	// Initial bounds the first wait and Max every wait: before retry n the wait
	// is drawn evenly from 0 to min(Max, Initial·2ⁿ⁻¹). 100ms ≤ Initial ≤ Max ≤ 24h.
	Initial Duration `json:"initial,omitzero"`
	Max     Duration `json:"max,omitzero"`
	// For is how long after the first attempt another may start; time on hold
	// does not count. 0 to 720h.
	For Duration `json:"for,omitzero"`
	// Schedule holds the wait before each retry: n entries, n retries; none at
	// all when it is empty but not nil. At most 100 entries of up to 168h.
	Schedule []Duration `json:"schedule,omitzero"`
	// On names what is retried: "network", a status ("429") or a class ("5xx").
	On []string `json:"on"`
}

// MarshalJSON writes a For of 0 too, unless there is a schedule: left out, it
// would be read as the default.
func (r Retry) MarshalJSON() ([]byte, error) {
	type members Retry
	if r.Schedule != nil {
		return json.Marshal(members(r))
	}
	return json.Marshal(struct {
		Initial Duration `json:"initial"`
		Max     Duration `json:"max"`
		For     Duration `json:"for"`
		On      []string `json:"on"`
	}{r.Initial, r.Max, r.For, r.On})
}

// RateLimit is a number of attempts per second, minute or hour: "100/s".
// The zero value is no limit.
type RateLimit struct {
	Count int
	Per   time.Duration
}

// DefaultPolicy is the policy of a hook that says nothing.
func DefaultPolicy() Policy {
	return Policy{
		Verification: VerifyHandshake,
		Timeout:      Duration(30 * time.Second),
		Retry:        defaultRetry(),
		Concurrency:  16,
		Keep:         Duration(30 * 24 * time.Hour),
	}
}

func defaultRetry() Retry {
	return Retry{
		Initial: Duration(5 * time.Second),
		Max:     Duration(time.Hour),
		For:     Duration(72 * time.Hour),
		On:      []string{"network", "408", "425", "429", "5xx"},
	}
}

// ParsePolicy reads a `delivery` object. What it leaves out has its default;
// unknown members are an error, as a misspelt policy would be a silent default.
func ParsePolicy(raw []byte) (Policy, error) {
	var given struct {
		Retry map[string]json.RawMessage `json:"retry"`
	}
	if err := json.Unmarshal(raw, &given); err != nil {
		return Policy{}, plain(err)
	}
	p := DefaultPolicy()
	if schedule, ok := given.Retry["schedule"]; ok && string(schedule) != "null" {
		p.Retry = Retry{On: p.Retry.On}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Policy{}, plain(err)
	}
	if _, ok := given.Retry["max"]; !ok && p.Retry.Schedule == nil {
		p.Retry.Max = max(p.Retry.Max, p.Retry.Initial)
	}
	return p, p.Validate()
}

// plain turns the decoder's error into words for the person who wrote the object.
func plain(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return errors.New("delivery: " + strings.TrimPrefix(err.Error(), "json: "))
	case wrong.Type == reflect.TypeFor[Duration]():
		return fmt.Errorf(`delivery.%s: expected a string like "250ms", "30s" or "72h", not %s`, wrong.Field, wrong.Value)
	default:
		field := strings.TrimSuffix("delivery."+wrong.Field, ".")
		return fmt.Errorf("%s: it cannot be a %s", field, wrong.Value)
	}
}

// Validate reports what is out of its bounds.
func (p *Policy) Validate() error {
	switch {
	case p.Verification != VerifyHandshake && p.Verification != VerifyNone:
		return fmt.Errorf("delivery.verification: %q is neither %q nor %q", p.Verification, VerifyHandshake, VerifyNone)
	case p.Concurrency < 1 || p.Concurrency > 1000:
		return fmt.Errorf("delivery.concurrency: %d is not between 1 and 1000", p.Concurrency)
	case len(p.Sources) > 100:
		return errors.New("delivery.sources: at most 100 sources can be named")
	}
	for _, name := range p.Sources {
		if !ValidSourceName(name) {
			return fmt.Errorf("delivery.sources: %q is not a source name", name)
		}
	}
	return errors.Join(
		within("delivery.timeout", p.Timeout, 100*time.Millisecond, 5*time.Minute),
		within("delivery.keep", p.Keep, time.Hour, 8760*time.Hour),
		p.Retry.validate(),
	)
}

func (r *Retry) validate() error {
	for _, on := range r.On {
		if !validRetryOn(on) {
			return fmt.Errorf(`delivery.retry.on: %q is not "network", a status from 300 to 599, or a class like "5xx"`, on)
		}
	}
	if r.Schedule != nil {
		if r.Initial != 0 || r.Max != 0 || r.For != 0 {
			return errors.New("delivery.retry: give either schedule, or initial, max and for")
		}
		if len(r.Schedule) > 100 {
			return errors.New("delivery.retry.schedule: at most 100 entries")
		}
		for _, wait := range r.Schedule {
			if err := within("delivery.retry.schedule", wait, 0, 168*time.Hour); err != nil {
				return err
			}
		}
		return nil
	}
	if r.Initial > r.Max {
		return errors.New("delivery.retry: initial is longer than max")
	}
	return errors.Join(
		within("delivery.retry.initial", r.Initial, 100*time.Millisecond, 24*time.Hour),
		within("delivery.retry.max", r.Max, 100*time.Millisecond, 24*time.Hour),
		within("delivery.retry.for", r.For, 0, 720*time.Hour),
	)
}

func within(field string, d Duration, low, high time.Duration) error {
	if v := time.Duration(d); v < low || v > high {
		return fmt.Errorf("%s: %v is not between %v and %v", field, v, low, high)
	}
	return nil
}

func validRetryOn(on string) bool {
	if on == "network" {
		return true
	}
	if class, ok := strings.CutSuffix(on, "xx"); ok {
		return class == "3" || class == "4" || class == "5"
	}
	n, err := strconv.Atoi(on)
	return err == nil && n >= 300 && n <= 599 && strconv.Itoa(n) == on
}

// Retries reports whether an attempt that ended like this is retried at all.
// Status 0 means there was no answer.
func (r *Retry) Retries(status int) bool {
	if status == 0 {
		return slices.Contains(r.On, "network")
	}
	return slices.Contains(r.On, strconv.Itoa(status)) ||
		slices.Contains(r.On, strconv.Itoa(status/100)+"xx")
}

// Next returns the wait after attempt number attempt (1 for the first) has
// failed, or false when the policy is exhausted. elapsed is the time since the
// first attempt, holds not counted; random is drawn evenly from [0, 1).
// retryAfter, what the destination asked for (RFC 9110 §10.2.3), replaces the
// policy's wait, within 1 s and the policy's longest wait.
func (r *Retry) Next(attempt int, elapsed, retryAfter time.Duration, random float64) (time.Duration, bool) {
	var wait, longest time.Duration
	if r.Schedule != nil {
		if attempt > len(r.Schedule) {
			return 0, false
		}
		wait = time.Duration(r.Schedule[attempt-1])
		longest = time.Duration(slices.Max(r.Schedule))
	} else {
		longest = time.Duration(r.Max)
		ceiling := min(float64(longest), float64(r.Initial)*math.Pow(2, float64(attempt-1)))
		wait = time.Duration(ceiling * random)
	}
	if retryAfter > 0 {
		wait = max(min(retryAfter, longest), time.Second)
	}
	if r.Schedule == nil && elapsed+wait > time.Duration(r.For) {
		return 0, false
	}
	return wait, true
}

// ParseRateLimit reads "100/s", "600/m" or "1000/h".
func ParseRateLimit(text string) (RateLimit, error) {
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	count, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 1_000_000 || per[unit] == 0 {
		return RateLimit{}, fmt.Errorf(`%q is not a rate; write it like "100/s", "600/m" or "1000/h"`, text)
	}
	return RateLimit{Count: n, Per: per[unit]}, nil
}

// String is the form that ParseRateLimit reads.
func (l RateLimit) String() string {
	unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}
	if l.Count == 0 {
		return ""
	}
	return strconv.Itoa(l.Count) + "/" + unit[l.Per]
}

// PerSecond is the rate in attempts per second, +Inf without a limit.
func (l RateLimit) PerSecond() float64 {
	if l.Count == 0 {
		return math.Inf(1)
	}
	return float64(l.Count) / l.Per.Seconds()
}

// MarshalText writes String.
func (l RateLimit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what ParseRateLimit reads; "" is no limit.
func (l *RateLimit) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*l = RateLimit{}
		return nil
	}
	*l, err = ParseRateLimit(string(text))
	return err
}
