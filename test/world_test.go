// Package test tells stories about the whole gateway, from outside: an Okta
// that calls, destinations that answer, an operator with curl. The network is
// in memory and time is fake, the store is a real file.
package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

// network is an in-memory network: names, addresses, listeners.
type network struct {
	mu        sync.Mutex
	names     map[string][]netip.Addr
	listeners map[string]*listener
}

func newNetwork() *network {
	return &network{names: make(map[string][]netip.Addr), listeners: make(map[string]*listener)}
}

type listener struct {
	network *network
	addr    string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

func (n *network) Listen(_, addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("address %s is in use", addr)
	}
	l := &listener{network: n, addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

func (n *network) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr), Err: fmt.Errorf("connection refused")}
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr), Err: fmt.Errorf("connection refused")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addrs := n.names[host]; addrs != nil {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// name gives a host an address.
func (n *network) name(host, addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[host] = []netip.Addr{netip.MustParseAddr(addr)}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		delete(l.network.listeners, l.addr)
		l.network.mu.Unlock()
	})
	return nil
}

func (l *listener) Addr() net.Addr { return address(l.addr) }

// world is a gateway, its network, and what calls it.
type world struct {
	*testing.T
	net     *network
	dir     string
	options app.Options
	gateway *app.App
	client  *http.Client
	log     *journal
}

const (
	publicAddr = "198.51.100.1:443"
	adminAddr  = "198.51.100.1:8443"
	secret     = "Bearer of-the-org"
)

// story runs a story in fake time, with a gateway that has one source, acme.
// Destinations of stories are at 192.0.0.0/24, which it may deliver to.
func story(t *testing.T, tell func(w *world)) {
	t.Helper()
	storyWith(t, func(*app.Options) {}, tell)
}

// storyWith runs a story with a gateway of other settings.
func storyWith(t *testing.T, set func(*app.Options), tell func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		w := &world{T: t, net: n, dir: dir, log: new(journal)}
		w.client = &http.Client{Transport: &http.Transport{DialContext: n.Dial}}
		w.options = app.Options{
			Listen: publicAddr, AdminListen: adminAddr, Store: "sqlite:" + filepath.Join(dir, "data", "grapnel.db"),
			AllowHTTP: true, AllowDestination: []string{"192.0.0.0/24"}, Version: "test",
			Log:     slog.New(slog.NewTextHandler(w.log, nil)),
			Network: &app.Network{Listen: n.Listen, Dial: n.Dial, Resolver: n},
		}
		set(&w.options)
		defer w.check()
		w.start()
		defer w.client.CloseIdleConnections()
		defer w.stop()
		w.createSource("acme")
		tell(w)
	})
}

// wait lets time pass, the story's own, which costs nothing, and then lets
// whatever is under way at that moment end. A timer, and not a sleep, as no
// test of this project sleeps: outside a bubble this would show at once.
func (w *world) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// journal is what the gateway has logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *journal) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines hold every one of some words.
func (l *journal) count(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
lines:
	for line := range strings.Lines(l.text.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		n++
	}
	return n
}

func (w *world) start() {
	w.Helper()
	var err error
	if w.gateway, err = app.New(w.Context(), w.options); err != nil {
		w.Fatal(err)
	}
	if err := w.gateway.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w.client.CloseIdleConnections()
	w.gateway.Stop(ctx)
}

// check looks for what is wrong with the store that a story has left.
func (w *world) check() {
	w.Helper()
	report, err := app.Check(context.Background(), w.options.Store, nil)
	if err != nil || len(report.Findings) > 0 {
		w.Errorf("the check of the store finds %+v (%v)", report.Findings, err)
	}
}

// do makes a request and returns the answer, which must have a status.
func (w *world) do(method, url string, header http.Header, body string, status int) []byte {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	request.Header = header
	response, err := w.client.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	if response.StatusCode != status {
		w.Fatalf("%s %s: %d, want %d: %s", method, url, response.StatusCode, status, answer)
	}
	return answer
}

// call calls the admin listener.
func (w *world) call(method, path, body string, status int) []byte {
	w.Helper()
	header := http.Header{"Authorization": {"SSWS " + w.gateway.Token()}, "Content-Type": {"application/json"}}
	return w.do(method, "http://"+adminAddr+path, header, body, status)
}

// get calls the admin listener and reads the answer into v.
func (w *world) get(path string, v any) {
	w.Helper()
	if err := json.Unmarshal(w.call("GET", path, "", http.StatusOK), v); err != nil {
		w.Fatalf("GET %s: %v", path, err)
	}
}

// createSource makes a source whose secret is the org's.
func (w *world) createSource(name string) {
	w.Helper()
	w.call("POST", "/v1/sources", `{"name":"`+name+`","auth":{"key":"Authorization","value":"`+secret+`"}}`, http.StatusCreated)
}

// allow restarts the gateway so that it may deliver to some addresses, and to
// no other that is guarded.
func (w *world) allow(cidrs ...string) {
	w.Helper()
	w.stop()
	w.options.AllowDestination = cidrs
	w.start()
}

// unmarshal reads JSON.
func unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

// event is a LogEvent.
func event(uuid, eventType string) string {
	return fmt.Sprintf(`{"uuid":%q,"eventType":%q,"published":"2000-01-01T00:00:00.000Z","outcome":{"result":"SUCCESS"},"target":null}`, uuid, eventType)
}

// createHook creates a hook that wants everything, with a delivery object, and
// returns its id.
func (w *world) createHook(name, uri, items, delivery string) string {
	w.Helper()
	body := fmt.Sprintf(`{"name":%q,"events":{"type":"EVENT_TYPE","items":[%s]},
		"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":%q,"authScheme":{"type":"HEADER","key":"Authorization","value":"s3cret"}}},
		"delivery":%s}`, name, items, uri, delivery)
	var created struct{ ID string }
	if err := json.Unmarshal(w.call("POST", "/api/v1/eventHooks", body, http.StatusOK), &created); err != nil {
		w.Fatal(err)
	}
	return created.ID
}

// destination is a server that remembers what it was sent.
type destination struct {
	w      *world
	server *http.Server
	mu     sync.Mutex
	got    []arrival
	answer func(n int, r *http.Request, w http.ResponseWriter)
}

// arrival is one request to a destination.
type arrival struct {
	at      time.Duration // since the story's first request was possible
	id      string        // webhook-id
	uuid    string        // of the first event
	method  string
	header  http.Header
	body    []byte
	eventID string
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where fake time begins

// destination starts a server at http://host, with an address.
func (w *world) destination(host, addr string, answer func(n int, r *http.Request, w http.ResponseWriter)) *destination {
	w.Helper()
	w.net.name(host, addr)
	l, err := w.net.Listen("tcp", addr+":80")
	if err != nil {
		w.Fatal(err)
	}
	d := &destination{w: w, answer: answer}
	d.server = &http.Server{Handler: d}
	go func() { _ = d.server.Serve(l) }()
	w.Cleanup(func() { _ = d.server.Close() })
	return d
}

func (d *destination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var envelope struct {
		EventID string
		Data    struct{ Events []struct{ UUID string } }
	}
	_ = json.Unmarshal(body, &envelope)
	a := arrival{at: time.Since(epoch), id: r.Header.Get("webhook-id"), method: r.Method, header: r.Header, body: body, eventID: envelope.EventID}
	if len(envelope.Data.Events) > 0 {
		a.uuid = envelope.Data.Events[0].UUID
	}
	d.mu.Lock()
	d.got = append(d.got, a)
	n := len(d.got)
	d.mu.Unlock()
	if d.answer != nil {
		d.answer(n, r, w)
	}
}

func (d *destination) arrivals() []arrival {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]arrival(nil), d.got...)
}
