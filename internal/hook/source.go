package hook

import (
	"regexp"
	"time"
)

// OwnSource is the reserved source of Grapnel's own events.
const OwnSource = "grapnel"

// Source is one Okta org, however many of its event hooks POST to us.
type Source struct {
	Number int64
	Name   string
	// Host is the org's host name, learnt from the first delivery's envelope.
	// Two sources with one host would deliver every event twice.
	Host    string
	Created time.Time
	Updated time.Time
	// Sealed holds a SourceAuth as sealed JSON.
	Sealed []byte
	// Challenge is what the last verification handshake showed.
	Challenge Challenge
}

// SourceAuth is what a request from Okta must show.
type SourceAuth struct {
	// Key is the name of the header that carries the secret; any header name.
	Key string `json:"key"`
	// Value is the whole value of that header.
	Value string `json:"value"`
	// Previous is an older Value that is accepted until PreviousUntil, in the
	// header PreviousKey.
	Previous      string    `json:"previous,omitempty"`
	PreviousKey   string    `json:"previousKey,omitempty"`
	PreviousUntil time.Time `json:"previousUntil,omitzero"`
	// Headers are further headers that must match exactly.
	Headers []Header `json:"headers,omitempty"`
}

// Header is one HTTP header field.
type Header struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Challenge tells how the secret of a verification handshake looked. Okta's
// handshake succeeds whatever the secret is, and a hook that was verified with
// a wrong one loses every delivery: so it is remembered and shown.
type Challenge struct {
	At     time.Time   `json:"at,omitzero"`
	Secret SecretState `json:"secret,omitempty"`
}

// SecretState says how the secret of a request compares to the source's.
type SecretState string

// The states of a request's secret.
const (
	SecretRight  SecretState = "right"
	SecretWrong  SecretState = "wrong"
	SecretAbsent SecretState = "absent"
)

var sourceName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidSourceName reports whether name may name a source: 1 to 63 lower-case
// letters, digits and hyphens, as in a DNS label (RFC 1123 §2.1).
func ValidSourceName(name string) bool { return sourceName.MatchString(name) }

// SourceCount counts what a source has sent since it was created.
type SourceCount struct {
	Deliveries   int64 `json:"deliveries"`   // authenticated POSTs
	Received     int64 `json:"received"`     // events kept, duplicates not counted
	Duplicates   int64 `json:"duplicates"`   // events that were here already
	Rejected     int64 `json:"rejected"`     // kept raw, since they are not events
	Unauthorized int64 `json:"unauthorized"` // answered 401; each may be a lost event
	TooLarge     int64 `json:"tooLarge"`     // answered 413; each may be a lost event
	Unavailable  int64 `json:"unavailable"`  // answered 503; Okta retries once
}

// Add adds other to c.
func (c *SourceCount) Add(other SourceCount) {
	c.Deliveries += other.Deliveries
	c.Received += other.Received
	c.Duplicates += other.Duplicates
	c.Rejected += other.Rejected
	c.Unauthorized += other.Unauthorized
	c.TooLarge += other.TooLarge
	c.Unavailable += other.Unavailable
}
