package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// Bounds of the pool and of what a destination can make us hold. There is no
// bound on connections in use, on purpose: the callers bound their requests,
// and a queue here would let one hook's hanging destination delay another's.
const (
	maxIdleConns        = 1024
	maxIdleConnsPerHost = 128
	idleConnTimeout     = 30 * time.Second
	tlsHandshakeTimeout = 10 * time.Second
	maxResponseHeader   = 64 << 10

	// A single HTTP/2 connection carries all requests to its host, so a dead
	// one has to be noticed: after pingAfter without a frame it is asked, and
	// closed when no answer comes within pingTimeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
)

func newTransport(dial func(context.Context, string, string) (net.Conn, error), roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		ForceAttemptHTTP2:      true, // a DialContext of one's own turns it off otherwise
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true, // bodies are kept as they come, and cannot be inflated at our cost
		MaxResponseHeaderBytes: maxResponseHeader,
		MaxIdleConns:           maxIdleConns,
		MaxIdleConnsPerHost:    maxIdleConnsPerHost,
		IdleConnTimeout:        idleConnTimeout,
	}
}

// Client returns an HTTP client on the pool that all clients of r share. It
// follows no redirect: a 3xx comes back as it is. It asks for no compression
// and undoes none. It has no timeout of its own; every request needs a
// context with a deadline. Response headers are bounded to 64 KiB.
//
// A connection is checked when it is dialled and keeps its peer for life. A
// new DNS answer is followed once the pooled connections have closed, 30 s
// after their last use.
func (r *Reach) Client() *http.Client {
	return &http.Client{
		Transport:     guard{r},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CloseIdle closes the pooled connections that no request is using.
func (r *Reach) CloseIdle() {
	r.transport.CloseIdleConnections()
	r.pool.closeIdle()
}

// guard checks what the dialer cannot see: the scheme.
type guard struct{ *Reach }

func (g guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := g.checkScheme(request.URL); err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // nobody reads it any more
		}
		return nil, err
	}
	response, err := g.transport.RoundTrip(request)
	if err == nil && response.StatusCode/100 == 3 {
		dropUnreadableLocation(request, response)
	}
	return response, err
}

// dropUnreadableLocation keeps http.Client from turning a 3xx into an error:
// it parses Location before it asks whether to follow it.
func dropUnreadableLocation(request *http.Request, response *http.Response) {
	if _, err := request.URL.Parse(response.Header.Get("Location")); err != nil {
		response.Header.Del("Location")
	}
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (g guard) CloseIdleConnections() { g.CloseIdle() }
