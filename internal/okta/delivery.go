package okta

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	// MaxEvents is how many elements data.events may have. Okta publishes no
	// limit; the largest batch it can plausibly send is far smaller.
	MaxEvents = 100_000
	// MaxUUID and MaxEventType are the longest uuid and eventType, in bytes,
	// that an event may carry. Okta's uuids have 36, and its longest event type
	// has 93.
	MaxUUID      = 128
	MaxEventType = 255

	maxEventID = 256
	maxSource  = 2048
)

// A Delivery is what one POST of an event hook holds.
type Delivery struct {
	// EventID identifies the delivery, not an event: Okta's retry is expected
	// to carry it again. Empty if missing, not a string, or over 256 bytes.
	EventID string
	// Source is the URL of the Okta event hook that fired,
	// https://{org}/api/v1/eventHooks/{id}. Empty if missing, not a string, or
	// over 2048 bytes.
	Source string
	// EventTime is when Okta made the delivery, in UTC; zero if missing or not
	// RFC 3339.
	EventTime time.Time
	// Events and Rejected together are all elements of data.events, each list
	// in their order.
	Events   []Event
	Rejected []Rejected
}

// Host is the lower-case host of Source, with its port if it names one; empty if
// Source is not an http or https URL. It is what tells orgs apart.
func (d *Delivery) Host() string {
	u, err := url.Parse(d.Source)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return strings.ToLower(u.Host)
}

// An Event is one element of data.events that can be kept and told apart.
type Event struct {
	// Raw is the event's JSON exactly as Okta wrote it, an object. It shares
	// memory with the body given to ParseDelivery.
	Raw []byte
	// UUID is 1 to MaxUUID bytes of printable ASCII.
	UUID string
	// EventType is 1 to MaxEventType bytes of printable ASCII. It need not be
	// in the Catalogue: Okta adds types every month.
	EventType string
	// Published is when the event happened, in UTC. It is zero if missing or
	// not RFC 3339, since the event is worth more than its date; the time of
	// arrival is the next best.
	Published time.Time
}

// A Rejected is an element of data.events that cannot be an event. It is handed
// back so that it can be kept and shown.
type Rejected struct {
	// Raw is the element as Okta wrote it; it is JSON unless Reason is
	// RejectMalformed or RejectTooDeep. It shares memory with the body given to
	// ParseDelivery.
	Raw []byte
	// Index is the element's place in data.events, from 0.
	Index  int
	Reason RejectReason
	// Detail is a sentence for people.
	Detail string
}

// A RejectReason says why an element of data.events is not an event.
type RejectReason string

const (
	// RejectMalformed: the element is not JSON, yet its quotes and brackets
	// tell where it ends.
	RejectMalformed RejectReason = "malformed"
	// RejectTooDeep: it is nested deeper than MaxDepth allows.
	RejectTooDeep RejectReason = "too_deep"
	// RejectNotObject: it is JSON of another kind.
	RejectNotObject RejectReason = "not_object"
	// RejectUUID: uuid is missing, not a string, empty, too long, or not
	// printable ASCII.
	RejectUUID RejectReason = "bad_uuid"
	// RejectEventType: the same for eventType.
	RejectEventType RejectReason = "bad_event_type"
)

// A ParseError says why a body is not an event hook delivery, and where.
type ParseError struct {
	// Offset counts bytes from the start of the body.
	Offset  int
	Message string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("not an Okta event hook delivery: %s (at byte %d)", e.Message, e.Offset)
}
