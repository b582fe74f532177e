// Package receive is where Okta calls: it checks the secret, answers the
// verification challenge, splits a delivery into its events, and answers 200
// once intake has them on disk. What an event is worth, and to whom, is not its
// business.
package receive

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/intake"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"golang.org/x/sync/semaphore"
)

// Bounds of a request.
const (
	DefaultBodyLimit = 32 << 20 // bytes
	maxChallenge     = 1 << 10  // bytes, of the header
	memoryLimit      = 256 << 20
	retryAfter       = "5" // seconds
	// answerWithin is how long a caller may take to read its answer. A change
	// of the hooks waits for every answer that is on its way.
	answerWithin = 5 * time.Second
)

// Source is a source and what its calls must show.
type Source struct {
	hook.Source
	Auth hook.SourceAuth
	host atomic.Pointer[string] // the org's host that was reported last
}

// Options are what a Receiver is made of.
type Options struct {
	// Accept commits a batch and acknowledges it; see intake.Intake.
	Accept func(b intake.Batch, acknowledge func()) error
	// Count adds to the sources' counters, by number; 0 for unknown sources.
	Count func(ctx context.Context, counts map[int64]hook.SourceCount) error
	// Challenged hears of verification handshakes, of each source the first and
	// the last within a second.
	Challenged func(ctx context.Context, source string, c hook.Challenge)
	// LearnHost hears the org's host while none is known.
	LearnHost func(ctx context.Context, source, host string)
	BodyLimit int64
	Log       *slog.Logger
}

// Receiver serves /in/{source}.
type Receiver struct {
	Options
	sources atomic.Pointer[map[string]*Source]
	memory  *semaphore.Weighted // bytes of bodies being read or stored
	tally   *tally
}

// New makes a Receiver that knows no source yet.
func New(opts Options) *Receiver {
	if opts.BodyLimit == 0 {
		opts.BodyLimit = DefaultBodyLimit
	}
	r := &Receiver{
		Options: opts,
		memory:  semaphore.NewWeighted(max(memoryLimit, opts.BodyLimit)),
		tally:   newTally(opts),
	}
	r.sources.Store(&map[string]*Source{})
	return r
}

// SetSources tells what sources there are.
func (r *Receiver) SetSources(sources []*Source) {
	byName := make(map[string]*Source, len(sources))
	for _, s := range sources {
		byName[s.Name] = s
	}
	r.sources.Store(&byName)
}

// Run keeps the counters until ctx ends.
func (r *Receiver) Run(ctx context.Context) { r.tally.run(ctx) }

// Register adds the receiver's paths to a mux.
func (r *Receiver) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /in/{source}", r.challenge)
	mux.HandleFunc("POST /in/{source}", r.delivery)
}

// source finds the source that a request names, or answers 404.
func (r *Receiver) source(w http.ResponseWriter, req *http.Request) *Source {
	s := (*r.sources.Load())[req.PathValue("source")]
	if s == nil {
		r.tally.add(0, hook.SourceCount{Deliveries: 1})
		fail(w, http.StatusNotFound, "there is no such source; create it with: grapnel sources create NAME")
	}
	return s
}

// challenge answers Okta's one-time verification, whatever the secret: a wrong
// one is remembered and shown, since every POST with it will be refused.
func (r *Receiver) challenge(w http.ResponseWriter, req *http.Request) {
	s := r.source(w, req)
	if s == nil {
		return
	}
	challenge := req.Header.Get(okta.HeaderChallenge)
	if challenge == "" || len(challenge) > maxChallenge {
		fail(w, http.StatusBadRequest, "this address answers Okta's verification, a GET with the header "+okta.HeaderChallenge+" of at most 1024 bytes")
		return
	}
	now := time.Now()
	state := s.secret(req.Header, now)
	if state != hook.SecretRight {
		r.Log.Warn("Okta verified the address of a source without its secret; every delivery will be refused until they agree",
			"source", s.Name, "secret", state)
	}
	if c := (hook.Challenge{At: now, Secret: state}); r.tally.challenge(s.Name, c) {
		r.Challenged(req.Context(), s.Name, c)
	}
	okta.WriteVerification(w, challenge)
}

// secret compares what a request shows with what the source wants, in constant time.
func (s *Source) secret(header http.Header, now time.Time) hook.SecretState {
	shown := header.Get(s.Auth.Key)
	right := secret.Equal(shown, s.Auth.Value)
	if s.Auth.Previous != "" && now.Before(s.Auth.PreviousUntil) {
		right = secret.Equal(shown, s.Auth.Previous) || right
	}
	for _, h := range s.Auth.Headers {
		right = secret.Equal(header.Get(h.Key), h.Value) && right
	}
	switch {
	case right:
		return hook.SecretRight
	case len(header.Values(s.Auth.Key)) == 0:
		return hook.SecretAbsent
	default:
		return hook.SecretWrong
	}
}

// delivery takes in a POST. A request with a right secret is never answered
// 4xx for load: Okta would not send it again.
func (r *Receiver) delivery(w http.ResponseWriter, req *http.Request) {
	s := r.source(w, req)
	if s == nil {
		return
	}
	now := time.Now()
	if state := s.secret(req.Header, now); state != hook.SecretRight {
		r.tally.add(s.Number, hook.SourceCount{Unauthorized: 1})
		fail(w, http.StatusUnauthorized, "the secret in the header "+s.Auth.Key+" is "+string(state))
		return
	}
	body, release, ok := r.body(w, req, s)
	if !ok {
		return
	}
	defer release()
	batch, host, answer := s.batch(body, now)
	r.learn(req.Context(), s, host) // before any of these events is handed on, whose envelope names it
	if err := r.Accept(batch, func() { answer.send(w) }); err != nil {
		r.unavailable(w, s, err)
	}
}

// learn reports an org's host while none is known.
func (r *Receiver) learn(ctx context.Context, s *Source, host string) {
	if host == "" || s.Host != "" {
		return
	}
	if before := s.host.Swap(&host); before == nil || *before != host {
		r.LearnHost(ctx, s.Name, host)
	}
}

// answer is what a delivery is answered with once it is kept.
type answer struct {
	status int
	detail string
}

// send answers and flushes, so that the answer is on its way when intake hears
// that it is acknowledged.
func (a answer) send(w http.ResponseWriter) {
	if a.status != http.StatusOK {
		fail(w, a.status, a.detail)
		return
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	// If Okta is gone, it will send again, and that will be a duplicate. The
	// deadline is for this answer alone: the connection may be used again.
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(answerWithin))
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{})
}

func (r *Receiver) unavailable(w http.ResponseWriter, s *Source, err error) {
	r.tally.add(s.Number, hook.SourceCount{Unavailable: 1})
	r.Log.Error("a delivery was not stored; Okta was told to send it again", "source", s.Name, "error", err)
	w.Header().Set("Retry-After", retryAfter)
	fail(w, http.StatusServiceUnavailable, "the delivery could not be stored; send it again")
}

// body reads a request's body within the bounds of one and of all together. It
// answers the request itself when it cannot.
func (r *Receiver) body(w http.ResponseWriter, req *http.Request, s *Source) (body []byte, release func(), ok bool) {
	tooLarge := func() {
		r.tally.add(s.Number, hook.SourceCount{TooLarge: 1})
		r.Log.Error("a delivery was refused: it is over the body limit", "source", s.Name, "limit", r.BodyLimit)
		w.Header().Set("Connection", "close")
		fail(w, http.StatusRequestEntityTooLarge, "the body is over the limit")
	}
	if req.ContentLength > r.BodyLimit {
		tooLarge()
		return nil, nil, false
	}
	size := req.ContentLength
	if size < 0 {
		size = r.BodyLimit
	}
	if err := r.memory.Acquire(req.Context(), size); err != nil {
		r.unavailable(w, s, err)
		return nil, nil, false
	}
	body, err := read(http.MaxBytesReader(w, req.Body, r.BodyLimit), req.ContentLength)
	if err == nil {
		return body, func() { r.memory.Release(size) }, true
	}
	r.memory.Release(size)
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		tooLarge()
	} else {
		r.unavailable(w, s, err)
	}
	return nil, nil, false
}

// read reads a body whose length may be known, without growing a buffer.
func read(body io.Reader, length int64) ([]byte, error) {
	if length < 0 {
		return io.ReadAll(body)
	}
	b := make([]byte, length)
	_, err := io.ReadFull(body, b)
	return b, err
}

// batch splits a body into what is to be kept, and says which org sent it and
// how to answer once it is kept.
func (s *Source) batch(body []byte, now time.Time) (b intake.Batch, host string, a answer) {
	b.Counts = map[int64]hook.SourceCount{s.Number: {Deliveries: 1}}
	delivery, err := okta.ParseDelivery(body)
	if err != nil {
		b.Rejected = []*store.Rejected{{Source: s.Number, Reason: hook.ReasonNotDelivery, Detail: err.Error(), Raw: body}}
		return b, "", answer{http.StatusBadRequest, err.Error()}
	}
	events := make([]store.Event, len(delivery.Events))
	b.Events = make([]*store.Event, len(events))
	for i, e := range delivery.Events {
		published := e.Published
		if published.IsZero() {
			published = now
		}
		events[i].Event = hook.Event{Source: s.Number, UUID: e.UUID, Type: e.EventType, Published: published, JSON: e.Raw}
		b.Events[i] = &events[i]
	}
	for _, r := range delivery.Rejected {
		b.Rejected = append(b.Rejected, &store.Rejected{
			Source: s.Number, Reason: hook.Reason(r.Reason), Detail: r.Detail, Raw: r.Raw,
		})
	}
	return b, delivery.Host, answer{status: http.StatusOK}
}

// fail answers with a sentence for people: Okta shows it to nobody, but the
// person who tries the address with curl reads it.
func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, detail+"\n")
}
