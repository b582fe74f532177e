package reach

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

const (
	// connectTimeout bounds resolving and connecting, whatever the caller's
	// context allows: net/http goes on connecting after the request that
	// asked for it has given up, in a context without a deadline.
	connectTimeout = 15 * time.Second

	// addressTimeout bounds connecting to one address while there are others
	// left to try: time for a SYN and two repeats, and for four addresses.
	addressTimeout = 4 * time.Second
)

// DialContext resolves the host of address, checks every one of its IP
// addresses and connects to the first of them that answers. One refused
// address refuses the host: which of a name's addresses gets dialled must not
// depend on who answers faster. The network must be "tcp". It takes 15 s at
// most. The error is a *RefusedError, the resolver's, or the dialer's.
func (r *Reach) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("reach dials tcp only, not %q", network)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q is no number up to 65535", portText)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addrs, err := r.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	return r.dialFirst(ctx, addrs, uint16(port))
}

// resolve returns the checked addresses of host, at least one, in the
// resolver's order.
func (r *Reach) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	literal, err := parseHost(host)
	if err != nil {
		return nil, err
	}
	found := []netip.Addr{literal}
	if !literal.IsValid() {
		if found, err = r.resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
	}
	checked := make([]netip.Addr, len(found))
	for i, addr := range found {
		if checked[i], err = checkAddress(host, addr, r.allow); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func (r *Reach) dialFirst(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	var first error
	for i, addr := range addrs {
		limit := connectTimeout
		if i < len(addrs)-1 {
			limit = addressTimeout
		}
		conn, err := r.dialOne(ctx, netip.AddrPortFrom(addr, port), limit)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(addrs) > 1 {
		first = fmt.Errorf("none of %d addresses could be connected to; the first: %w", len(addrs), first)
	}
	return nil, first
}

func (r *Reach) dialOne(ctx context.Context, to netip.AddrPort, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return r.dial(ctx, "tcp", to.String())
}
