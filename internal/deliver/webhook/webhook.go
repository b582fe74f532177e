// Package webhook is the channel that POSTs a delivery to an https:// address,
// as Okta does: Okta's envelope, the hook's secret header, its custom headers;
// and what Okta leaves out, the ids and the signature of Standard Webhooks. It
// also performs Okta's one-time verification of a destination.
//
// When to send is not its business (package deliver), nor is where a
// connection may lead (package reach).
package webhook

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/grapnel-hooks/grapnel/internal/deliver"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/reach"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Options are what a Channel is made of.
type Options struct {
	Reach    *reach.Reach // the guarded way out
	Identity store.Identity
	// OrgHost is the host that the envelope's `source` names, for events of a
	// source, by its number.
	OrgHost func(source int64) string
	Version string // of this program, for User-Agent
}

// Channel POSTs deliveries. Its methods may be called from many goroutines.
type Channel struct {
	Options
	userAgent string
	client    *http.Client
	posts     posts
}

// New makes a Channel.
func New(opts Options) *Channel {
	return &Channel{Options: opts, userAgent: "Grapnel/" + opts.Version, client: opts.Reach.Client()}
}

// maxHeaders bounds what is kept of a response's header section.
const maxHeaders = 50

// bodies are buffers for envelopes, none of them large.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

const maxPooled = 64 << 10 // bytes

// Send makes one attempt; see deliver.Channel.
func (ch *Channel) Send(ctx context.Context, h *hook.EventHook, c *store.Claim) deliver.Result {
	post, err := ch.post(h)
	if err != nil {
		return failure(classify(ctx, err), err)
	}
	id := c.ID(ch.Identity.Tag)
	now := time.Now()
	buffer := bodies.Get().(*[]byte)
	body := ch.appendEnvelope((*buffer)[:0], h, c, id, now)
	if cap(body) <= maxPooled {
		*buffer = body
		defer bodies.Put(buffer)
	}
	fields := append(make([]reach.Field, 0, 3),
		reach.Field{Name: "webhook-id", Value: id},
		reach.Field{Name: "webhook-timestamp", Value: strconv.FormatInt(now.Unix(), 10)})
	if h.Channel.SigningSecret != "" {
		signature, err := Sign(h.Channel.SigningSecret, id, now, body)
		if err != nil {
			return failure(hook.ReasonConnection, err)
		}
		fields = append(fields, reach.Field{Name: "webhook-signature", Value: signature})
	}
	response, err := post.Send(ctx, now.Add(time.Duration(h.Policy.Timeout)), fields, body)
	if err != nil {
		return failure(classify(ctx, err), err)
	}
	return take(response, now)
}

// take makes a result of an answer, and closes it.
func take(response *http.Response, now time.Time) deliver.Result {
	result := deliver.Result{
		Status:     response.StatusCode,
		Reason:     judge(response.StatusCode),
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), now),
	}
	if result.Reason == "" {
		reach.Discard(response) // whatever becomes of the body, the answer was yes
		return result
	}
	excerpt, _, err := reach.ReadBody(response, hook.MaxDeadBody)
	result.Response = &hook.Response{Status: response.StatusCode, Headers: headers(response.Header), Body: excerpt}
	if err != nil {
		result.Response.Error = err.Error()
	}
	return result
}

func (ch *Channel) appendEnvelope(dst []byte, h *hook.EventHook, c *store.Claim, id string, now time.Time) []byte {
	return okta.AppendEnvelope(dst, okta.Envelope{
		Source:    "https://" + ch.OrgHost(c.Event.Source) + "/api/v1/eventHooks/" + h.ID,
		EventID:   ch.eventID(id).String(),
		EventTime: now,
		Events:    [][]byte{c.Event.JSON},
	})
}

// eventID is the version 5 UUID (RFC 9562 §5.5) of a delivery's id in the store's
// name space: the same over all attempts.
func (ch *Channel) eventID(id string) (u uuid.UUID) {
	var room [64]byte
	sum := sha1.Sum(append(append(room[:0], ch.Identity.UUID[:]...), id...))
	copy(u[:], sum[:])
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	return u
}

// setHeaders sets what a delivery and a verification have in common.
func (ch *Channel) setHeaders(header http.Header, h *hook.EventHook) {
	header.Set("User-Agent", ch.userAgent)
	header.Set("Accept", "application/json")
	for _, custom := range h.Channel.Headers {
		header.Set(custom.Key, custom.Value)
	}
	if auth := h.Channel.Auth; auth != nil {
		header.Set(auth.Key, auth.Value)
	}
}

// failure is an attempt without an answer.
func failure(reason hook.Reason, err error) deliver.Result {
	return deliver.Result{Reason: reason, Response: &hook.Response{Error: withoutURL(err).Error()}}
}

// withoutURL keeps the address, which may hold a secret, out of an error's text.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// judge says why a status is no success, or "".
func judge(status int) hook.Reason {
	switch {
	case status >= 200 && status < 300:
		return ""
	case status == http.StatusGone:
		return hook.ReasonGone
	case status >= 300 && status < 400:
		return hook.ReasonRedirect
	default:
		return hook.ReasonStatus
	}
}

// classify finds the reason of an attempt that got no answer.
func classify(ctx context.Context, err error) hook.Reason {
	var (
		refused *reach.RefusedError
		dns     *net.DNSError
		timeout net.Error
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &refused):
		return hook.ReasonRefused
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout() && !errors.As(err, &dns):
		return hook.ReasonTimeout
	case errors.As(err, &dns):
		return hook.ReasonDNS
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/": // to a TLS handshake
		return hook.ReasonBadResponse
	case isTLS(err):
		return hook.ReasonTLS
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(*net.OpError)):
		return hook.ReasonConnection
	case errors.Is(err, reach.ErrAnswer), strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "HTTP/1.x transport connection broken"):
		// What came is no answer that net/http can read. It has no types for that.
		return hook.ReasonBadResponse
	default:
		return hook.ReasonConnection
	}
}

// isTLS reports whether a handshake or a certificate failed, here or there.
// crypto/tls has no types for most of what it finds, nor for what a peer's
// alert says.
func isTLS(err error) bool {
	var (
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
	)
	return errors.As(err, &record) || errors.As(err, &certificate) ||
		errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid) ||
		strings.Contains(err.Error(), "tls: ")
}

// retryAfter reads a Retry-After field (RFC 9110 §10.2.3): seconds or a date.
// It returns 0 when there is none; what no Duration can hold, it cuts off.
func retryAfter(field string, now time.Time) time.Duration {
	if field == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(field, 10, 63); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

func headers(header http.Header) []hook.Header {
	var kept []hook.Header
	for key, values := range header {
		for _, value := range values {
			if len(kept) == maxHeaders {
				return kept
			}
			kept = append(kept, hook.Header{Key: key, Value: value[:min(len(value), 1024)]})
		}
	}
	return kept
}
