package reach

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
)

func newReach(t testing.TB, options Options) *Reach {
	t.Helper()
	reach, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reach.CloseIdle)
	return reach
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

// names is a DNS of fixed answers.
type names map[string][]netip.Addr

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	found, ok := n[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, nil
}

type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// wires is a network in which each public address leads to a local server.
// It keeps the addresses dialled, in order.
type wires struct {
	to map[string]string // "9.9.9.9:443" → "127.0.0.1:34567"

	mu      sync.Mutex
	dialled []string
}

func (w *wires) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, address)
	w.mu.Unlock()
	local, ok := w.to[address]
	if !ok {
		return nil, fmt.Errorf("%s is unreachable", address)
	}
	return new(net.Dialer).DialContext(ctx, network, local)
}

func (w *wires) dials() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.dialled...)
}

// serveTLS starts a server with a certificate for example.com and the CA
// pool that knows it.
func serveTLS(t testing.TB, handler http.Handler, http2 bool) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func serve(t testing.TB, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// get makes a GET request and returns the response with its body unread.
func get(t testing.TB, client *http.Client, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(request)
}

// memory is a network of one HTTP server without sockets, for fake time.
type memory struct {
	conns chan net.Conn
	once  sync.Once
	dials int
}

func newMemory(t testing.TB, handler http.Handler) *memory {
	m := &memory{conns: make(chan net.Conn)}
	server := &http.Server{Handler: handler}
	go server.Serve(m)
	t.Cleanup(func() { server.Close() })
	return m
}

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	m.dials++
	near, far := net.Pipe()
	m.conns <- far
	return near, nil
}

func (m *memory) Accept() (net.Conn, error) {
	conn, ok := <-m.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.conns) }); return nil }
func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }
