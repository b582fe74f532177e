package traffic

import (
	"bytes"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// A step is one event of a story, before it happens. Its texts need no
// escaping: they are the package's own, or were escaped by New.
type step struct {
	eventType       string
	actor           principal
	client          *client // nil without an HTTP request
	kind            string  // transaction.type: WEB or JOB
	sparse          bool    // leave nulls out
	result, reason  string
	targets         []target
	session         string // externalSessionId
	transaction     string
	uri             string
	debug           [][2]string
	device          string // JSON of the device object; empty: none
	uuid            string
	published       time.Time
	credential, idp string // credentialType, authenticationProvider
}

// A target is a principal and what the event says about it.
type target struct {
	principal
	detail string // JSON of detailEntry; empty: null
	change string // JSON of changeDetails; empty: no such key
}

func (s *step) fail(reason string) *step {
	s.result, s.reason = "FAILURE", reason
	return s
}

func (s *step) note(key, value string) *step {
	s.debug = append(s.debug, [2]string{key, value})
	return s
}

// event lets the step happen now.
func (g *Generator) event(s *step) Event {
	s.uuid, s.published = g.clock.stamp(g.now(), g.random)
	g.buffer = g.encode(g.buffer[:0], s)
	return Event{s.uuid, s.eventType, s.published, bytes.Clone(g.buffer)}
}

// encode writes the step in the key order of Okta's deliveries.
func (g *Generator) encode(b []byte, s *step) []byte {
	w := writer{b, s.sparse}
	w.raw(`{"uuid":"`, s.uuid, `","published":"`)
	w.b = s.published.AppendFormat(w.b, okta.Timestamp)
	message := messages[s.eventType]
	severity := "INFO"
	if s.result == "FAILURE" || s.result == "DENY" {
		severity = "WARN"
	}
	w.raw(`","eventType":"`, s.eventType, `","version":"0","displayMessage":"`, message.display, `","severity":"`, severity, `"`)
	switch {
	case s.client == nil && s.sparse:
		w.raw(`,"client":{"ipChain":[]}`)
	case s.client == nil:
		w.raw(`,"client":{"userAgent":null,"zone":null,"device":null,"id":null,"ipAddress":null,"geographicalContext":null,"ipChain":[]}`)
	case s.sparse:
		w.raw(`,"client":`, s.client.sparse)
	default:
		w.raw(`,"client":`, s.client.full)
	}
	w.object(`,"device":`, s.device)
	w.raw(`,"actor":`)
	w.principal(s.actor, "")
	w.raw(`},"outcome":{"result":"`, s.result, `"`)
	w.text("reason", s.reason)
	w.raw(`},"target":[`)
	for i, t := range s.targets {
		if i > 0 {
			w.raw(`,`)
		}
		w.principal(t.principal, t.detail)
		if t.change != "" {
			w.raw(`,"changeDetails":`, t.change)
		}
		w.raw(`}`)
	}
	w.raw(`],"transaction":{"type":"`, s.kind, `","id":"`, s.transaction, `","detail":{}},"debugContext":{"debugData":{`)
	g.debugData(&w, s)
	w.raw(`}}`)
	w.text("legacyEventType", message.legacyFor(s.result))
	w.raw(`,"authenticationContext":{`)
	w.authentication(s)
	w.raw(`},"securityContext":`)
	switch {
	case s.client != nil:
		w.raw(s.client.security)
	case s.sparse:
		w.raw(`{}`)
	default:
		w.raw(`{"asNumber":null,"asOrg":null,"isp":null,"domain":null,"isProxy":null}`)
	}
	w.object(`,"insertionTimestamp":`, "")
	w.raw(`}`)
	return w.b
}

func (g *Generator) debugData(w *writer, s *step) {
	if s.client != nil {
		w.raw(`"requestId":"`, s.transaction, `","requestUri":"`, s.uri, `","url":"`, s.uri, `?",`)
		if s.client.hash != "" && !strings.HasPrefix(s.uri, "/api/") {
			w.raw(`"dtHash":"`, s.client.hash, `",`)
		}
	}
	w.raw(`"threatSuspected":"false"`)
	if g.quoted.hookID != "" {
		w.raw(`,"targetEventHookIds":"`, g.quoted.hookID, `"`)
	}
	for _, d := range s.debug {
		w.raw(`,"`, d[0], `":"`, d[1], `"`)
	}
}

// A writer appends JSON, with or without its nulls.
type writer struct {
	b      []byte
	sparse bool
}

func (w *writer) raw(parts ...string) {
	for _, p := range parts {
		w.b = append(w.b, p...)
	}
}

// text writes a member behind another one; an empty value is null.
func (w *writer) text(key, value string) {
	if value != "" {
		w.raw(`,"`, key, `":"`, value, `"`)
	} else if !w.sparse {
		w.raw(`,"`, key, `":null`)
	}
}

func (w *writer) object(key, value string) {
	if value != "" {
		w.raw(key, value)
	} else if !w.sparse {
		w.raw(key, `null`)
	}
}

// principal leaves its object open.
func (w *writer) principal(p principal, detail string) {
	w.raw(`{"id":"`, p.id, `","type":"`, p.kind, `","alternateId":"`, p.alternateID, `","displayName":"`, p.displayName, `"`)
	w.object(`,"detailEntry":`, detail)
}

func (w *writer) authentication(s *step) {
	if !w.sparse {
		w.raw(`"authenticationProvider":`)
		w.nullable(s.idp)
		w.raw(`,"credentialProvider":null,"credentialType":`)
		w.nullable(s.credential)
		w.raw(`,"issuer":null,`)
	}
	w.raw(`"authenticationStep":0`)
	w.text("externalSessionId", s.session)
	w.object(`,"interface":`, "")
}

func (w *writer) nullable(value string) {
	if value == "" {
		w.raw(`null`)
		return
	}
	w.raw(`"`, value, `"`)
}
