package reach

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// post makes one request of a Post, and returns the answer's body and status.
func post(t testing.TB, p *Post, body string) (string, int, error) {
	t.Helper()
	response, err := p.Send(t.Context(), time.Now().Add(30*time.Second), []Field{{"webhook-id", "1"}}, []byte(body))
	if err != nil {
		return "", 0, err
	}
	text, _, err := ReadBody(response, 1<<20)
	return string(text), response.StatusCode, err
}

func newPost(t testing.TB, r *Reach, uri string, header http.Header) *Post {
	t.Helper()
	p, err := r.NewPost(uri, header)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s %s %s %d %s", r.Proto, r.Method, r.Host, r.RequestURI,
		r.Header.Get("Authorization"), r.Header.Get("Webhook-Id"), r.ContentLength, body)
}

// Over whatever version, the same arrives; and connections are used again.
func TestPostArrives(t *testing.T) {
	old, oldRoots := serveTLS(t, http.HandlerFunc(echo), false)
	modern, modernRoots := serveTLS(t, http.HandlerFunc(echo), true)
	plain := serve(t, http.HandlerFunc(echo))
	for _, c := range []struct {
		name, uri, to, proto string
		options              Options
		dials                int
	}{
		{"plain", "http://example.com/in?a=%20b", plain.Listener.Addr().String(), "HTTP/1.1", Options{AllowHTTP: true}, 1},
		// The first is net/http's, which asks for HTTP/2.
		{"old", "https://example.com/in?a=%20b", old.Listener.Addr().String(), "HTTP/1.1", Options{RootCAs: oldRoots}, 2},
		{"modern", "https://example.com/in?a=%20b", modern.Listener.Addr().String(), "HTTP/2.0", Options{RootCAs: modernRoots}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			network := &wires{to: map[string]string{"9.9.9.9:80": c.to, "9.9.9.9:443": c.to}}
			c.options.Resolver, c.options.Dial = exampleCom, network.dial
			p := newPost(t, newReach(t, c.options), c.uri, http.Header{"Authorization": {"secret"}})
			for range 5 {
				got, status, err := post(t, p, "hello")
				want := c.proto + " POST example.com /in?a=%20b secret 1 5 hello"
				if got != want || status != 200 || err != nil {
					t.Errorf("%q, %d, %v", got, status, err)
				}
			}
			if dials := network.dials(); len(dials) != c.dials {
				t.Errorf("dialled %v", dials)
			}
		})
	}
}

// What is refused, is before and when it is dialled.
func TestPostIsGuarded(t *testing.T) {
	strict := newReach(t, Options{Resolver: names{"evil.example": addrs("127.0.0.1")}})
	for _, uri := range []string{"http://example.com/", "ftp://example.com/", "https://", "https:///x", "https://example.com/a b", "https://u:p@example.com/"} {
		if _, err := strict.NewPost(uri, nil); err == nil {
			t.Errorf("%s: taken", uri)
		}
	}
	loose := newReach(t, Options{AllowHTTP: true, Resolver: names{"evil.example": addrs("127.0.0.1")}})
	for _, uri := range []string{"http://evil.example/", "http://127.0.0.1:1/", "https://evil.example/"} {
		_, _, err := post(t, newPost(t, loose, uri, nil), "")
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// FuzzPost has nothing in a header or an address become another line, and the
// body end where it ends.
func FuzzPost(f *testing.F) {
	f.Add("http://example.com/a?b=c", "X-Key", "value", "{}")
	f.Add("http://example.com", "X-Key", "v\r\nX-Other: w", "")
	f.Add("http://example.com", "Transfer-Encoding", "chunked", "0\r\n\r\n")
	f.Add("http://[2001:db8::1]:8080/%0d%0aX:", "X\r\nY", "\n\n", "a\r\n\r\nb")
	r, err := New(Options{AllowHTTP: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uri, name, value, body string) {
		header := make(http.Header)
		header.Set(name, value)
		p, err := r.NewPost(uri, header)
		if err != nil {
			return
		}
		wire := bufio.NewReader(bytes.NewReader(p.append(nil, []Field{{"webhook-id", "1"}}, []byte(body))))
		request, err := http.ReadRequest(wire)
		if err != nil {
			t.Fatalf("%q: %v", uri, err)
		}
		got, err := io.ReadAll(request.Body)
		if string(got) != body || err != nil || wire.Buffered() > 0 {
			t.Errorf("the body %q arrived as %q, %v, and %d bytes more", body, got, err, wire.Buffered())
		}
		for key, values := range request.Header {
			ours := key == "Content-Length" || key == "Webhook-Id"
			if key != http.CanonicalHeaderKey(name) && !ours || len(values) > 2 || len(values) > 1 && !ours {
				t.Errorf("the header %q: %q brought %q: %q", name, value, key, values)
			}
		}
		if request.Method != http.MethodPost || request.Host != p.url.Host || request.RequestURI != p.url.RequestURI() {
			t.Errorf("%q arrived as %s %s %s", uri, request.Method, request.Host, request.RequestURI)
		}
	})
}

// rude is a server that is told what to do with each connection.
func rude(t *testing.T, do func(conn net.Conn)) *Reach {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go do(conn)
		}
	}()
	network := &wires{to: map[string]string{"9.9.9.9:80": listener.Addr().String()}}
	return newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial})
}

// A destination may answer without having read what it is sent, whether it fits
// on the way or not.
func TestAnswerBeforeTheRequestIsRead(t *testing.T) {
	for _, size := range []int{10, maxPlain, maxPlain + 1, 16 << 20} {
		over := make(chan struct{})
		r := rude(t, func(conn net.Conn) {
			defer conn.Close()
			if _, err := io.ReadFull(conn, make([]byte, 4)); err == nil {
				io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
			}
			<-over // hanging up with bytes unread resets the connection
		})
		body, status, err := post(t, newPost(t, r, "http://example.com/", nil), strings.Repeat("x", size))
		close(over)
		if body != "big" || status != 413 || err != nil {
			t.Errorf("%d bytes: %q, %d, %v", size, body, status, err)
		}
	}
}

// A connection is not used again when something is left on it, or may come.
func TestConnectionsThatAreNotUsedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		dials  int
	}{
		"good":              {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1},
		"an early hint":     {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1},
		"chunked":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1},
		"close":             {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 2},
		"HTTP/1.0":          {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2},
		"HTTP/1.0, kept":    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 1},
		"more than it says": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", 2},
		"another answer":    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 2},
		"an upgrade":        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 2},
	} {
		dials := make(chan struct{}, 10)
		r := rude(t, func(conn net.Conn) {
			defer conn.Close()
			dials <- struct{}{}
			for reader := bufio.NewReader(conn); ; {
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				io.Copy(io.Discard, request.Body)
				io.WriteString(conn, c.answer)
			}
		})
		p := newPost(t, r, "http://example.com/", nil)
		for range 2 {
			if _, _, err := post(t, p, "{}"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(dials) != c.dials {
			t.Errorf("%s: %d connections", name, len(dials))
		}
	}
}

// The context ends the wait for an answer, and for its body.
func TestPostEndsWithItsContext(t *testing.T) {
	for _, begin := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"} {
		arrived := make(chan struct{}, 1)
		r := rude(t, func(conn net.Conn) {
			defer conn.Close()
			request, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			io.Copy(io.Discard, request.Body)
			io.WriteString(conn, begin)
			arrived <- struct{}{}
			io.Copy(io.Discard, conn) // until the other side hangs up
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		response, err := newPost(t, r, "http://example.com/", nil).Send(ctx, time.Now().Add(time.Minute), nil, nil)
		if err == nil {
			_, _, err = ReadBody(response, 100)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %q: %v", begin, err)
		}
		if n := r.pool.ages.Len(); n != 0 {
			t.Errorf("after %q: %d connections are kept", begin, n)
		}
	}
}

// An idle connection ends with the context whose request it served last, and
// serves requests of others until then.
func TestConnectionsEndWithTheirContext(t *testing.T) {
	server := serve(t, http.HandlerFunc(echo))
	network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String()}}
	p := newPost(t, newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial}), "http://example.com/", nil)
	passing, end := context.WithCancel(t.Context())
	defer end()
	for i, step := range []struct {
		ctx   context.Context
		dials int
	}{{passing, 1}, {t.Context(), 1}, {passing, 1}, {nil, 1}, {t.Context(), 2}, {t.Context(), 2}} {
		if step.ctx == nil {
			end()
			continue
		}
		response, err := p.Send(step.ctx, time.Now().Add(time.Minute), nil, nil)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if _, _, err := ReadBody(response, 100); err != nil || len(network.dials()) != step.dials {
			t.Errorf("step %d: %d connections, %v", i, len(network.dials()), err)
		}
	}
	if _, err := p.Send(passing, time.Now().Add(time.Minute), nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// An idle connection outlives the deadline of the request it served last.
func TestIdleConnectionsOutliveDeadlines(t *testing.T) {
	server := serve(t, http.HandlerFunc(echo))
	network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String()}}
	r := newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial})
	p := newPost(t, r, "http://example.com/", nil)
	for range 3 {
		if _, _, err := post(t, p, ""); err != nil {
			t.Error(err)
		}
		for _, w := range r.pool.idle[p.place] {
			w.conn.SetDeadline(aLongTimeAgo)
		}
	}
	if dials := network.dials(); len(dials) != 1 {
		t.Errorf("%d connections", len(dials))
	}
}

// A peer that hangs up, or says something of its own accord, is found out before
// the next request.
func TestAlive(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, act := range map[string]func(net.Conn){
		"hung up": func(conn net.Conn) { conn.Close() },
		"spoke":   func(conn net.Conn) { conn.Write([]byte("x")) },
	} {
		near, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		probe := newProbe(near)
		if probe.raw == nil || !probe.alive(time.Time{}) {
			t.Errorf("%s: dead before", name)
		}
		act(far)
		for probe.alive(time.Time{}) { // until it has come
		}
		near.Close()
		far.Close()
		if probe.alive(time.Time{}) {
			t.Errorf("%s: alive when closed", name)
		}
	}
	near, far := net.Pipe()
	probe := newProbe(near)
	if !probe.alive(time.Time{}) {
		t.Error("a pipe is dead before")
	}
	far.Close()
	if probe.alive(time.Time{}) {
		t.Error("a pipe is alive when its other end is closed")
	}
}

// As net/http's, the pool forgets idle connections after 30 s.
func TestIdlePostConnectionsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := newMemory(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: memory.dial})
		p := newPost(t, r, "http://example.com/", nil)
		for _, step := range []struct {
			pause time.Duration
			dials int
		}{{0, 1}, {idleConnTimeout - time.Second, 1}, {idleConnTimeout - time.Second, 1}, {idleConnTimeout + time.Second, 2}, {time.Second, 2}} {
			<-time.After(step.pause)
			if _, _, err := post(t, p, ""); err != nil || memory.dials != step.dials {
				t.Errorf("after %v: dialled %d times, not %d; %v", step.pause, memory.dials, step.dials, err)
			}
			synctest.Wait()
		}
		r.CloseIdle()
		if _, _, err := post(t, p, ""); err != nil || memory.dials != 3 {
			t.Errorf("after CloseIdle: dialled %d times; %v", memory.dials, err)
		}
	})
}

// ended is a connection that remembers that it was closed.
type ended struct {
	net.Conn
	closed bool
}

func (e *ended) Close() error { e.closed = true; return nil }

// The pool's bounds: those that have been idle longest go first, and of too many
// to one place the one that comes last.
func TestPoolBounds(t *testing.T) {
	p := newPool(nil, newTransport(nil, nil).TLSClientConfig)
	var conns []*ended
	idle := func(address string) *ended {
		conn := &ended{}
		conns = append(conns, conn)
		p.put(newWire(conn, p, place{address: address}))
		return conn
	}
	for i := range maxIdleConnsPerHost {
		if idle("a").closed {
			t.Fatalf("connection %d was closed", i)
		}
	}
	if !idle("a").closed {
		t.Error("one too many to one place was kept")
	}
	conns = conns[:maxIdleConnsPerHost]
	for i := range maxIdleConns {
		idle(fmt.Sprint("b", i%100))
	}
	for i, conn := range conns {
		if old := i < maxIdleConnsPerHost; conn.closed != old {
			t.Fatalf("connection %d of %d: closed %v", i, len(conns), conn.closed)
		}
	}
	if p.ages.Len() != maxIdleConns {
		t.Errorf("%d are kept", p.ages.Len())
	}
	p.closeIdle()
	for i, conn := range conns {
		if !conn.closed {
			t.Fatalf("connection %d is open", i)
		}
	}
	if len(p.idle) != 0 || p.ages.Len() != 0 {
		t.Errorf("%d places and %d connections are kept", len(p.idle), p.ages.Len())
	}
}

// A destination that has ceased to speak HTTP/1.1 fails once, and is then asked
// what it speaks.
func TestDestinationThatModernises(t *testing.T) {
	old, roots := serveTLS(t, http.HandlerFunc(echo), false)
	modern := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	modern.EnableHTTP2 = true
	modern.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(hello.SupportedProtos, "h2") {
			return nil, errors.New("HTTP/2 or nothing")
		}
		return nil, nil
	}}
	modern.Config.ErrorLog = log.New(io.Discard, "", 0)
	modern.StartTLS() // with the same certificate
	t.Cleanup(modern.Close)
	network := &wires{to: map[string]string{"9.9.9.9:443": old.Listener.Addr().String()}}
	r := newReach(t, Options{Resolver: exampleCom, Dial: network.dial, RootCAs: roots})
	p := newPost(t, r, "https://example.com/", nil)
	for range 2 {
		if got, _, err := post(t, p, ""); !strings.HasPrefix(got, "HTTP/1.1 ") || err != nil {
			t.Errorf("before: %q, %v", got, err)
		}
	}
	r.CloseIdle()
	network.to["9.9.9.9:443"] = modern.Listener.Addr().String()
	if _, _, err := post(t, p, ""); err == nil {
		t.Error("HTTP/1.1 was spoken with a server that does not")
	}
	if got, _, err := post(t, p, ""); !strings.HasPrefix(got, "HTTP/2.0 ") || err != nil {
		t.Errorf("after: %q, %v", got, err)
	}
}
