package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chaosRounds names the number of rounds of TestCrash, when not the usual.
// With chaosRace the program is built with the race detector.
const (
	chaosRounds = "GRAPNEL_CHAOS"
	chaosRace   = "GRAPNEL_CHAOS_RACE"
)

// ending is how a round ends the gateway.
type ending int

const (
	killed         ending = iota // kill -9 under load
	killedStarting               // kill -9 before it serves, or just then
	stopped                      // SIGTERM under load
	stoppedStarting
)

var endings = []ending{killed, killed, stopped, killed, killed, killedStarting, killed, stoppedStarting}

func (e ending) String() string {
	return [...]string{"killed", "killed starting", "stopped", "stopped starting"}[e]
}

// TestCrash ends a gateway in every way there is, at random moments under load,
// and starts it again. Every event that it acknowledged must reach every hook
// that wants it. It may repeat deliveries only when it was killed, and then
// with the same ids.
func TestCrash(t *testing.T) {
	rounds := 4 * len(endings)
	if text := os.Getenv(chaosRounds); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q is not a number of rounds", chaosRounds, text)
		}
		rounds = n
	}
	var flags []string
	if os.Getenv(chaosRace) != "" {
		flags = []string{"-race"}
	}
	c := newCrash(t, program(t, flags...))
	tally := make(map[ending]int)
	for n := range rounds {
		how := endings[n%len(endings)]
		c.round(how)
		tally[how]++
	}
	t.Logf("ended: %v", tally)
	c.finish()
}

// crash is a gateway with load on one side and destinations on the other.
type crash struct {
	*testing.T
	site   *site
	books  *ledger
	sinks  []*sink
	random *rand.Rand

	mu     sync.Mutex
	life   *life         // nil while none serves
	change chan struct{} // closed and replaced when life changes
	over   chan struct{} // closed when the load is to end
	load   sync.WaitGroup
}

// crashHooks are the hooks' names and events; wantedBy says the same again.
var crashHooks = []struct{ name, events string }{
	{"all", everything},
	{"exact", `{"type":"EVENT_TYPE","items":["user.session.start"]}`},
	{"family", `{"type":"EVENT_TYPE","items":["user.session.*"]}`},
	{"filtered", `{"type":"EVENT_TYPE","items":["user.session.start","user.lifecycle.create"],"filter":{"type":"EXPRESSION_LANGUAGE",
		"eventFilterMap":[{"event":"user.session.start","condition":{"expression":"event.outcome.result eq 'FAILURE'"}}]}}`},
}

var crashKinds = []string{
	"user.session.start SUCCESS", "user.session.start FAILURE", "user.session.end SUCCESS",
	"user.lifecycle.create SUCCESS", "made.up.type FAILURE",
}

func wantedBy(hook string, e *posted) bool {
	switch hook {
	case "exact":
		return strings.HasPrefix(e.kind, "user.session.start ")
	case "family":
		return strings.HasPrefix(e.kind, "user.session.")
	case "filtered":
		return e.kind == "user.session.start FAILURE" || e.kind == "user.lifecycle.create SUCCESS"
	default:
		return true
	}
}

// callers is how many connections of Okta's there are.
const callers = 4

func newCrash(t *testing.T, program string) *crash {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &crash{
		T: t, site: newSite(t, filepath.Join(t.TempDir(), "data"), program), books: newLedger(t, wantedBy),
		random: rand.New(rand.NewPCG(seed, 0)), change: make(chan struct{}), over: make(chan struct{}),
	}
	l := c.site.serve()
	l.createSource()
	for _, h := range crashHooks {
		s := newSink(t, c.destination(h.name, &dice{random: rand.New(rand.NewPCG(seed, uint64(len(c.sinks)+1)))}))
		c.sinks = append(c.sinks, s)
		l.createHook(h.name, s.url, h.events, `{"verification":"none","concurrency":8,"retry":{"initial":"100ms","max":"400ms","for":"72h"}}`)
	}
	l.stop()
	for i := range callers {
		random := rand.New(rand.NewPCG(seed, uint64(100+i)))
		c.load.Go(func() { c.call(random) })
	}
	t.Cleanup(c.endLoad)
	return c
}

func (c *crash) endLoad() {
	c.mu.Lock()
	select {
	case <-c.over:
	default:
		close(c.over)
	}
	c.mu.Unlock()
	c.load.Wait()
}

// dice is a random source for many goroutines.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) roll(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

// destination takes deliveries to a hook: "all" is slow, "family" breaks
// connections off, "filtered" fails with 500, "exact" does what it should.
func (c *crash) destination(hook string, d *dice) func(parcel, http.ResponseWriter, *http.Request) {
	return func(p parcel, w http.ResponseWriter, r *http.Request) {
		c.books.arrive(hook, p)
		switch {
		case hook == "all" && d.roll(10) == 0:
			linger(r, time.Duration(1+d.roll(50))*time.Millisecond)
		case hook == "family" && d.roll(5) == 0:
			reset(w)
			return
		case hook == "filtered" && d.roll(3) == 0:
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		c.books.succeed(hook, p)
		w.WriteHeader(http.StatusNoContent)
	}
}

// call is one of Okta's connections: it posts batches, each again once if it is
// not acknowledged, and events that were sent before now and then.
func (c *crash) call(random *rand.Rand) {
	var last *life
	for {
		batch := c.batch(random)
		c.books.post(batch)
		texts := make([]string, len(batch))
		for i, e := range batch {
			texts[i] = e.json
		}
		for range 2 {
			if last = c.serving(last); last == nil {
				return
			}
			status, _, err := last.post(context.Background(), texts...)
			if err == nil && status == http.StatusOK {
				c.books.acknowledge(batch)
				last = nil
				break
			}
			if err == nil && status != http.StatusServiceUnavailable {
				c.books.change(func() { c.books.blame("a delivery was answered %d", status) })
				return
			}
		}
	}
}

// batch makes 1 to 20 events. Some are duplicates, of this batch or of events
// of another, which may be on their way at this moment.
func (c *crash) batch(random *rand.Rand) (batch []*posted) {
	for range 1 + random.IntN(20) {
		switch n := random.IntN(20); {
		case n == 0 && len(batch) > 0:
			batch = append(batch, batch[random.IntN(len(batch))])
		case n == 1:
			c.books.look(func() {
				if recent := min(len(c.books.uuids), 200); recent > 0 {
					batch = append(batch, c.books.events[c.books.uuids[len(c.books.uuids)-1-random.IntN(recent)]])
				}
			})
		default:
			batch = append(batch, newPosted(random))
		}
	}
	if len(batch) == 0 {
		return []*posted{newPosted(random)}
	}
	return batch
}

func newPosted(random *rand.Rand) *posted {
	e := &posted{kind: crashKinds[random.IntN(len(crashKinds))]}
	// As Okta's are: of version 1, the time in front.
	e.uuid = fmt.Sprintf("%08x-%04x-11f1-%04x-%012x", random.Uint32(), random.IntN(1<<16), random.IntN(1<<16), random.Int64N(1<<48))
	eventType, result, _ := strings.Cut(e.kind, " ")
	e.json = fmt.Sprintf(`{"uuid":%q, "eventType":%q,"published":"2026-01-01T00:00:00.000Z","outcome":{"result":%q,"reason":null},"displayMessage":%q}`,
		e.uuid, eventType, result, strings.Repeat("so it was ", random.IntN(100)))
	return e
}

// serving waits until a life other than the given one serves. It returns nil
// when the load is to end.
func (c *crash) serving(other *life) *life {
	for {
		c.mu.Lock()
		l, change := c.life, c.change
		c.mu.Unlock()
		select {
		case <-c.over:
			return nil
		default:
		}
		if l != nil && l != other {
			return l
		}
		select {
		case <-change:
		case <-c.over:
			return nil
		}
	}
}

// open lets the callers know who serves; nil for nobody.
func (c *crash) open(l *life) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life = l
	close(c.change)
	c.change = make(chan struct{})
}

// round begins and ends one life.
func (c *crash) round(how ending) {
	c.Helper()
	l := c.site.start()
	if how == killedStarting || how == stoppedStarting {
		// The start takes about this long; the moment is to be a random one.
		select {
		case <-l.exited:
		case <-time.After(time.Duration(c.random.IntN(250)) * time.Millisecond):
		}
	} else {
		if !l.serves() {
			c.Fatalf("the gateway does not start again: %v\n%s", l.end, l.log.String())
		}
		c.open(l)
		c.untilSomeMoment()
	}
	switch how {
	case stopped:
		l.stop()
	case stoppedStarting:
		l.interrupt()
	default:
		l.kill()
	}
	c.open(nil)
	for _, s := range c.sinks {
		s.drain()
	}
	if text := l.log.String(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
		c.Fatalf("the gateway, %v:\n%s", how, text)
	}
	c.books.end(how == killed || how == killedStarting)
}

// interrupt asks a process that may still be starting to end.
func (l *life) interrupt() {
	l.Helper()
	l.signal(syscall.SIGINT)
	select {
	case <-l.exited:
	case <-time.After(patience):
		l.kill()
		l.Fatalf("the gateway does not stop\n%s", l.log.String())
	}
	// A signal that comes before the program listens for it ends it by itself.
	if state := l.process.ProcessState; state.Exited() && state.ExitCode() != 0 {
		l.Errorf("stopped while it starts, the gateway says: %v\n%s", l.end, l.log.String())
	}
}

// untilSomeMoment waits until the load has done something more, some random amount.
func (c *crash) untilSomeMoment() {
	c.Helper()
	var acks, arrivals int
	c.books.look(func() { acks, arrivals = c.books.acks, c.books.arrivals })
	if c.random.IntN(2) == 0 {
		acks += 1 + c.random.IntN(400)
		c.books.wait("so many acknowledged", func() bool { return c.books.acks >= acks })
		return
	}
	arrivals += 1 + c.random.IntN(800)
	c.books.wait("so many delivered", func() bool { return c.books.arrivals >= arrivals })
}

// finish lets the gateway live, without load, until everything is delivered,
// and closes the books.
func (c *crash) finish() {
	l := c.site.serve()
	c.endLoad()
	var hooks []string
	for _, h := range crashHooks {
		hooks = append(hooks, h.name)
	}
	c.books.wait("everything delivered", func() bool { return c.books.owed(hooks) == 0 })
	until(c, "nothing waits", func() bool {
		for _, h := range l.stats().Hooks {
			if h.Waiting > 0 {
				return false
			}
		}
		return true
	})
	l.stop()
	for _, s := range c.sinks {
		s.drain()
	}
	c.books.end(false)
	l = c.site.serve()
	c.compare(l.stats())
	l.stop()
	c.books.judge()
	c.books.look(func() {
		acked := 0
		for _, e := range c.books.events {
			if e.acked {
				acked++
			}
		}
		c.Logf("%d events sent, %d acknowledged; %d deliveries arrived, %d of them repeats", len(c.books.events), acked, c.books.arrivals, c.books.repeats)
	})
}

// compare holds the gateway's own counters against the books.
func (c *crash) compare(stats gatewayStats) {
	kept, delivered := 0, make(map[string]int64)
	c.books.look(func() {
		for _, e := range c.books.events {
			if e.fates["all"] != nil {
				kept++
			}
			for name := range e.fates {
				delivered[name]++
			}
		}
	})
	if got := stats.Sources[0].Received; got != int64(kept) {
		c.Errorf("the gateway has kept %d events and delivered %d", got, kept)
	}
	for _, h := range stats.Hooks {
		if h.Matched != delivered[h.Name] || h.Delivered != h.Matched || h.Dead+h.Waiting+h.Cancelled != 0 {
			c.Errorf("hook %+v; %d events arrived", h, delivered[h.Name])
		}
	}
}
