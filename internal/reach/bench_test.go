package reach

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// The guard works when a connection is dialled. On the pooled connections of
// a busy hook, a request must cost what net/http costs by itself, and a Post
// much less.
func BenchmarkKeepAlive(b *testing.B) {
	server := serve(b, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	plain := &http.Transport{DialContext: new(net.Dialer).DialContext, MaxIdleConnsPerHost: maxIdleConnsPerHost, DisableCompression: true}
	b.Cleanup(plain.CloseIdleConnections)
	guarded := newReach(b, Options{AllowHTTP: true, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	payload := bytes.Repeat([]byte("x"), 1300)
	for _, c := range []struct {
		name   string
		client *http.Client
	}{{"plain", &http.Client{Transport: plain}}, {"guarded", guarded.Client()}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL, bytes.NewReader(payload))
				if err != nil {
					b.Fatal(err)
				}
				response, err := c.client.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := ReadBody(response, 1024); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("post", func(b *testing.B) {
		p := newPost(b, guarded, server.URL, nil)
		b.ReportAllocs()
		for b.Loop() {
			response, err := p.Send(b.Context(), time.Now().Add(time.Minute), nil, payload)
			if err != nil {
				b.Fatal(err)
			}
			if _, _, err := ReadBody(response, 1024); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheckAddress(b *testing.B) {
	addr := netip.MustParseAddr("2606:4700:4700::1111")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := checkAddress("example.com", addr, nil); err != nil {
			b.Fatal(err)
		}
	}
}
