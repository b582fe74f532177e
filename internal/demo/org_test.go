package demo

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// receiver is an endpoint that answers each call as told, and 0 never.
type receiver struct {
	answers []int
	mu      sync.Mutex // a call that is given up may still be in here
	at      []time.Time
	calls   []*http.Request
	bodies  []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.at, r.calls, r.bodies = append(r.at, time.Now()), append(r.calls, request), append(r.bodies, string(body))
	status := r.answers[len(r.calls)-1]
	r.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	<-request.Context().Done()
}

// withOrg runs a test with an org that calls r, in fake time.
func withOrg(t *testing.T, r http.Handler, test func(t *testing.T, o *org)) {
	synctest.Test(t, func(t *testing.T) {
		network := newMemory().network()
		l, err := network.Listen("tcp", anyPort)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: r}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		client := newClient(network)
		defer client.CloseIdleConnections()
		test(t, newOrg(client, "http://"+l.Addr().String()+"/in/acme", authKey, "s3cret", time.Now()))
	})
}

// Okta: one retry after a 5xx or no answer within 3 s, none after a 4xx.
func TestOktaTriesTwiceAtMost(t *testing.T) {
	for name, test := range map[string]struct {
		answers []int // one more than are to be asked for
		calls   int
		want    orgCounts
		took    time.Duration
	}{
		"fine":                {[]int{200, 200}, 1, orgCounts{calls: 1, answered: 1}, 0},
		"no content":          {[]int{204, 200}, 1, orgCounts{calls: 1, answered: 1}, 0},
		"4xx":                 {[]int{401, 200}, 1, orgCounts{calls: 1, refused: 1}, 0},
		"redirect":            {[]int{302, 200}, 1, orgCounts{calls: 1, refused: 1}, 0},
		"5xx once":            {[]int{503, 200, 200}, 2, orgCounts{calls: 2, answered: 1, refused: 1}, 0},
		"5xx twice":           {[]int{503, 500, 200}, 2, orgCounts{calls: 2, refused: 2}, 0},
		"no answer once":      {[]int{0, 200, 200}, 2, orgCounts{calls: 2, answered: 1, unanswered: 1}, 3 * time.Second},
		"no answer, then 4xx": {[]int{0, 400, 200}, 2, orgCounts{calls: 2, refused: 1, unanswered: 1}, 3 * time.Second},
		"no answer twice":     {[]int{0, 0, 200}, 2, orgCounts{calls: 2, unanswered: 2}, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := &receiver{answers: test.answers}
			withOrg(t, r, func(t *testing.T, o *org) {
				b := o.happen(1, time.Now())
				b.events = b.events[:1]
				begun := time.Now()
				o.deliver(context.Background(), b)
				took := time.Since(begun)
				synctest.Wait()
				got := o.counts()
				got.types, got.latest = 0, ""
				r.mu.Lock()
				defer r.mu.Unlock()
				if len(r.calls) != test.calls || got != test.want || took != test.took {
					t.Errorf("%d calls, %+v, after %v\nwant %d, %+v, %v", len(r.calls), got, took, test.calls, test.want, test.took)
				}
				for i, call := range r.calls {
					if r.bodies[i] != string(b.body) {
						t.Error("the retry is not the same delivery")
					}
					if call.Header.Get(authKey) != "s3cret" || call.UserAgent() != okta.UserAgent || call.Method != http.MethodPost {
						t.Errorf("%s %v", call.Method, call.Header)
					}
				}
			})
		})
	}
}

func TestOktaVerifiesByChallenge(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, challenge string)
		ok     bool
	}{
		"right": {okta.WriteVerification, true},
		"wrong": {func(w http.ResponseWriter, challenge string) { okta.WriteVerification(w, challenge+"?") }, false},
		"404":   {func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusNotFound) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			withOrg(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				if r.Method != http.MethodGet || r.Header.Get(authKey) != "s3cret" {
					t.Errorf("%s %v", r.Method, r.Header)
				}
				test.answer(w, r.Header.Get(okta.HeaderChallenge))
			}), func(t *testing.T, o *org) {
				err := o.verify(t.Context())
				if (err == nil) != test.ok || test.ok == (calls != 1) {
					t.Errorf("%v after %d calls", err, calls)
				}
			})
		})
	}
}

// Batches merge 1 to 20 events that happened, in order and since the last batch;
// now and then one comes with an event that was sent before.
func TestBatches(t *testing.T) {
	withOrg(t, http.NotFoundHandler(), func(t *testing.T, o *org) {
		var sizes []int
		known := make(map[string]bool)
		last := time.Now()
		for n := 1; n <= 300; n++ {
			<-time.After(time.Second)
			b := o.happen(n, time.Now())
			delivery, err := okta.ParseDelivery(b.body)
			if err != nil || len(delivery.Rejected) > 0 || len(delivery.Events) != len(b.events) {
				t.Fatalf("batch %d is no delivery: %v", n, err)
			}
			again := 0
			for _, e := range delivery.Events {
				if known[e.UUID] {
					again++
					continue
				}
				known[e.UUID] = true
				if e.Published.Before(last.Truncate(time.Millisecond)) || e.Published.After(time.Now()) {
					t.Errorf("an event of %v in the batch of %v to %v", e.Published, last, time.Now())
				}
			}
			if echo := n%echoEvery == 0; (again == 1) != echo {
				t.Errorf("batch %d has %d events that were sent before", n, again)
			}
			sizes = append(sizes, len(b.events)-again)
			last = time.Now()
		}
		if low, high := slices.Min(sizes), slices.Max(sizes); low != 1 || high != largestBatch {
			t.Errorf("batches of %d to %d events", low, high)
		}
		if got := o.read(); len(got.events) != len(known) {
			t.Errorf("the org's books have %d events of %d", len(got.events), len(known))
		}
	})
}

// Now and then a whole delivery comes twice, as when Okta has lost the answer.
func TestADeliveryIsSentTwice(t *testing.T) {
	r := &receiver{answers: slices.Repeat([]int{200}, 200)}
	withOrg(t, r, func(t *testing.T, o *org) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		o.run(ctx)
		synctest.Wait()
		twice := 0
		for i := 1; i < len(r.bodies); i++ {
			if r.bodies[i] == r.bodies[i-1] {
				twice++
			}
		}
		if batches := len(r.bodies) - twice; batches < 60 || twice != batches/twiceEvery {
			t.Errorf("%d of %d batches were sent twice", twice, batches)
		}
	})
}
