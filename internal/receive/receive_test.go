package receive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/intake"
	"github.com/grapnel-hooks/grapnel/internal/receive"
)

const secret = "Bearer of-the-org"

// desk is a Receiver with one source, and what it has told its neighbours.
type desk struct {
	receive.Options
	mux      *http.ServeMux
	receiver *receive.Receiver

	mu         sync.Mutex
	batches    []intake.Batch
	counts     map[int64]hook.SourceCount
	flushes    int
	challenges []hook.Challenge
	hosts      []string
}

// newDesk makes a Receiver that runs until the test ends. set may replace what
// it is made of.
func newDesk(t *testing.T, set func(*receive.Options)) *desk {
	d := &desk{mux: http.NewServeMux(), counts: map[int64]hook.SourceCount{}}
	d.Options = receive.Options{
		Accept: d.accept, Count: d.count, BodyLimit: 1 << 20, Log: slog.New(slog.DiscardHandler),
		Challenged: func(_ context.Context, _ string, c hook.Challenge) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.challenges = append(d.challenges, c)
		},
		LearnHost: func(_ context.Context, _, host string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.hosts = append(d.hosts, host)
		},
	}
	if set != nil {
		set(&d.Options)
	}
	r := receive.New(d.Options)
	d.receiver = r
	r.SetSources([]*receive.Source{
		{Source: hook.Source{Number: 1, Name: "acme"}, Auth: hook.SourceAuth{Key: "Authorization", Value: secret}},
		{Source: hook.Source{Number: 2, Name: "known", Host: "known.okta.example"}, Auth: hook.SourceAuth{Key: "Authorization", Value: secret}},
	})
	r.Register(d.mux)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return d
}

func (d *desk) accept(b intake.Batch, acknowledge func()) error {
	d.mu.Lock()
	d.batches = append(d.batches, b)
	d.mu.Unlock()
	acknowledge()
	return nil
}

func (d *desk) count(_ context.Context, counts map[int64]hook.SourceCount) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushes++
	for number, add := range counts {
		c := d.counts[number]
		c.Add(add)
		d.counts[number] = c
	}
	return nil
}

// call makes a request with the secret and returns the answer.
func (d *desk) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", secret)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	d.mux.ServeHTTP(answer, request)
	return answer
}

func deliveryFrom(host string) string {
	return `{"source":"https://` + host + `/api/v1/eventHooks/who1","data":{"events":[]}}`
}

func TestAHostIsLearntOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		for range 5 {
			d.call("POST", "/in/acme", deliveryFrom("acme.okta.example"))
			d.call("POST", "/in/known", deliveryFrom("known.okta.example"))
			d.call("POST", "/in/known", deliveryFrom("login.known.example")) // an org may have two names
		}
		if len(d.hosts) != 1 || d.hosts[0] != "acme.okta.example" {
			t.Errorf("told of the hosts %q", d.hosts)
		}
	})
}

// TestSourcesOfOtherProcesses has another process make a source and change a
// secret: whoever is told of them calls here next.
func TestSourcesOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stored []*receive.Source
		var set func([]*receive.Source)
		refreshed, failure := 0, error(nil)
		d := newDesk(t, func(o *receive.Options) {
			o.Refresh = func(context.Context) error {
				if refreshed++; failure != nil {
					return failure
				}
				set(stored)
				return nil
			}
		})
		set = d.receiver.SetSources
		source := func(name, value string) *receive.Source {
			return &receive.Source{Source: hook.Source{Number: 3, Name: name}, Auth: hook.SourceAuth{Key: "Authorization", Value: value}}
		}
		wants := func(what string, answer *httptest.ResponseRecorder, code, looks int) {
			t.Helper()
			if answer.Code != code || refreshed != looks {
				t.Errorf("%s: %d after %d looks, want %d after %d", what, answer.Code, refreshed, code, looks)
			}
		}
		wants("a source that is known", d.call("POST", "/in/acme", deliveryFrom("x")), 200, 0)
		failure = errors.New("the database is away")
		wants("nobody can know", d.call("POST", "/in/new", deliveryFrom("x")), 503, 1)
		wants("nobody can know of another secret", d.call("POST", "/in/acme", deliveryFrom("x"), "Authorization", "other"), 503, 2)
		wants("a right secret needs no look", d.call("POST", "/in/acme", deliveryFrom("x")), 200, 2)
		failure = nil
		stored = []*receive.Source{source("new", secret)}
		wants("made elsewhere", d.call("POST", "/in/new", deliveryFrom("x")), 200, 3)
		wants("deleted elsewhere", d.call("POST", "/in/acme", deliveryFrom("x")), 404, 4)
		stored = []*receive.Source{source("new", "rotated")}
		wants("rotated elsewhere", d.call("POST", "/in/new", deliveryFrom("x"), "Authorization", "rotated"), 200, 5)
		wants("wrong everywhere", d.call("POST", "/in/new", deliveryFrom("x"), "Authorization", "wrong"), 401, 6)
		stored = append(stored, source("newer", secret))
		wants("verified", d.call("GET", "/in/newer", "", "X-Okta-Verification-Challenge", "c"), 200, 7)
		synctest.Wait()
		if n := len(d.challenges); n != 1 || d.challenges[0].Secret != hook.SecretRight {
			t.Errorf("told of %v", d.challenges)
		}
	})
}

// Anyone can send a GET: it must not cost a synced write each.
func TestAFloodOfChallengesIsNoFloodOfWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		ask := func(authorization string) {
			answer := d.call("GET", "/in/acme", "", "X-Okta-Verification-Challenge", "c", "Authorization", authorization)
			if answer.Code != 200 || answer.Body.String() != `{"verification":"c"}` {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
		}
		ask(secret)
		if len(d.challenges) != 1 || d.challenges[0].Secret != hook.SecretRight {
			t.Fatalf("the first: %v", d.challenges)
		}
		for range 1000 {
			ask("wrong")
			<-time.After(10 * time.Millisecond)
		}
		ask(secret)
		<-time.After(2 * time.Second)
		synctest.Wait()
		if n := len(d.challenges); n < 10 || n > 14 {
			t.Errorf("told of %d challenges within 10 s", n)
		}
		if last := d.challenges[len(d.challenges)-1]; last.Secret != hook.SecretRight {
			t.Errorf("the last one told of: %v", last)
		}
	})
}

func TestAFloodOfRefusalsIsNoFloodOfWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		for range 1000 {
			if answer := d.call("POST", "/in/acme", "", "Authorization", "wrong"); answer.Code != 401 {
				t.Fatal(answer.Code)
			}
			d.call("POST", "/in/nobody", "")
			<-time.After(10 * time.Millisecond)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if d.flushes > 12 {
			t.Errorf("%d writes within 10 s", d.flushes)
		}
		if d.counts[1].Unauthorized != 1000 || d.counts[0].Deliveries != 1000 {
			t.Errorf("counted %+v", d.counts)
		}
	})
}

// What could not be counted is counted later.
func TestCountersOutlastAFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		var d *desk
		d = newDesk(t, func(o *receive.Options) {
			o.Count = func(ctx context.Context, counts map[int64]hook.SourceCount) error {
				if !mended.Load() {
					return errors.New("the disk is full")
				}
				return d.count(ctx, counts)
			}
			o.Accept = func(intake.Batch, func()) error { return intake.ErrBusy }
		})
		for range 3 {
			answer := d.call("POST", "/in/acme", deliveryFrom("acme.okta.example"))
			if answer.Code != 503 || answer.Header().Get("Retry-After") == "" {
				t.Errorf("%d, Retry-After %q", answer.Code, answer.Header().Get("Retry-After"))
			}
			<-time.After(time.Minute)
		}
		synctest.Wait()
		mended.Store(true)
		<-time.After(2 * time.Second)
		synctest.Wait()
		if got := d.counts[1]; got.Unavailable != 3 {
			t.Errorf("counted %+v", got)
		}
	})
}

// pipe serves one connection and returns its far end.
func (d *desk) pipe(t *testing.T) net.Conn {
	near, far := net.Pipe()
	l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- far
	server := &http.Server{Handler: d.mux}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		near.Close()
		server.Close()
		serving.Wait()
	})
	return near
}

type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A change of the hooks waits for every acknowledgement under way: a caller
// that does not read its answer must not hold it up for long.
func TestACallerThatDoesNotReadIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := make(chan time.Duration, 1)
		d := newDesk(t, func(o *receive.Options) {
			o.Accept = func(_ intake.Batch, acknowledge func()) error {
				start := time.Now()
				acknowledge()
				took <- time.Since(start)
				return nil
			}
		})
		conn := d.pipe(t)
		body := deliveryFrom("acme.okta.example")
		fmt.Fprintf(conn, "POST /in/acme HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", secret, len(body), body)
		select {
		case d := <-took:
			if d > 10*time.Second {
				t.Errorf("acknowledging took %v", d)
			}
		case <-time.After(time.Hour):
			t.Error("acknowledging has not ended within an hour")
		}
	})
}

// The deadline is for one answer, not for the connection.
func TestAConnectionIsUsedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		conn := d.pipe(t)
		body := deliveryFrom("acme.okta.example")
		for range 3 {
			fmt.Fprintf(conn, "POST /in/acme HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", secret, len(body), body)
			answer := make([]byte, 4096)
			n, err := conn.Read(answer)
			if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200 ") {
				t.Fatalf("%q, %v", answer[:n], err)
			}
			<-time.After(time.Minute)
		}
	})
}

// All bodies together are bounded; a right secret is then answered 503, in
// time, but never 4xx.
func TestBodiesTogetherAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		inside := make(chan struct{}, 100)
		d := newDesk(t, func(o *receive.Options) {
			o.BodyLimit = 16 << 20
			o.Accept = func(_ intake.Batch, acknowledge func()) error {
				inside <- struct{}{}
				<-release
				acknowledge()
				return nil
			}
		})
		// Without a length, and long enough for all the memory that one body may
		// have, 16 MiB.
		post := func() int {
			body := io.MultiReader(strings.NewReader(deliveryFrom("a")), io.LimitReader(spaces{}, 2<<20))
			request := httptest.NewRequest(http.MethodPost, "/in/acme", body)
			request.Header.Set("Authorization", secret)
			answer := httptest.NewRecorder()
			d.mux.ServeHTTP(answer, request)
			return answer.Code
		}
		codes := make(chan int, 100)
		for range 3 {
			go func() { codes <- post() }()
			synctest.Wait()
		}
		if len(inside) != 3 { // in 64 MiB
			t.Errorf("%d bodies are held at once", len(inside))
		}
		start := time.Now()
		if code := post(); code != 503 {
			t.Errorf("a caller for whom there is no room: %d", code)
		}
		if waited := time.Since(start); waited > 3*time.Second {
			t.Errorf("it was told after %v, when Okta had gone", waited)
		}
		close(release)
		for range 3 {
			if code := <-codes; code != 200 {
				t.Errorf("a caller that waited: %d", code)
			}
		}
	})
}

// spaces is endless white space.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
