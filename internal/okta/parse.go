package okta

import (
	"fmt"
	"time"
)

// ParseDelivery splits the body of an event hook's POST into its events without
// decoding or copying them; body must not be changed afterwards.
//
// A body is a delivery if it is one JSON object with an array data.events, of
// at most MaxEvents elements; the array may be empty. Everything else may be
// missing, null, unknown, or in any order. The error is always a *ParseError.
//
// Nothing in data.events is dropped: an element that cannot be an event is
// returned in Rejected. An element that is not even JSON is one of them as long
// as its end can be told; if not, as in a body cut short, there is no telling
// events from rubbish and the whole body is in error.
//
// Silent points of the protocol are settled so that nothing is lost. Invalid
// UTF-8 inside a string is kept as it is, except in uuid and eventType, where
// it rejects the event. Keys are compared exactly, escapes resolved. If an
// object has uuid, eventType or published twice, the last one counts, as in
// encoding/json; a body that has data or data.events twice is in error, since
// either choice would drop events.
func ParseDelivery(body []byte) (*Delivery, error) {
	p := parser{scanner: scanner{b: body}}
	if !p.envelope() {
		return nil, &ParseError{Offset: p.pos, Message: string(p.flaw)}
	}
	return &p.d, nil
}

type parser struct {
	scanner
	d Delivery
	// seenData and seenEvents: the keys have been met, whatever they hold.
	seenData, seenEvents, hasEvents bool
}

func (p *parser) envelope() bool {
	if p.peek() != '{' {
		p.flaw = flawNoObject
		return false
	}
	for first := true; ; first = false {
		key, more, ok := p.member(0, first)
		if !ok {
			return false
		}
		if !more {
			break
		}
		switch {
		case key.is("data"):
			ok = p.data()
		case key.is("source"):
			ok = p.text(1, func(v []byte) { p.d.Source = bounded(v, maxSource) })
		case key.is("eventId"):
			ok = p.text(1, func(v []byte) { p.d.EventID = bounded(v, maxEventID) })
		case key.is("eventTime"):
			ok = p.text(1, func(v []byte) { p.d.EventTime = parseTime(v) })
		default:
			ok = p.value(1)
		}
		if !ok {
			return false
		}
	}
	if p.peek(); p.pos < len(p.b) {
		return p.fail(flawTrailing)
	}
	if !p.hasEvents {
		p.flaw = flawNoEvents
		return false
	}
	return true
}

func (p *parser) data() bool {
	if p.seenData {
		return p.fail(flawTwice)
	}
	p.seenData = true
	if p.peek() != '{' {
		return p.value(1)
	}
	for first := true; ; first = false {
		key, more, ok := p.member(1, first)
		if !more {
			return ok
		}
		if key.is("events") {
			ok = p.events()
		} else {
			ok = p.value(2)
		}
		if !ok {
			return false
		}
	}
}

func (p *parser) events() bool {
	if p.seenEvents {
		return p.fail(flawTwice)
	}
	p.seenEvents = true
	if p.peek() != '[' {
		return p.value(2)
	}
	p.hasEvents = true
	for first := true; ; first = false {
		more, ok := p.element(2, first)
		if !more {
			return ok
		}
		if len(p.d.Events)+len(p.d.Rejected) == MaxEvents {
			return p.fail(flawTooMany)
		}
		if !p.event() {
			return false
		}
	}
}

// event reads one element of data.events into Events or Rejected.
func (p *parser) event() bool {
	start := p.pos
	if p.peek() != '{' {
		if !p.value(3) {
			return p.rejectBroken(start)
		}
		p.reject(start, RejectNotObject, "the element is not a JSON object")
		return true
	}
	var uuid, eventType, published []byte
	for first := true; ; first = false {
		key, more, ok := p.member(3, first)
		if !ok {
			return p.rejectBroken(start)
		}
		if !more {
			break
		}
		switch {
		case key.is("uuid"):
			uuid, ok = p.maybeText(4)
		case key.is("eventType"):
			eventType, ok = p.maybeText(4)
		case key.is("published"):
			published, ok = p.maybeText(4)
		default:
			ok = p.value(4)
		}
		if !ok {
			return p.rejectBroken(start)
		}
	}
	switch {
	case !printable(uuid, MaxUUID):
		p.reject(start, RejectUUID, "uuid must be a string of 1 to 128 printable ASCII characters")
	case !printable(eventType, MaxEventType):
		p.reject(start, RejectEventType, "eventType must be a string of 1 to 255 printable ASCII characters")
	default:
		p.d.Events = append(p.d.Events, Event{
			Raw:       p.b[start:p.pos:p.pos],
			UUID:      string(uuid),
			EventType: p.typeName(eventType),
			Published: parseTime(published),
		})
	}
	return true
}

// typeName saves an allocation where events of one type follow each other.
func (p *parser) typeName(eventType []byte) string {
	if n := len(p.d.Events); n > 0 && p.d.Events[n-1].EventType == string(eventType) {
		return p.d.Events[n-1].EventType
	}
	return string(eventType)
}

// rejectBroken sets aside the element at start, which scanning has found wrong
// at pos. If its end cannot be told, the flaw and its place stand as they are.
func (p *parser) rejectBroken(start int) bool {
	why, at := p.flaw, p.pos
	if !p.resync(start) {
		p.flaw, p.pos = why, at
		return false
	}
	reason := RejectMalformed
	if why == flawDeep {
		reason = RejectTooDeep
	}
	p.reject(start, reason, fmt.Sprintf("%s (at byte %d of the element)", why, at-start))
	return true
}

func (p *parser) reject(start int, reason RejectReason, detail string) {
	p.d.Rejected = append(p.d.Rejected, Rejected{
		Raw:    p.b[start:p.pos:p.pos],
		Index:  len(p.d.Events) + len(p.d.Rejected),
		Reason: reason,
		Detail: detail,
	})
}

// maybeText reads a value and returns it if it is a string, nil otherwise.
func (p *parser) maybeText(depth int) ([]byte, bool) {
	if p.peek() != '"' {
		return nil, p.value(depth)
	}
	t, ok := p.str()
	if !ok {
		return nil, false
	}
	return t.bytes(), true
}

// text hands a string value to set, and an empty one for any other value.
func (p *parser) text(depth int, set func([]byte)) bool {
	v, ok := p.maybeText(depth)
	if ok {
		set(v)
	}
	return ok
}

func bounded(v []byte, limit int) string {
	if len(v) > limit {
		return ""
	}
	return string(v)
}

func printable(v []byte, limit int) bool {
	for _, c := range v {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return len(v) > 0 && len(v) <= limit
}

// parseTime reads an RFC 3339 time with any number of fraction digits, into
// UTC; zero if it is none.
func parseTime(v []byte) time.Time {
	var t time.Time
	if err := t.UnmarshalText(v); err != nil {
		return time.Time{}
	}
	return t.UTC()
}
