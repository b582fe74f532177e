package okta

import "time"

// Timestamp is how Okta writes times: UTC, milliseconds, Z.
const Timestamp = "2006-01-02T15:04:05.000Z"

// An Envelope is a delivery to be written.
type Envelope struct {
	// Source is the URL of the event hook, https://{org}/api/v1/eventHooks/{id}.
	Source string
	// EventID identifies the delivery and stays the same over its attempts.
	EventID   string
	EventTime time.Time
	// Events are JSON objects, copied into the envelope byte for byte.
	Events [][]byte
}

// AppendEnvelope appends the JSON that Okta would POST, with its keys in the
// order of Okta's own deliveries and without white space between them.
func AppendEnvelope(dst []byte, e Envelope) []byte {
	dst = append(dst, `{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1","source":`...)
	dst = appendString(dst, e.Source)
	dst = append(dst, `,"eventId":`...)
	dst = appendString(dst, e.EventID)
	dst = append(dst, `,"data":{"events":[`...)
	for i, event := range e.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, event...)
	}
	dst = append(dst, `]},"eventTime":"`...)
	dst = e.EventTime.UTC().AppendFormat(dst, Timestamp)
	return append(dst, `","contentType":"application/json"}`...)
}
