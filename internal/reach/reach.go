// Package reach is the one guarded way out. It owns the decision which
// addresses Grapnel may connect to and the connections themselves: every name
// is resolved here, every address it has is checked here, and the address
// checked is the address dialled. What travels over a connection, how often
// it is tried and how long it may take belong to the callers: deliver/webhook,
// inline, systemlog and alert.
//
// The guard holds against people who may save a hook but not the command
// line. It knows no NAT64 prefix other than the well-known one: on a network
// with a prefix of its own, the translator must keep private addresses out.
package reach

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// Resolver looks up the addresses of a host; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a Reach. The zero value reaches public addresses over
// HTTPS, without a proxy.
type Options struct {
	// Allow lists destinations that are let through although they lie in a
	// special-purpose range. Allowing 64:ff9b::/96 (NAT64) allows only those
	// of its addresses whose IPv4 address would be allowed by itself.
	Allow []netip.Prefix

	// AllowHTTP lets plain http:// through.
	AllowHTTP bool

	// EgressProxy is the http:// or https:// URL of a proxy through which all
	// connections go, by CONNECT to the checked address and port, for
	// http:// destinations too. Its user and password, if any, are sent as
	// Basic credentials. The proxy's own address is not checked. Proxies in
	// the environment are always ignored.
	EgressProxy *url.URL

	// Resolver resolves destinations; nil is net.DefaultResolver.
	Resolver Resolver

	// Dial opens connections to "address:port", or to "name:port" for the
	// egress proxy; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// RootCAs verify destinations and the egress proxy; nil is the system's.
	RootCAs *x509.CertPool
}

// Reach makes guarded connections. It is safe for concurrent use.
type Reach struct {
	allow     []netip.Prefix
	allowHTTP bool
	resolver  Resolver
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	transport *http.Transport // for HTTP/2, and for what is not sent by a Post
	pool      *pool           // for HTTP/1.1
	versions  versions
}

// New checks the options and makes a Reach with a pool of its own. It opens
// no connection.
func New(options Options) (*Reach, error) {
	r := &Reach{allowHTTP: options.AllowHTTP, resolver: options.Resolver, dial: options.Dial}
	for _, prefix := range options.Allow {
		prefix, err := plainPrefix(prefix)
		if err != nil {
			return nil, err
		}
		r.allow = append(r.allow, prefix)
	}
	if r.resolver == nil {
		r.resolver = net.DefaultResolver
	}
	if r.dial == nil {
		r.dial = new(net.Dialer).DialContext
	}
	if options.EgressProxy != nil {
		proxy, err := newProxy(options.EgressProxy, r.dial, options.RootCAs)
		if err != nil {
			return nil, fmt.Errorf("--egress-proxy %w", err)
		}
		r.dial = proxy.dialContext
	}
	r.transport = newTransport(r.DialContext, options.RootCAs)
	r.pool = newPool(r.DialContext, r.transport.TLSClientConfig)
	return r, nil
}
