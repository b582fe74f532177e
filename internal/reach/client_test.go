package reach

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var exampleCom = names{"example.com": addrs("9.9.9.9")}

func TestClientSpeaksTLSToTheCheckedAddress(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server, roots := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Proto+" "+r.Host+" "+r.TLS.ServerName+" "+r.Header.Get("Accept-Encoding"))
		}), http2)
		network := &wires{to: map[string]string{"9.9.9.9:443": server.Listener.Addr().String()}}
		reach := newReach(t, Options{Resolver: exampleCom, Dial: network.dial, RootCAs: roots})
		for range 3 {
			response, err := get(t, reach.Client(), "https://example.com/in")
			if err != nil {
				t.Fatal(err)
			}
			body, _, err := ReadBody(response, 1024)
			want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2] + " example.com example.com "
			if string(body) != want || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
		}
		if dials := network.dials(); len(dials) != 1 || dials[0] != "9.9.9.9:443" {
			t.Errorf("dialled %v", dials)
		}
	}
}

func TestUntrustedAndOldServersFail(t *testing.T) {
	server, roots := serveTLS(t, http.NotFoundHandler(), false)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	network := &wires{to: map[string]string{
		"9.9.9.9:443":  server.Listener.Addr().String(),
		"9.9.9.9:8443": old.Listener.Addr().String(),
	}}
	resolver := names{"example.com": addrs("9.9.9.9"), "other.test": addrs("9.9.9.9")}
	trusting := newReach(t, Options{Resolver: resolver, Dial: network.dial, RootCAs: roots})
	systems := newReach(t, Options{Resolver: resolver, Dial: network.dial})

	if _, err := get(t, systems.Client(), "https://example.com/"); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a CA that nobody knows: %v", err)
	}
	if _, err := get(t, trusting.Client(), "https://other.test/"); err == nil || !strings.Contains(err.Error(), "not other.test") {
		t.Errorf("a certificate for another name: %v", err)
	}
	if _, err := get(t, trusting.Client(), "https://example.com:8443/"); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

func TestPlainHTTPNeedsPermission(t *testing.T) {
	server := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String()}}

	body := &closing{Reader: strings.NewReader("{}")}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/", body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newReach(t, Options{Resolver: exampleCom, Dial: network.dial}).Client().Do(request)
	if _, ok := errors.AsType[*RefusedError](err); !ok || len(network.dials()) > 0 {
		t.Errorf("without permission: %v, dialled %v", err, network.dials())
	}
	if !body.closed {
		t.Error("the body was left open")
	}

	response, err := get(t, newReach(t, Options{Resolver: exampleCom, Dial: network.dial, AllowHTTP: true}).Client(), "http://example.com/")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("with permission: %v", err)
	}
	response.Body.Close()
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestClientTellsRefusals(t *testing.T) {
	server := serve(t, http.NotFoundHandler())
	reach := newReach(t, Options{AllowHTTP: true, Resolver: names{"evil.example": addrs("127.0.0.1")}})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "evil.example", "[::ffff:127.0.0.1]", "0x7f.1", "１２７.0.0.1"} {
		_, err := get(t, reach.Client(), "http://"+host+":"+port)
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestRedirectsComeBackAsTheyAre(t *testing.T) {
	hits := make(chan string, 100)
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits <- r.URL.Path
		w.Header().Set("Location", r.URL.Query().Get("to"))
		status := map[string]int{"/301": 301, "/302": 302, "/303": 303, "/307": 307, "/308": 308}[r.URL.Path]
		w.WriteHeader(status)
		io.WriteString(w, "moved")
	}))
	network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String()}}
	client := newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial}).Client()
	tries := 0
	for _, path := range []string{"/301", "/302", "/303", "/307", "/308"} {
		for _, to := range []string{"/elsewhere", "http%3A%2F%2F127.0.0.1%2F", "%25zz", "http%3A%2F%2F%5B"} {
			tries++
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com"+path+"?to="+to, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Errorf("%s to %s: %v", path, to, err)
				continue
			}
			body, _, err := ReadBody(response, 100)
			if response.StatusCode/100 != 3 || string(body) != "moved" || err != nil {
				t.Errorf("%s to %s: %d %q, %v", path, to, response.StatusCode, body, err)
			}
		}
	}
	if len(hits) != tries {
		t.Errorf("%d requests arrived, %d were made", len(hits), tries)
	}
}

// net/http reads the environment once per process, so the request is made in
// a process of its own, which has the proxies in its environment from the start.
func TestEnvironmentProxiesAreIgnored(t *testing.T) {
	if trap := os.Getenv("http_proxy"); os.Getenv("GRAPNEL_TEST_PROXIED") != "" {
		requestBesideProxy(t, strings.TrimPrefix(trap, "http://"))
		return
	}
	trap := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the proxy got %s %s", r.Method, r.URL) }))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnvironmentProxiesAreIgnored$", "-test.v")
	child.Env = append(os.Environ(), "GRAPNEL_TEST_PROXIED=1", "NO_PROXY=", "no_proxy=")
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		child.Env = append(child.Env, name+"="+trap.URL)
	}
	if output, err := child.CombinedOutput(); err != nil || !strings.Contains(string(output), "--- PASS: TestEnvironmentProxiesAreIgnored") {
		t.Errorf("%v\n%s", err, output)
	}
}

func requestBesideProxy(t *testing.T, trap string) {
	server := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String(), trap: trap}}
	// A proxy would be dialled through the guard: let it through, to see it.
	options := Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	response, err := get(t, newReach(t, options).Client(), "http://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if dials := network.dials(); len(dials) != 1 || dials[0] != "9.9.9.9:80" {
		t.Errorf("dialled %v", dials)
	}
}

func TestResponseHeadersAreBounded(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server, roots := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				w.Header().Add("X-Padding", strings.Repeat("x", 10<<10))
			}
		}), http2)
		network := &wires{to: map[string]string{"9.9.9.9:443": server.Listener.Addr().String()}}
		reach := newReach(t, Options{Resolver: exampleCom, Dial: network.dial, RootCAs: roots})
		if response, err := get(t, reach.Client(), "https://example.com/"); err == nil {
			t.Errorf("HTTP/2 %v: 200 KiB of headers came through: %d", http2, response.StatusCode)
		}
	}
}

func TestHangingDestinationSlowsNobody(t *testing.T) {
	const hanging = 300 // above the idle connections per host, and above what one HTTP/2 connection takes
	for _, scheme := range []string{"http", "https"} {
		arrived, release := make(chan struct{}), make(chan struct{})
		unhang := sync.OnceFunc(func() { close(release) })
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				arrived <- struct{}{}
				<-release
			}
		})
		plain := serve(t, handler)
		secure, roots := serveTLS(t, handler, true)
		t.Cleanup(unhang) // before the servers are closed, which waits for the handlers
		network := &wires{to: map[string]string{
			"9.9.9.9:80":  plain.Listener.Addr().String(),
			"9.9.9.8:80":  plain.Listener.Addr().String(),
			"9.9.9.9:443": secure.Listener.Addr().String(),
			"9.9.9.8:443": secure.Listener.Addr().String(),
		}}
		resolver := names{"a.example.com": addrs("9.9.9.9"), "b.example.com": addrs("9.9.9.8")}
		client := newReach(t, Options{AllowHTTP: true, Resolver: resolver, Dial: network.dial, RootCAs: roots}).Client()

		done := make(chan error, hanging)
		for range hanging {
			go func() {
				response, err := get(t, client, scheme+"://a.example.com/hang")
				if err == nil {
					response.Body.Close()
				}
				done <- err
			}()
			select {
			case <-arrived:
			case err := <-done:
				t.Fatalf("%s: a request ended before it hung: %v", scheme, err)
			}
		}
		for _, host := range []string{"b.example.com", "a.example.com"} {
			response, err := get(t, client, scheme+"://"+host+"/")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
		}
		unhang()
		for range hanging {
			if err := <-done; err != nil {
				t.Errorf("%s: %v", scheme, err)
			}
		}
	}
}

// The pool forgets idle connections after 30 s, so a changed DNS answer is
// followed; in fake time, over an in-memory network.
func TestIdleConnectionsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := newMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
		reach := newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: memory.dial})
		fetch := func() {
			response, err := get(t, reach.Client(), "http://example.com/")
			if err != nil {
				t.Fatal(err)
			}
			if body, _, err := ReadBody(response, 10); string(body) != "ok" || err != nil {
				t.Fatalf("got %q, %v", body, err)
			}
			synctest.Wait()
		}
		for _, step := range []struct {
			pause time.Duration
			dials int
		}{{0, 1}, {idleConnTimeout - time.Second, 1}, {idleConnTimeout + time.Second, 2}} {
			<-time.After(step.pause)
			fetch()
			if memory.dials != step.dials {
				t.Errorf("after %v: dialled %d times, not %d", step.pause, memory.dials, step.dials)
			}
		}
		reach.CloseIdle()
		synctest.Wait()
		fetch()
		if memory.dials != 3 {
			t.Errorf("after CloseIdle: dialled %d times", memory.dials)
		}
	})
}
