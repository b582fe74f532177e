package webhook_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/deliver"
	"github.com/grapnel-hooks/grapnel/internal/deliver/webhook"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/reach"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// wire is the network: every connection goes to one server, which is told what
// to do with it.
type wire struct {
	serve func(conn net.Conn)
	wrap  func(conn net.Conn) net.Conn // what the client gets, if not nil
	roots *x509.CertPool

	mu       sync.Mutex
	dialled  int
	lookedUp func(ctx context.Context) ([]netip.Addr, error) // nil for a public address
	running  sync.WaitGroup
}

func (w *wire) dial(context.Context, string, string) (net.Conn, error) {
	w.mu.Lock()
	w.dialled++
	w.mu.Unlock()
	if w.serve == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	server := &buffered{Conn: far, out: make(chan []byte, 1000)}
	w.running.Go(func() {
		defer far.Close()
		for b := range server.out {
			if _, err := far.Write(b); err != nil {
				server.broken.Store(true)
			}
		}
	})
	w.running.Go(func() {
		defer close(server.out)
		w.serve(server)
	})
	if w.wrap != nil {
		return w.wrap(near), nil
	}
	return near, nil
}

// buffered is a server's end of a connection. As the network does, it takes what
// is written before it is read.
type buffered struct {
	net.Conn
	out    chan []byte
	broken atomic.Bool
}

func (b *buffered) Write(p []byte) (int, error) {
	if b.broken.Load() {
		return 0, io.ErrClosedPipe
	}
	b.out <- bytes.Clone(p)
	return len(p), nil
}

// Close is done when everything written is read, which no deadline prevents.
func (b *buffered) Close() error                     { return nil }
func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

func (w *wire) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	if w.lookedUp != nil {
		return w.lookedUp(ctx)
	}
	return []netip.Addr{netip.MustParseAddr("9.9.9.9")}, nil
}

// channel is a Channel over the wire.
func (w *wire) channel(t *testing.T) *webhook.Channel {
	t.Helper()
	guard, err := reach.New(reach.Options{AllowHTTP: true, Resolver: w, Dial: w.dial, RootCAs: w.roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		guard.CloseIdle()
		w.running.Wait()
	})
	return webhook.New(webhook.Options{Reach: guard, OrgHost: func(int64) string { return "acme.okta.example" }, Version: "1.2"})
}

// send makes one attempt within a timeout.
func send(t *testing.T, ch *webhook.Channel, uri string, timeout time.Duration) deliver.Result {
	t.Helper()
	h := &hook.EventHook{ID: "who1", Channel: hook.Channel{URI: uri}}
	h.Policy.Timeout = hook.Duration(timeout)
	return ch.Send(t.Context(), h, &store.Claim{Key: hook.Key{Hook: 1, Seq: 64}, Event: &hook.Event{JSON: []byte(`{"uuid":"a"}`)}})
}

// request reads a request whole, and nothing of a next one.
func request(conn io.Reader) bool {
	got := ""
	b := make([]byte, 4096)
	for !strings.HasSuffix(got, `"contentType":"application/json"}`) {
		n, err := conn.Read(b)
		if err != nil {
			return false
		}
		got += string(b[:n])
	}
	return true
}

// answers reads the request and writes some bytes.
func answers(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if request(conn) {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// endless reads the request, writes a beginning, and then the same for ever.
func endless(begin, again string, every time.Duration) func(net.Conn) {
	return func(conn net.Conn) {
		if !request(conn) {
			return
		}
		_, err := io.WriteString(conn, begin)
		for err == nil {
			<-time.After(every)
			_, err = io.WriteString(conn, again)
		}
	}
}

// silent reads the request and says nothing.
func silent(conn net.Conn) {
	if request(conn) {
		_, _ = conn.Read(make([]byte, 1)) // until the other side hangs up
	}
}

// resetConn is a connection whose peer resets it: at once, or instead of the
// answer.
type resetConn struct{ net.Conn }

func (resetConn) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

// laterReset resets after the first bytes.
type laterReset struct {
	net.Conn
	once sync.Once
}

func (c *laterReset) Read(b []byte) (n int, err error) {
	n, err = resetConn{}.Read(b)
	c.once.Do(func() { n, err = c.Conn.Read(b) })
	return n, err
}

// What a destination may do instead of answering as it should, the reason that
// is kept for it, and how long it takes at most.
func TestWhatDestinationsDo(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	long := strings.Repeat("x", 1000)
	for _, test := range []struct {
		name   string
		serve  func(net.Conn)
		wrap   func(net.Conn) net.Conn
		status int
		reason hook.Reason
		within time.Duration
	}{
		{name: "200", serve: answers(ok), status: 200},
		{name: "204", serve: answers("HTTP/1.1 204 No Content\r\n\r\n"), status: 204},
		{name: "299", serve: answers("HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n"), status: 299},
		{name: "HTTP/1.0", serve: answers("HTTP/1.0 200 OK\r\n\r\nthanks"), status: 200},
		{name: "404", serve: answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), status: 404, reason: hook.ReasonStatus},
		{name: "410", serve: answers("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), status: 410, reason: hook.ReasonGone},
		{name: "302", serve: answers("HTTP/1.1 302 Found\r\nLocation: http://9.9.9.9/\r\nContent-Length: 0\r\n\r\n"), status: 302, reason: hook.ReasonRedirect},
		{name: "307 to nowhere", serve: answers("HTTP/1.1 307 x\r\nLocation: ://%zz\r\nContent-Length: 0\r\n\r\n"), status: 307, reason: hook.ReasonRedirect},
		{name: "500 cut short", serve: answers("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nshort"), status: 500, reason: hook.ReasonStatus},
		{name: "200 cut short", serve: answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), status: 200},
		{name: "200 with a broken chunk", serve: answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), status: 200},

		{name: "100, 103 and 200", serve: answers("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok), status: 200},
		{name: "101", serve: answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), status: 101, reason: hook.ReasonStatus},
		{name: "1xx for ever", serve: endless("", "HTTP/1.1 103 Early Hints\r\nX: "+long+"\r\n\r\n", 0), reason: hook.ReasonBadResponse},
		{name: "1xx and nothing", serve: endless("HTTP/1.1 102 Processing\r\n\r\n", "", time.Minute), reason: hook.ReasonTimeout, within: 30 * time.Second},

		{name: "an endless body, 200", serve: endless("HTTP/1.1 200 OK\r\n\r\n", long, 0), status: 200},
		{name: "an endless body, 500", serve: endless("HTTP/1.1 500 No\r\n\r\n", long, 0), status: 500, reason: hook.ReasonStatus},
		{name: "a slow body, 200", serve: endless("HTTP/1.1 200 OK\r\n\r\n", "x", time.Second), status: 200, within: 30 * time.Second},
		{name: "a slow body, 500", serve: endless("HTTP/1.1 500 No\r\n\r\n", "x", time.Second), status: 500, reason: hook.ReasonStatus, within: 30 * time.Second},
		{name: "endless headers", serve: endless("HTTP/1.1 200 OK\r\n", "X: "+long+"\r\n", 0), reason: hook.ReasonBadResponse},
		{name: "slow headers", serve: endless("HTTP/1.1 200 OK\r\n", "X: x\r\n", time.Second), reason: hook.ReasonTimeout, within: 30 * time.Second},

		{name: "nothing", serve: silent, reason: hook.ReasonTimeout, within: 30 * time.Second},
		{name: "refused", reason: hook.ReasonConnection},
		{name: "an empty answer", serve: answers(""), reason: hook.ReasonConnection},
		{name: "closed at once", serve: func(net.Conn) {}, reason: hook.ReasonConnection},
		{name: "reset", serve: silent, wrap: func(c net.Conn) net.Conn { return resetConn{c} }, reason: hook.ReasonConnection},
		{name: "reset in the headers", serve: answers("HTTP/1.1 200 OK\r\nX: x\r\n"),
			wrap: func(c net.Conn) net.Conn { return &laterReset{Conn: c} }, reason: hook.ReasonConnection},
		{name: "cut short in the headers", serve: answers("HTTP/1.1 200 OK\r\nX: x\r\n"), reason: hook.ReasonConnection},

		{name: "SSH", serve: answers("SSH-2.0-x\r\n"), reason: hook.ReasonBadResponse},
		{name: "SMTP", serve: answers("220 mail.example ESMTP\r\n"), reason: hook.ReasonBadResponse},
		{name: "TLS on a plain port", serve: answers("\x15\x03\x01\x00\x02\x02\x46"), reason: hook.ReasonBadResponse},
		{name: "noise", serve: answers("\x00\xff\x80\n\n\n\n\x00"), reason: hook.ReasonBadResponse},
		{name: "a bad status", serve: answers("HTTP/1.1 abc OK\r\n\r\n"), reason: hook.ReasonBadResponse},
		{name: "a bad header", serve: answers("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), reason: hook.ReasonBadResponse},
		{name: "a bad length", serve: answers("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), reason: hook.ReasonBadResponse},
		{name: "a bad encoding", serve: answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\n"), reason: hook.ReasonBadResponse},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ch := (&wire{serve: test.serve, wrap: test.wrap}).channel(t)
				begun := time.Now()
				r := send(t, ch, "http://good.example/hook", 30*time.Second)
				if r.Status != test.status || r.Reason != test.reason {
					t.Errorf("status %d, reason %q, want %d, %q: %+v", r.Status, r.Reason, test.status, test.reason, r.Response)
				}
				if took := time.Since(begun); took > test.within {
					t.Errorf("took %v, want at most %v", took, test.within)
				}
				switch {
				case r.Reason == "" && r.Response != nil:
					t.Errorf("a success keeps the response %+v", r.Response)
				case r.Reason != "" && r.Response.Status == 0 && r.Response.Error == "":
					t.Error("nothing says what happened")
				case r.Reason != "" && (r.Response.Status != r.Status || len(r.Response.Body) > 16<<10):
					t.Errorf("keeps %d, %d bytes", r.Response.Status, len(r.Response.Body))
				}
			})
		})
	}
}

func TestDNS(t *testing.T) {
	for name, test := range map[string]struct {
		look   func(context.Context) ([]netip.Addr, error)
		reason hook.Reason
	}{
		"no such name": {func(context.Context) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}, hook.ReasonDNS},
		"the server does not answer": {func(context.Context) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true}
		}, hook.ReasonDNS},
		"no address": {func(context.Context) ([]netip.Addr, error) { return nil, nil }, hook.ReasonDNS},
		"a guarded address": {func(context.Context) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("169.254.169.254")}, nil
		}, hook.ReasonRefused},
		"very slow": {func(ctx context.Context) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, hook.ReasonTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{lookedUp: test.look}
				r := send(t, w.channel(t), "http://good.example/hook", 30*time.Second)
				if r.Reason != test.reason || r.Response.Error == "" || w.dialled != 0 {
					t.Errorf("reason %q, want %q; dialled %d times: %+v", r.Reason, test.reason, w.dialled, r.Response)
				}
			})
		})
	}
}

// certificate makes a certificate for good.example, and a pool that trusts it.
func certificate(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "good.example"}, DNSNames: []string{"good.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// overTLS serves with a TLS configuration.
func overTLS(config *tls.Config, serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		server := tls.Server(conn, config)
		if server.Handshake() == nil {
			serve(server)
		} else {
			_, _ = io.Copy(io.Discard, conn) // what is on its way already is taken
		}
		server.Close()
	}
}

func TestTLS(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	for name, test := range map[string]struct {
		config func(*tls.Config)
		change func(*x509.Certificate)
		serve  func(net.Conn) // instead of TLS
		trust  bool
		reason hook.Reason
	}{
		"good":                    {trust: true},
		"an unknown authority":    {reason: hook.ReasonTLS},
		"another name":            {trust: true, change: func(c *x509.Certificate) { c.DNSNames = []string{"bad.example"} }, reason: hook.ReasonTLS},
		"expired":                 {trust: true, change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, reason: hook.ReasonTLS},
		"an old version":          {trust: true, config: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, reason: hook.ReasonTLS},
		"wants a certificate":     {trust: true, config: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, reason: hook.ReasonTLS},
		"wants a certificate 1.2": {trust: true, config: func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }, reason: hook.ReasonTLS},
		"no TLS at all": {serve: func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		}, reason: hook.ReasonBadResponse},
		"noise": {serve: func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
		}, reason: hook.ReasonTLS},
		"closed in the handshake": {serve: func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, reason: hook.ReasonConnection},
		"silent in the handshake": {serve: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, reason: hook.ReasonTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leaf, pool := certificate(t, test.change)
				config := &tls.Config{Certificates: []tls.Certificate{leaf}}
				if test.config != nil {
					test.config(config)
				}
				w := &wire{serve: test.serve, roots: x509.NewCertPool()}
				if w.serve == nil {
					w.serve = overTLS(config, answers(ok))
				}
				if test.trust {
					w.roots = pool
				}
				r := send(t, w.channel(t), "https://good.example/hook", 30*time.Second)
				if r.Reason != test.reason {
					t.Errorf("reason %q, want %q: %+v", r.Reason, test.reason, r.Response)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	const ever, seconds = 1<<63 - 1, (1<<63 - 1) / time.Second * time.Second
	for field, want := range map[string]time.Duration{
		"":                                 0,
		"0":                                0,
		"1":                                time.Second,
		"120":                              2 * time.Minute,
		"2147483647":                       2147483647 * time.Second,
		"99999999999":                      seconds,
		"99999999999999999999999999999":    seconds,
		"-5":                               0,
		"+5":                               0,
		"1.5":                              0,
		"soon":                             0,
		"1e3":                              0,
		"Sat, 01 Jan 2000 00:01:00 GMT":    time.Minute,
		"Saturday, 01-Jan-00 00:01:00 GMT": time.Minute,
		"Sat Jan  1 00:01:00 2000":         time.Minute,
		"Fri, 31 Dec 1999 23:59:00 GMT":    0,
		"Fri, 31 Dec 9999 23:59:59 GMT":    ever,
	} {
		t.Run(field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ch := (&wire{serve: answers("HTTP/1.1 503 Busy\r\nRetry-After: " + field + "\r\nContent-Length: 0\r\n\r\n")}).channel(t)
				if r := send(t, ch, "http://good.example/hook", time.Second); r.RetryAfter != want {
					t.Errorf("%v, want %v", r.RetryAfter, want)
				}
			})
		})
	}
}

// The value is that of: openssl dgst -sha256 -mac HMAC -macopt hexkey:…
func TestSign(t *testing.T) {
	const signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	got, err := webhook.Sign(signing, "dlv000", time.Unix(946684800, 999), []byte("{\"a\":\"é \xff\"}"))
	if want := "v1,BW/ktaSLEF6RMJSOBng57Kmk+PZR8z/oHyCU9ElWfdg="; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_*"} {
		if got, err := webhook.Sign(bad, "dlv000", time.Now(), nil); err == nil && bad != "whsec_" {
			t.Errorf("signed with %q: %s", bad, got)
		}
	}
}

// A connection is used again after whatever can be read to its end.
func TestConnectionsAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{serve: func(conn net.Conn) {
			for request(conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nsorry")
			}
		}}
		ch := w.channel(t)
		for range 3 {
			r := send(t, ch, "http://good.example/hook", time.Second)
			if string(r.Response.Body) != "sorry" {
				t.Errorf("body %q", r.Response.Body)
			}
			synctest.Wait()
		}
		if w.dialled != 1 {
			t.Errorf("%d connections", w.dialled)
		}
	})
}

// What a changed hook sends is what it says now.
func TestAChangedHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got strings.Builder
		w := &wire{serve: func(conn net.Conn) {
			for request(io.TeeReader(conn, &got)) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}}
		ch := w.channel(t)
		for _, secret := range []string{"first", "second", "second"} {
			h := &hook.EventHook{ID: "who1", Number: 1, Channel: hook.Channel{
				URI: "http://good.example/" + secret, Auth: &hook.AuthScheme{Key: "Authorization", Value: secret},
			}}
			h.Policy.Timeout = hook.Duration(time.Second)
			for range 2 {
				got.Reset()
				r := ch.Send(t.Context(), h, &store.Claim{Key: hook.Key{Hook: 1, Seq: 64}, Event: &hook.Event{JSON: []byte(`{}`)}})
				if r.Status != 200 || !strings.HasPrefix(got.String(), "POST /"+secret+" HTTP/1.1\r\n") ||
					!strings.Contains(got.String(), "\r\nAuthorization: "+secret+"\r\n") {
					t.Errorf("%s: status %d for %q", secret, r.Status, got.String())
				}
			}
		}
	})
}

// A pooled connection that the destination has closed meanwhile costs no
// attempt, and no event twice.
func TestAStaleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		requests := 0
		w := &wire{serve: func(conn net.Conn) {
			if request(conn) {
				mu.Lock()
				requests++
				mu.Unlock()
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}}
		ch := w.channel(t)
		for range 3 {
			if r := send(t, ch, "http://good.example/hook", time.Second); r.Reason != "" {
				t.Errorf("%s: %+v", r.Reason, r.Response)
			}
			synctest.Wait()
		}
		if requests != 3 {
			t.Errorf("%d requests", requests)
		}
	})
}
