package reach

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxPlain bounds the bodies that are written before the answer is read: a
// destination that answers first and reads later must not hold up both. The
// buffers on the way take more than that.
const maxPlain = 64 << 10

// Post is a POST that is made again and again, of different bodies. Its methods
// may be called from many goroutines.
type Post struct {
	reach  *Reach
	url    *url.URL
	header http.Header
	place  place
	head   []byte // the request up to the fields that are its own each time
}

// Field is a header field.
type Field struct{ Name, Value string }

// NewPost makes a Post to a URL, with the header fields that every request has
// besides those that say how it is sent. header must not be changed any more.
// The error is CheckURL's, or names a field that cannot be sent.
func (r *Reach) NewPost(uri string, header http.Header) (*Post, error) {
	u, err := r.parse(uri)
	if err != nil {
		return nil, err
	}
	p := &Post{reach: r, url: u, header: header, place: place{secure: u.Scheme == "https"}}
	port := u.Port()
	switch {
	case port != "":
	case p.place.secure:
		port = "443"
	default:
		port = "80"
	}
	p.place.address = net.JoinHostPort(u.Hostname(), port)
	for name, values := range header {
		if !isToken(name) || slices.ContainsFunc(values, unfit) {
			return nil, fmt.Errorf("the header %q cannot be sent: its name or its value holds what HTTP does not allow", name)
		}
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\n", u.RequestURI(), u.Host)
	if err := header.WriteSubset(&head, ours); err != nil {
		return nil, err
	}
	p.head = head.Bytes()
	return p, nil
}

// ours are the fields that say how a request is sent.
var ours = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true,
	"Connection": true, "Expect": true, "Upgrade": true,
}

// isToken reports whether text may name a field (RFC 9110 §5.6.2).
func isToken(text string) bool {
	for _, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return text != ""
}

// unfit reports whether text may not be a field's value (RFC 9110 §5.5).
func unfit(text string) bool {
	return strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// requests are buffers for requests that a Post has written.
var requests = sync.Pool{New: func() any { return new([]byte) }}

// Send makes one request, on connections that all of the Reach share, and
// returns the answer, whose body must be closed. It follows no redirect, asks
// for no compression and undoes none. Response headers are bounded to 64 KiB.
// All of it, the reading of the body too, ends at the deadline and with ctx; one
// context for many requests is better than one for each. fields are the request's
// own: tokens and visible characters alone. body is free for use when Send
// returns.
//
// Nothing is sent twice: after an error, the destination may have got it.
func (p *Post) Send(ctx context.Context, deadline time.Time, fields []Field, body []byte) (*http.Response, error) {
	if len(body) > maxPlain || p.place.secure && !p.reach.versions.old(p.place) {
		return p.sendAny(ctx, deadline, fields, body)
	}
	w, err := p.reach.pool.get(ctx, deadline, p.place)
	if err != nil {
		p.reach.versions.forget(p.place) // it may have ceased to speak HTTP/1.1
		return nil, err
	}
	buffer := requests.Get().(*[]byte)
	defer requests.Put(buffer)
	*buffer = p.append((*buffer)[:0], fields, body)
	return w.exchange(ctx, *buffer)
}

// append writes a request in HTTP/1.1.
func (p *Post) append(dst []byte, fields []Field, body []byte) []byte {
	dst = append(dst, p.head...)
	for _, f := range fields {
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}

// sendAny is Send by net/http, which speaks HTTP/2 too.
func (p *Post) sendAny(ctx context.Context, deadline time.Time, fields []Field, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	// net/http may still read the body when the answer is there.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "", bytes.NewReader(bytes.Clone(body)))
	if err != nil {
		cancel()
		return nil, err
	}
	request.URL, request.Host = p.url, p.url.Host
	for name, values := range p.header {
		if !ours[name] {
			request.Header[name] = values
		}
	}
	for _, f := range fields {
		request.Header[f.Name] = []string{f.Value}
	}
	response, err := p.reach.transport.RoundTrip(request)
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = cancelling{response.Body, cancel}
	switch {
	case !p.place.secure:
	case response.ProtoMajor == 1:
		p.reach.versions.remember(p.place)
	default:
		p.reach.versions.forget(p.place)
	}
	return response, nil
}

// cancelling is a body that ends its context when it is closed.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c cancelling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
