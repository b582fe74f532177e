package reach

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestReadBody(t *testing.T) {
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.URL.Query().Get("size"))
		if err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		} else {
			w.(http.Flusher).Flush() // chunked
		}
		io.WriteString(w, strings.Repeat("x", size))
	}))
	const limit = 16 << 10
	for _, c := range []struct {
		path   string
		size   int
		reused bool
	}{
		{"/length", 0, true},
		{"/length", 10, true},
		{"/length", limit, true},
		{"/length", limit + 1, true},
		{"/length", limit + maxDrain, true},
		{"/length", limit + 2 + maxDrain, false},
		{"/length", 10 << 20, false},
		{"/chunked", 0, true},
		{"/chunked", 10, true},
		{"/chunked", limit, true},
		{"/chunked", limit + 1, true},
		{"/chunked", limit + maxDrain/2, true},
		{"/chunked", limit + 2*maxDrain, false},
	} {
		name := c.path + " " + strconv.Itoa(c.size)
		network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String()}}
		client := newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial}).Client()
		for range 2 {
			response, err := get(t, client, "http://example.com"+c.path+"?size="+strconv.Itoa(c.size))
			if err != nil {
				t.Fatal(err)
			}
			body, truncated, err := ReadBody(response, limit)
			if err != nil || len(body) != min(c.size, limit) || truncated != (c.size > limit) {
				t.Errorf("%s: %d bytes, truncated %v, %v", name, len(body), truncated, err)
			}
			if _, err := response.Body.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: the body is still open", name)
			}
		}
		if dials := len(network.dials()); (dials == 1) != c.reused {
			t.Errorf("%s: %d connections for two requests", name, dials)
		}
	}
}

// What is not wanted is read only as far as that keeps the connection.
func TestDiscard(t *testing.T) {
	for _, c := range []struct{ length, read int64 }{
		{0, 0}, {1, 1}, {maxDrain, maxDrain}, {maxDrain + 1, 0}, {-1, maxDrain + 1},
	} {
		offered := c.length
		if offered < 0 {
			offered = 1 << 20
		}
		left := &io.LimitedReader{R: zeros{}, N: offered}
		body := &closing{Reader: left}
		Discard(&http.Response{ProtoMajor: 1, ContentLength: c.length, Body: body})
		if read := offered - left.N; read != c.read || !body.closed {
			t.Errorf("length %d: read %d, not %d; closed %v", c.length, read, c.read, body.closed)
		}
	}
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, strings.Repeat("x", 1000))
	}))
	network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String()}}
	r := newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial})
	for range 2 {
		for _, path := range []string{"/length", "/chunked"} {
			response, err := newPost(t, r, "http://example.com"+path, nil).Send(t.Context(), time.Now().Add(time.Minute), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			Discard(response)
		}
	}
	if dials := network.dials(); len(dials) != 1 {
		t.Errorf("%d connections", len(dials))
	}
}

// Nothing is read that cannot save the connection.
func TestReadBodyDrainsOnlyWhenItPays(t *testing.T) {
	for _, c := range []struct {
		proto  int
		length int64
		read   int64
	}{
		{1, 100, 100},
		{1, -1, 11 + maxDrain},
		{1, 11 + maxDrain, 11 + maxDrain},
		{1, 12 + maxDrain, 11},
		{2, 100, 11},
	} {
		offered := c.length
		if offered < 0 {
			offered = 1 << 20
		}
		left := &io.LimitedReader{R: zeros{}, N: offered}
		body, truncated, err := ReadBody(&http.Response{ProtoMajor: c.proto, ContentLength: c.length, Body: io.NopCloser(left)}, 10)
		if read := offered - left.N; len(body) != 10 || !truncated || err != nil || read != c.read {
			t.Errorf("HTTP/%d, length %d: read %d, not %d; %v", c.proto, c.length, read, c.read, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReadBodyKeepsWhatCameBeforeAnError(t *testing.T) {
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
	}))
	network := &wires{to: map[string]string{"9.9.9.9:80": server.Listener.Addr().String()}}
	client := newReach(t, Options{AllowHTTP: true, Resolver: exampleCom, Dial: network.dial}).Client()

	response, err := get(t, client, "http://example.com/cut")
	if err != nil {
		t.Fatal(err)
	}
	if body, _, err := ReadBody(response, 100); string(body) != "some" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %q, %v", body, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://example.com/drip", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err = client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	// Cancelled once the first bytes are here: the rest never comes.
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(response.Body, 4), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }), response.Body), response.Body}
	if body, _, err := ReadBody(response, 100); string(body) != "some" || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %q, %v", body, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
