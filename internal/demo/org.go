package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/traffic"
)

// What the org is like.
const (
	orgHost = "acme-dev.okta.example"
	// orgSeed is a lively day: 20 event types and several failed sign-ins within
	// the first ten seconds. It is the same day in every demo, but for the times.
	orgSeed   = 90
	orgPeople = 40

	attemptTimeout = 3 * time.Second // Okta: of one attempt
	attempts       = 2               // Okta: one retry
	// maxEvents is what Okta delivers of one org in a day. It also bounds the
	// books that are kept here, at about 100 MB.
	maxEvents = 400_000

	largestBatch = 20 // events that happened
	// An event that was delivered before comes again in every echoEvery-th batch,
	// and every twiceEvery-th batch is sent twice.
	echoEvery  = 6
	twiceEvery = 13
	echoMemory = 64 // events
)

// org plays Okta's side of the event hook contract, and keeps books of its own.
type org struct {
	client      *http.Client
	url         string // of the gateway's source
	key, secret string // the header that shows who calls
	hookID      string

	random    *mathrand.Rand
	generator *traffic.Generator
	clock     time.Time       // what the generator takes for now
	recent    []traffic.Event // may be sent again

	mu    sync.Mutex
	types map[string]bool
	book  orgBook
}

// orgBook is what an org knows of its own doing.
type orgBook struct {
	orgCounts
	events map[uuid.UUID]sentEvent
}

type orgCounts struct {
	types int
	calls int // attempts
	// Events, counted as often as they were sent, by what the attempt came to.
	answered   int // 2xx
	refused    int // another status: the gateway has nothing of it
	unanswered int // the gateway may have it or not
	latest     string
}

// sentEvent is what the org knows of one of its events.
type sentEvent struct {
	acknowledged bool // a delivery that held it was answered 2xx
	failedSignIn bool
}

// batch is one delivery of the org's event hook.
type batch struct {
	events []traffic.Event
	body   []byte
}

func newOrg(client *http.Client, url, key, secret string, now time.Time) *org {
	o := &org{
		client: client, url: url, key: key, secret: secret, hookID: okta.NewID("who"),
		random: mathrand.New(mathrand.NewPCG(orgSeed, 0)), clock: now,
	}
	o.book.events, o.types = make(map[uuid.UUID]sentEvent), make(map[string]bool)
	o.generator = traffic.New(traffic.Options{
		Seed: orgSeed, Org: orgHost, HookID: o.hookID, People: orgPeople, Now: func() time.Time { return o.clock },
	})
	return o
}

// verify asks the gateway to prove that it wants the org's events: Okta's
// one-time challenge.
func (o *org) verify(ctx context.Context) (err error) {
	for range attempts {
		if err = o.challenge(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

func (o *org) challenge(ctx context.Context) error {
	challenge := rand.Text() + rand.Text()
	answer, err := o.call(ctx, http.MethodGet, nil, http.Header{okta.HeaderChallenge: {challenge}})
	switch {
	case err != nil:
		return err
	case answer.status != http.StatusOK:
		return fmt.Errorf("%s answered the verification with status %d", o.url, answer.status)
	}
	return okta.CheckVerification(answer.body, challenge)
}

// run sends what happens until ctx ends. A delivery under way is finished, so
// that the org knows what became of it.
func (o *org) run(ctx context.Context) {
	for n := 1; !o.spent(); n++ {
		pause := time.NewTimer(300*time.Millisecond + time.Duration(o.random.Int64N(int64(700*time.Millisecond))))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		b := o.happen(n, time.Now())
		o.deliver(context.WithoutCancel(ctx), b)
		if n%twiceEvery == 0 {
			o.deliver(context.WithoutCancel(ctx), b)
		}
	}
}

// spent reports whether the org has sent as much as it ever will.
func (o *org) spent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.book.events) >= maxEvents
}

func (o *org) counts() orgCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.book.orgCounts
}

// read returns a copy of the org's books.
func (o *org) read() orgBook {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.book
	b.events = maps.Clone(b.events)
	return b
}

// happen makes the batch of what has happened since the last one.
func (o *org) happen(n int, now time.Time) batch {
	var b batch
	size := 1 + min(largestBatch-1, int(o.random.ExpFloat64()*5))
	step := now.Sub(o.clock) / time.Duration(size+1)
	for range size {
		o.clock = o.clock.Add(step)
		b.events = append(b.events, o.generator.Next())
	}
	o.clock = now
	o.note(b.events)
	fresh := b.events
	if n%echoEvery == 0 && len(o.recent) > 0 {
		b.events = append(b.events, o.recent[o.random.IntN(len(o.recent))])
	}
	o.recent = append(o.recent, fresh...)
	o.recent = o.recent[max(0, len(o.recent)-echoMemory):]
	raw := make([][]byte, len(b.events))
	for i := range b.events {
		raw[i] = b.events[i].JSON
	}
	b.body = okta.AppendEnvelope(nil, okta.Envelope{
		Source: "https://" + orgHost + "/api/v1/eventHooks/" + o.hookID, EventID: uuid.NewString(), EventTime: now, Events: raw,
	})
	return b
}

// note enters new events in the books. What it says of them it reads from their
// JSON, not with the gateway's means.
func (o *org) note(events []traffic.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range events {
		var said struct {
			Actor   struct{ DisplayName string }
			Outcome struct{ Result string }
		}
		// The generator writes JSON; were it not, the sums would show it.
		_ = json.Unmarshal(e.JSON, &said)
		o.book.events[uuid.MustParse(e.UUID)] = sentEvent{
			failedSignIn: e.EventType == "user.session.start" && said.Outcome.Result == "FAILURE",
		}
		o.types[e.EventType] = true
		o.book.latest = fmt.Sprintf("%s, %s, %s", e.EventType, said.Actor.DisplayName, said.Outcome.Result)
	}
	o.book.types = len(o.types)
}

// deliver sends a batch as Okta does: again once after a 5xx or no answer, never
// after a 4xx, and then no more.
func (o *org) deliver(ctx context.Context, b batch) {
	for range attempts {
		answer, err := o.call(ctx, http.MethodPost, b.body, http.Header{"Content-Type": {"application/json"}})
		o.enter(b, answer.status, err)
		if err == nil && answer.status < 500 {
			return
		}
	}
}

// enter enters what an attempt came to in the books.
func (o *org) enter(b batch, status int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.book.calls++
	switch {
	case err != nil:
		o.book.unanswered += len(b.events)
	case status < 200 || status > 299:
		o.book.refused += len(b.events)
	default:
		o.book.answered += len(b.events)
		for _, e := range b.events {
			id := uuid.MustParse(e.UUID)
			sent := o.book.events[id]
			sent.acknowledged = true
			o.book.events[id] = sent
		}
	}
}

type answer struct {
	status int
	body   []byte
}

// call makes one attempt, with the headers that all of Okta's calls have.
func (o *org) call(ctx context.Context, method string, body []byte, header http.Header) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, o.url, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header = header
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", okta.UserAgent)
	request.Header.Set(o.key, o.secret)
	response, err := o.client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a.status = response.StatusCode
	a.body, err = io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return a, err
}
