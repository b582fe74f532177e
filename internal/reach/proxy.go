package reach

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxConnectAnswer bounds the head of a proxy's answer to CONNECT, in bytes.
const maxConnectAnswer = 16 << 10

// proxy opens tunnels by CONNECT (RFC 9110 §9.3.6). It is given checked
// addresses only, so it never resolves a destination's name.
type proxy struct {
	address string // host:port
	tls     *tls.Config
	header  http.Header
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

func newProxy(u *url.URL, dial func(context.Context, string, string) (net.Conn, error), roots *x509.CertPool) (*proxy, error) {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("must be an http:// or https:// URL with a host, like http://proxy.example.com:3128")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("must have neither path, query nor fragment; write it like http://proxy.example.com:3128")
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	p := &proxy{dial: dial, header: http.Header{"User-Agent": {"Grapnel"}}}
	port := u.Port()
	if u.Scheme == "https" {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: u.Hostname()}
		if port == "" {
			port = "443"
		}
	} else if port == "" {
		port = "80"
	}
	p.address = net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		password, _ := u.User.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		p.header.Set("Proxy-Authorization", "Basic "+credentials)
	}
	return p, nil
}

func (p *proxy) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := p.dial(ctx, network, p.address)
	if err != nil {
		return nil, fmt.Errorf("egress proxy: %w", err)
	}
	tunnel, err := p.connect(ctx, conn, address)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("egress proxy, asked for %s: %w", address, err)
	}
	return tunnel, nil
}

// connect speaks to the proxy on conn until the tunnel stands or ctx ends.
// After an error the caller closes conn.
func (p *proxy) connect(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	tunnel := conn
	if p.tls != nil {
		tunnel = tls.Client(conn, p.tls) // shakes hands at the first write
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := p.ask(tunnel, address)
	if !stop() { // the deadline is set, or about to be
		return nil, ctx.Err()
	}
	return tunnel, err
}

func (p *proxy) ask(conn net.Conn, address string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: p.header}
	if err := request.Write(conn); err != nil {
		return err
	}
	reader := bufio.NewReader(io.LimitReader(conn, maxConnectAnswer))
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return fmt.Errorf("its answer to CONNECT cannot be read: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("it answered CONNECT with status %d", response.StatusCode)
	}
	if reader.Buffered() > 0 {
		return errors.New("it sent data before the destination was spoken to")
	}
	return nil
}
