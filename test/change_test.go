package test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hookBody is what a hook is created or replaced with. filters are pairs of a
// type and an expression.
func hookBody(name, uri, items, delivery string, filters ...string) string {
	filter := ""
	if len(filters) > 0 {
		var entries []string
		for i := 0; i < len(filters); i += 2 {
			entries = append(entries, fmt.Sprintf(`{"event":%q,"condition":{"expression":%q}}`, filters[i], filters[i+1]))
		}
		filter = `,"filter":{"type":"EXPRESSION_LANGUAGE","eventFilterMap":[` + strings.Join(entries, ",") + `]}`
	}
	if delivery != "" {
		delivery = `,"delivery":` + delivery
	}
	return fmt.Sprintf(`{"name":%q,"events":{"type":"EVENT_TYPE","items":[%s]%s},
		"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":%q,"authScheme":{"type":"HEADER","key":"Authorization","value":"s3cret"}}}%s}`,
		name, items, filter, uri, delivery)
}

// createHookWith creates a hook with filters and returns its id.
func (w *world) createHookWith(body string) string {
	w.Helper()
	var created struct{ ID string }
	if err := json.Unmarshal(w.call("POST", "/api/v1/eventHooks", body, http.StatusOK), &created); err != nil {
		w.Fatal(err)
	}
	return created.ID
}

// slowConn is read from with delays, as over a bad line: its answers are on
// their way for a while.
type slowConn struct {
	net.Conn
	churn  *churn
	random *rand.Rand // used by the one goroutine that reads
	// answer is when the read began that brought the latest answer: a pipe
	// holds nothing, so the gateway was not done with it before.
	answer *atomic.Int64
}

func (c slowConn) Read(b []byte) (int, error) {
	<-time.After(time.Duration(c.random.IntN(8)) * time.Millisecond)
	var began int
	c.churn.tick(func(now int) { began = now })
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.answer.Store(int64(began))
	}
	return n, err
}

// wish is what the hook of the story below wants for a while.
type wish struct {
	body     string
	wants    func(eventType, severity string) bool
	answered int // when the API had answered, and
	replaced int // when the next change was asked for, both by the story's count
}

// sent is one event of the story below.
type sent struct {
	eventType, severity string
	after, before       int // it was acknowledged between these
}

// churn is a hook that changes all the time while events stream in.
type churn struct {
	w      *world
	mu     sync.Mutex
	count  int // of what has happened so far
	wishes []wish
	events map[string]*sent
}

func (c *churn) tick(do func(now int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	do(c.count)
}

// stream sends events until the story has changed often enough.
func (c *churn) stream(name int, done <-chan struct{}) {
	var answer atomic.Int64
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := c.w.net.Dial(ctx, network, addr)
		return slowConn{conn, c, rand.New(rand.NewPCG(uint64(name), 8)), &answer}, err
	}}}
	defer client.CloseIdleConnections()
	random := rand.New(rand.NewPCG(uint64(name), 7))
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(random.IntN(4)) * time.Millisecond):
		}
		uuid := fmt.Sprintf("%d-%d", name, n)
		e := &sent{eventType: []string{"door.opened", "door.closed"}[random.IntN(2)], severity: []string{"INFO", "WARN"}[random.IntN(2)]}
		body := delivery(fmt.Sprintf(`{"uuid":%q,"eventType":%q,"severity":%q}`, uuid, e.eventType, e.severity))
		request, err := http.NewRequestWithContext(c.w.Context(), http.MethodPost, "http://"+publicAddr+"/in/acme", strings.NewReader(body))
		if err != nil {
			c.w.Error(err)
			return
		}
		request.Header.Set("Authorization", secret)
		response, err := client.Do(request)
		if err != nil || response.StatusCode != http.StatusOK {
			c.w.Errorf("event %s: %v", uuid, err)
			return
		}
		response.Body.Close()
		c.tick(func(now int) {
			e.after, e.before = int(answer.Load()), now
			c.events[uuid] = e
		})
	}
}

// A change of a hook holds for every event acknowledged after the API has
// answered, however many are on their way.
func TestAChangeHoldsOnceItIsAnswered(t *testing.T) {
	story(t, func(w *world) {
		w.call("PUT", "/v1/sources/acme", `{"host":"acme.okta.example","auth":{"key":"Authorization"}}`, 200)
		d := w.destination("good.example", "192.0.0.11", nil)
		const uri = "http://good.example/hook"
		kinds := []wish{
			{body: hookBody("h", uri, `"door.opened","door.closed"`, noHandshake),
				wants: func(string, string) bool { return true }},
			{body: hookBody("h", uri, `"door.opened"`, noHandshake),
				wants: func(eventType, _ string) bool { return eventType == "door.opened" }},
			{body: hookBody("h", uri, `"*"`, noHandshake, "*", "event.severity eq 'WARN'"),
				wants: func(_, severity string) bool { return severity == "WARN" }},
			{body: hookBody("h", uri, `"door.*"`, noHandshake, "door.*", "event.severity eq 'INFO'", "door.closed", "event.severity eq 'WARN'"),
				wants: func(eventType, severity string) bool { return (eventType == "door.closed") == (severity == "WARN") }},
			{body: hookBody("h", uri, `"window.*"`, noHandshake),
				wants: func(string, string) bool { return false }},
		}
		c := &churn{w: w, events: map[string]*sent{}, wishes: []wish{kinds[0]}}
		id := w.createHookWith(kinds[0].body)

		done := make(chan struct{})
		var streams sync.WaitGroup
		for name := range 6 {
			streams.Go(func() { c.stream(name, done) })
		}
		random := rand.New(rand.NewPCG(9, 9))
		for range 25 {
			<-time.After(time.Duration(random.IntN(20)) * time.Millisecond)
			next := kinds[random.IntN(len(kinds))]
			c.tick(func(now int) { c.wishes[len(c.wishes)-1].replaced = now })
			w.call("PUT", "/api/v1/eventHooks/"+id, next.body, 200)
			c.tick(func(now int) {
				next.answered = now
				c.wishes = append(c.wishes, next)
			})
		}
		<-time.After(50 * time.Millisecond)
		close(done)
		streams.Wait()
		c.tick(func(now int) { c.wishes[len(c.wishes)-1].replaced = now })
		w.wait(time.Second)
		c.judge(d)
	})
}

// judge looks at every event that was acknowledged while one wish was in force
// for certain.
func (c *churn) judge(d *destination) {
	c.w.Helper()
	arrived := map[string]bool{}
	for _, a := range d.arrivals() {
		if arrived[a.uuid] {
			c.w.Errorf("event %s arrived twice", a.uuid)
		}
		arrived[a.uuid] = true
	}
	judged, wanted := 0, 0
	for uuid, e := range c.events {
		for i, wish := range c.wishes {
			if e.after <= wish.answered || e.before >= wish.replaced {
				continue
			}
			judged++
			want := wish.wants(e.eventType, e.severity)
			if want {
				wanted++
			}
			if arrived[uuid] != want {
				c.w.Errorf("event %s (%s, %s) was acknowledged at %d to %d, while the hook was as change %d left it, from %d to %d: arrived %v, want %v",
					uuid, e.eventType, e.severity, e.after, e.before, i, wish.answered, wish.replaced, arrived[uuid], want)
			}
		}
	}
	if judged < 100 || wanted < 25 || judged-wanted < 25 {
		c.w.Errorf("the story says little: %d events, %d judged, %d of them wanted", len(c.events), judged, wanted)
	}
}
