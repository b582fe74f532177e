package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// Bounds on headers, ours: Okta gives none.
const (
	maxHeaders    = 50
	maxHeaderName = 256      // bytes
	maxHeader     = 8 << 10  // bytes of one value
	maxAllHeaders = 32 << 10 // bytes of all names and values
)

// reserved are the headers that a delivery sets itself, and those that belong
// to the connection (RFC 9110 §7.6.1). Okta names only Accept.
var reserved = []string{
	"accept", "accept-encoding", "content-encoding", "content-length", "content-type", "user-agent",
	"connection", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection",
	"te", "trailer", "transfer-encoding", "upgrade",
	"webhook-id", "webhook-signature", "webhook-timestamp",
	"x-okta-request-id", "x-okta-verification-challenge",
}

// checkHeaders looks at custom headers. auth is the name of the header that
// carries the secret, which is set apart.
func (f *findings) checkHeaders(field string, headers []hook.Header, auth string) {
	if len(headers) > maxHeaders {
		f.addf(field, "At most %d headers can be set", maxHeaders)
		return
	}
	total := 0
	seen := map[string]bool{}
	for i, h := range headers {
		at := fmt.Sprintf("%s[%d]", field, i)
		name := strings.ToLower(h.Key)
		switch {
		case auth != "" && strings.EqualFold(h.Key, auth):
			f.addf(at+".key", "The header %q carries the secret already", h.Key)
		case seen[name]:
			f.addf(at+".key", "The header %q is given twice", h.Key)
		default:
			f.checkHeaderName(at+".key", h.Key)
		}
		f.checkHeaderValue(at+".value", h.Value)
		seen[name] = true
		total += len(h.Key) + len(h.Value)
	}
	if total > maxAllHeaders {
		f.addf(field, "The headers are longer than %d bytes together", maxAllHeaders)
	}
}

// checkHeaderName wants a field name of RFC 9110 §5.1 that is free to be set.
func (f *findings) checkHeaderName(field, name string) {
	switch {
	case name == "":
		f.addf(field, "The field cannot be left blank")
	case len(name) > maxHeaderName || strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }):
		f.addf(field, "%q is not a header name", clip(name))
	case slices.Contains(reserved, strings.ToLower(name)):
		f.addf(field, "The header %q is reserved", name)
	}
}

// checkHeaderValue wants a field value of RFC 9110 §5.5, which has no white
// space around it: a receiver would not see it.
func (f *findings) checkHeaderValue(field, value string) {
	switch {
	case len(value) > maxHeader:
		f.addf(field, "The value is longer than %d bytes", maxHeader)
	case strings.Trim(value, " \t") != value:
		f.addf(field, "The value begins or ends with white space")
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		f.addf(field, "The value contains a control character")
	}
}

func tokenRune(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' ||
		strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// clip keeps what a caller sent from filling the answer.
func clip(text string) string {
	const limit = 100
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
