// Package receive is where Okta calls: it checks the secret, answers the
// verification challenge, splits a delivery into its events, and answers 200
// once intake has them on disk. What an event is worth, and to whom, is not its
// business.
package receive

import (
	"context"
	"errors"
	"fmt"
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
	memoryLimit      = 64 << 20 // bytes of all bodies together
	memoryWait       = 2 * time.Second
	firstRead        = 32 << 10 // bytes of a body that there is memory for at first
	earnest          = 1 << 20  // bytes that have come of a body that there is memory for in whole
	retryAfter       = "5"      // seconds
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
	// Refresh, if not nil, returns once SetSources was called with the sources
	// that there were when it was called or later: another process may have made
	// one, or changed its secret, a moment ago.
	Refresh   func(ctx context.Context) error
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
		memory:  semaphore.NewWeighted(max(memoryLimit, opts.BodyLimit+1)),
		tally:   newTally(opts),
	}
	r.tally.refused = r.refused
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

// refused says what was refused in the last second. Okta does not repeat what
// was answered 4xx: each may be a lost event.
func (r *Receiver) refused(number int64, c hook.SourceCount) {
	if number == 0 {
		if c.Deliveries == 0 {
			return
		}
		r.Log.Warn("calls for sources that do not exist were answered 404; each may be a lost event", "calls", c.Deliveries)
		return
	}
	for _, s := range *r.sources.Load() {
		if s.Number == number && c.Unauthorized > 0 {
			r.Log.Warn("calls with a wrong or no secret were answered 401; each may be a lost event", "source", s.Name, "calls", c.Unauthorized)
		}
	}
}

// Run keeps the counters until ctx ends.
func (r *Receiver) Run(ctx context.Context) { r.tally.run(ctx) }

// Register adds the receiver's paths to a mux.
func (r *Receiver) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /in/{source}", r.challenge)
	mux.HandleFunc("POST /in/{source}", r.delivery)
}

// source finds the source that a request names and compares its secret. It
// answers the request itself, and returns nil, when there is no such source, or
// when that cannot be known.
func (r *Receiver) source(w http.ResponseWriter, req *http.Request, now time.Time) (*Source, hook.SecretState) {
	s, state := r.known(req, now)
	if state != hook.SecretRight && r.Refresh != nil {
		if err := r.Refresh(req.Context()); err != nil {
			r.unavailable(w, s, err)
			return nil, ""
		}
		s, state = r.known(req, now)
	}
	if s == nil {
		r.tally.add(0, hook.SourceCount{Deliveries: 1})
		fail(w, http.StatusNotFound, "there is no such source; create it with: grapnel sources create NAME")
	}
	return s, state
}

// known is source without a look at what others have changed.
func (r *Receiver) known(req *http.Request, now time.Time) (*Source, hook.SecretState) {
	s := (*r.sources.Load())[req.PathValue("source")]
	if s == nil {
		return nil, ""
	}
	return s, s.secret(req.Header, now)
}

// challenge answers Okta's one-time verification, whatever the secret: a wrong
// one is remembered and shown, since every POST with it will be refused.
func (r *Receiver) challenge(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	s, state := r.source(w, req, now)
	if s == nil {
		return
	}
	challenge := req.Header.Get(okta.HeaderChallenge)
	if challenge == "" || len(challenge) > maxChallenge {
		fail(w, http.StatusBadRequest, "this address answers Okta's verification, a GET with the header "+okta.HeaderChallenge+" of at most 1024 bytes")
		return
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
	now := time.Now()
	s, state := r.source(w, req, now)
	if s == nil {
		return
	}
	if state != hook.SecretRight {
		r.tally.add(s.Number, hook.SourceCount{Unauthorized: 1})
		fail(w, http.StatusUnauthorized, "the secret in the header "+s.Auth.Key+" is "+string(state))
		return
	}
	body, held, ok := r.body(w, req, s)
	defer r.memory.Release(held)
	if !ok {
		return
	}
	batch, delivery, answer := s.batch(body, now)
	if answer.status != http.StatusOK && req.Header.Get("Content-Encoding") != "" {
		answer.detail += "; it has a Content-Encoding, which Okta's never do: send it plain"
		batch.Rejected[0].Detail = answer.detail
	}
	if s.Host == "" && delivery != nil {
		r.learn(req.Context(), s, delivery.Host()) // before any of these events is handed on, whose envelope names it
	}
	if err := r.Accept(batch, func() { answer.send(w) }); err != nil {
		r.unavailable(w, s, err)
	}
}

// learn reports an org's host while none is known.
func (r *Receiver) learn(ctx context.Context, s *Source, host string) {
	if host == "" {
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

var nothing = []string{"0"}

// send answers and flushes, so that the answer is on its way when intake hears
// that it is acknowledged. A change of the hooks waits for that, and whoever
// calls next for the change: so a caller who reads no answer is not waited for.
func (a answer) send(w http.ResponseWriter) {
	// If it cannot be set, there is none.
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(answerWithin))
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	if a.status != http.StatusOK {
		fail(w, a.status, a.detail)
		return
	}
	w.Header()["Content-Length"] = nothing
	w.WriteHeader(http.StatusOK)
	// If Okta is gone, it will send again, and that will be a duplicate.
	_ = control.Flush()
}

// unavailable asks the sender to send again. s is nil when it cannot be known.
func (r *Receiver) unavailable(w http.ResponseWriter, s *Source, err error) {
	number, name := int64(0), ""
	if s != nil {
		number, name = s.Number, s.Name
	}
	r.tally.add(number, hook.SourceCount{Unavailable: 1})
	r.Log.Error("a delivery was not stored; Okta was told to send it again", "source", name, "error", err)
	w.Header().Set("Retry-After", retryAfter)
	fail(w, http.StatusServiceUnavailable, "the delivery could not be stored; send it again")
}

// body reads a request's body within the bounds of one and of all together. It
// answers the request itself when it cannot. held is what it has taken of
// r.memory, in any case.
func (r *Receiver) body(w http.ResponseWriter, req *http.Request, s *Source) (body []byte, held int64, ok bool) {
	reader := io.Reader(req.Body)
	switch {
	case req.ContentLength > r.BodyLimit:
		r.tooLarge(w, s)
		return nil, 0, false
	case req.ContentLength < 0:
		reader = http.MaxBytesReader(w, req.Body, r.BodyLimit)
	}
	body, held, err := r.read(req.Context(), reader, req.ContentLength)
	if over := (*http.MaxBytesError)(nil); errors.As(err, &over) {
		r.tooLarge(w, s)
	} else if err != nil {
		r.unavailable(w, s, err)
	}
	return body, held, err == nil
}

func (r *Receiver) tooLarge(w http.ResponseWriter, s *Source) {
	r.tally.add(s.Number, hook.SourceCount{TooLarge: 1})
	r.Log.Error("a delivery was refused: it is over the body limit", "source", s.Name, "limit", r.BodyLimit)
	w.Header().Set("Connection", "close")
	fail(w, http.StatusRequestEntityTooLarge, "the body is over the limit")
}

// read reads a body. Up to earnest it takes memory for what has come, not for
// what was announced: whoever announces much and sends little keeps nobody else
// waiting. Beyond that it takes all that the body may need at once, as bodies
// that each held a part and waited for more would wait for each other. held is
// what it has taken of r.memory, also after an error.
func (r *Receiver) read(ctx context.Context, body io.Reader, length int64) (b []byte, held int64, err error) {
	most := length
	if length < 0 {
		most = r.BodyLimit + 1 // it takes one byte more to be over the limit
	}
	for size := min(firstRead, most); ; size = min(2*size, most) {
		if size > held {
			need := size
			if size > earnest {
				need = most
			}
			if err := r.acquire(ctx, need-held); err != nil {
				return nil, held, err
			}
			held = need
		}
		if size > earnest && length >= 0 {
			size = most
		}
		b = append(make([]byte, 0, size), b...)
		for len(b) < cap(b) {
			n, err := body.Read(b[len(b):cap(b)])
			b = b[:len(b)+n]
			if err == io.EOF {
				return b, held, nil
			} else if err != nil {
				return nil, held, err
			}
		}
		if int64(len(b)) == length {
			return b, held, nil
		}
	}
}

// acquire waits for memory, but no longer than Okta would wait for its answer.
func (r *Receiver) acquire(ctx context.Context, size int64) error {
	if r.memory.TryAcquire(size) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	if err := r.memory.Acquire(ctx, size); err != nil {
		return fmt.Errorf("too many large bodies are being received: %w", err)
	}
	return nil
}

// batch splits a body into what is to be kept, and says how to answer once it
// is kept. The delivery is nil when the body is none.
func (s *Source) batch(body []byte, now time.Time) (b intake.Batch, d *okta.Delivery, a answer) {
	b.Source, b.Count = s.Number, hook.SourceCount{Deliveries: 1}
	d, err := okta.ParseDelivery(body)
	if err != nil {
		b.Rejected = []*store.Rejected{{Source: s.Number, Reason: hook.ReasonNotDelivery, Detail: err.Error(), Raw: body}}
		return b, nil, answer{http.StatusBadRequest, err.Error()}
	}
	events := make([]store.Event, len(d.Events))
	b.Events = make([]*store.Event, len(events))
	for i := range d.Events {
		e := &d.Events[i]
		published := e.Published
		if published.IsZero() {
			published = now
		}
		events[i].Event = hook.Event{Source: s.Number, UUID: e.UUID, Type: e.EventType, Published: published, JSON: e.Raw}
		b.Events[i] = &events[i]
	}
	for _, r := range d.Rejected {
		b.Rejected = append(b.Rejected, &store.Rejected{
			Source: s.Number, Reason: hook.Reason(r.Reason), Detail: r.Detail, Raw: r.Raw,
		})
	}
	return b, d, answer{status: http.StatusOK}
}

// fail answers with a sentence for people: Okta shows it to nobody, but the
// person who tries the address with curl reads it.
func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, detail+"\n")
}
