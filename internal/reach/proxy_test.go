package reach

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tunnels is a small CONNECT proxy, whose own network is the wires.
type tunnels struct {
	network *wires

	mu    sync.Mutex
	asked []*http.Request
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r)
	p.mu.Unlock()
	if r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	far, err := p.network.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		far.Close()
		return
	}
	io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(near, far)
		near.Close()
	}()
	io.Copy(far, near)
	far.Close()
}

func (p *tunnels) hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var hosts []string
	for _, request := range p.asked {
		hosts = append(hosts, request.Method+" "+request.Host)
	}
	return hosts
}

func TestEgressProxy(t *testing.T) {
	secure, roots := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto+" "+r.Host) }), true)
	plain := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI+" "+r.Host) }))
	network := &wires{to: map[string]string{
		"9.9.9.9:443": secure.Listener.Addr().String(),
		"9.9.9.9:80":  plain.Listener.Addr().String(),
	}}
	for _, scheme := range []string{"http", "https"} {
		proxy := &tunnels{network: network}
		server := httptest.NewUnstartedServer(proxy)
		if scheme == "https" {
			server.StartTLS()
			roots.AddCert(server.Certificate())
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		// The proxy is on loopback, which needs no --allow-destination.
		proxyURL, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxyURL.User = url.UserPassword("grapnel", "pa55")
		resolver := names{"example.com": addrs("9.9.9.9"), "inner.example": addrs("10.0.0.1")}
		reach := newReach(t, Options{AllowHTTP: true, EgressProxy: proxyURL, Resolver: resolver, RootCAs: roots})

		for target, want := range map[string]string{
			"https://example.com/in": "HTTP/2.0 example.com",
			"http://example.com/in":  "/in example.com",
		} {
			response, err := get(t, reach.Client(), target)
			if err != nil {
				t.Fatalf("%s proxy, %s: %v", scheme, target, err)
			}
			if body, _, err := ReadBody(response, 100); string(body) != want || err != nil {
				t.Errorf("%s proxy, %s: %q, %v", scheme, target, body, err)
			}
		}
		for _, target := range []string{"https://inner.example/", "https://127.0.0.1/"} {
			_, err := get(t, reach.Client(), target)
			if _, ok := errors.AsType[*RefusedError](err); !ok {
				t.Errorf("%s proxy, %s: %v", scheme, target, err)
			}
		}
		reach.CloseIdle()

		hosts := proxy.hosts()
		slices.Sort(hosts)
		if !slices.Equal(hosts, []string{"CONNECT 9.9.9.9:443", "CONNECT 9.9.9.9:80"}) {
			t.Errorf("%s proxy was asked for %v", scheme, hosts)
		}
		for _, request := range proxy.asked {
			if request.Header.Get("Proxy-Authorization") != "Basic Z3JhcG5lbDpwYTU1" {
				t.Errorf("%s proxy got the headers %v", scheme, request.Header)
			}
		}
	}
}

func TestEgressProxyTriesTheNextAddress(t *testing.T) {
	plain := serve(t, http.NotFoundHandler())
	proxy := &tunnels{network: &wires{to: map[string]string{"9.9.9.9:80": plain.Listener.Addr().String()}}}
	server := serve(t, proxy)
	proxyURL, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	reach := newReach(t, Options{EgressProxy: proxyURL, Resolver: names{"example.com": addrs("9.9.9.8", "9.9.9.9")}})
	conn, err := reach.DialContext(t.Context(), "tcp", "example.com:80")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if hosts := proxy.hosts(); !slices.Equal(hosts, []string{"CONNECT 9.9.9.8:80", "CONNECT 9.9.9.9:80"}) {
		t.Errorf("asked for %v", hosts)
	}

	_, err = reach.DialContext(t.Context(), "tcp", "9.9.9.8:80")
	if _, refused := errors.AsType[*RefusedError](err); refused || err == nil || !strings.Contains(err.Error(), "answered CONNECT with status 502") {
		t.Errorf("got %v", err)
	}
}

// answering gives connections to a proxy that reads the request and answers
// with a fixed text, then waits.
func answering(t *testing.T, answer string) *Reach {
	return newReach(t, Options{
		EgressProxy: &url.URL{Scheme: "http", Host: "proxy.example:3128"},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			if address != "proxy.example:3128" {
				t.Errorf("dialled %s", address)
			}
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				if _, err := far.Read(make([]byte, 4096)); err == nil {
					io.WriteString(far, answer)
					far.Read(make([]byte, 1))
				}
			}()
			return near, nil
		},
	})
}

func TestEgressProxyAnswers(t *testing.T) {
	for answer, says := range map[string]string{
		"HTTP/1.1 200 OK\r\n\r\n":                                     "",
		"HTTP/1.1 204 No Content\r\nX-Via: a\r\n\r\n":                 "",
		"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n":          "status 407",
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n":   "status 302",
		"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-early":                        "sent data before",
		"SSH-2.0-OpenSSH\r\n\r\n":                                     "cannot be read",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<10) + "\r": "cannot be read",
	} {
		conn, err := answering(t, answer).DialContext(t.Context(), "tcp", "9.9.9.9:443")
		if err == nil {
			conn.Close()
		}
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%.30q: %v", answer, err)
		}
	}
}

func TestSilentEgressProxyIsBounded(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		synctest.Test(t, func(t *testing.T) {
			var far net.Conn
			reach := newReach(t, Options{
				EgressProxy: &url.URL{Scheme: scheme, Host: "proxy.example"},
				RootCAs:     x509.NewCertPool(),
				Dial: func(context.Context, string, string) (near net.Conn, err error) {
					near, far = net.Pipe()
					go io.Copy(io.Discard, far)
					return near, nil
				},
			})
			began := time.Now()
			_, err := reach.DialContext(t.Context(), "tcp", "9.9.9.9:443")
			if took := time.Since(began); took != connectTimeout || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s proxy: it took %v: %v", scheme, took, err)
			}
			synctest.Wait() // the far end's copying stops only if the near end was closed
		})
	}
}

func TestTunnelOutlivesTheDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		reach := newReach(t, Options{
			EgressProxy: &url.URL{Scheme: "http", Host: "proxy.example"},
			Dial:        func(context.Context, string, string) (net.Conn, error) { return near, nil },
		})
		go func() {
			far.Read(make([]byte, 4096))
			io.WriteString(far, "HTTP/1.1 200 OK\r\n\r\n")
			<-time.After(time.Hour)
			io.WriteString(far, "late")
			far.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		conn, err := reach.DialContext(ctx, "tcp", "9.9.9.9:443")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if late, err := io.ReadAll(conn); string(late) != "late" || err != nil {
			t.Errorf("read %q, %v", late, err)
		}
		conn.Close()
	})
}

func TestEgressProxyURLs(t *testing.T) {
	for raw, address := range map[string]string{
		"http://proxy.example":              "proxy.example:80",
		"https://proxy.example/":            "proxy.example:443",
		"http://proxy.example:3128":         "proxy.example:3128",
		"http://[fd12::1]:3128":             "[fd12::1]:3128",
		"http://10.0.0.1":                   "10.0.0.1:80",
		"socks5://proxy.example":            "",
		"proxy.example:3128":                "",
		"http://":                           "",
		"http://:3128":                      "",
		"http://proxy.example:99999":        "",
		"http://proxy.example/path":         "",
		"http://proxy.example/?q":           "",
		"http://proxy.example/#f":           "",
		"http://user:pa55@proxy.example/no": "",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		dialled := ""
		reach, err := New(Options{EgressProxy: u, Dial: func(_ context.Context, _, to string) (net.Conn, error) {
			dialled = to
			return nil, errors.New("dialled")
		}})
		if address == "" {
			if err == nil || !strings.HasPrefix(err.Error(), "--egress-proxy ") || strings.Contains(err.Error(), "pa55") {
				t.Errorf("%s: %v", raw, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if _, err := reach.DialContext(t.Context(), "tcp", netip.AddrPortFrom(addrs("9.9.9.9")[0], 443).String()); err == nil || dialled != address {
			t.Errorf("%s: dialled %q", raw, dialled)
		}
	}
}
