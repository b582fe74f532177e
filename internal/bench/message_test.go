package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestReadRequest(t *testing.T) {
	for _, c := range []struct {
		name, in string
		bodies   []string
		err      error // nil for any but io.EOF
	}{
		{"none", "", nil, io.EOF},
		{"two on one connection", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\ncontent-length:  2 \r\n\r\nde", []string{"abc", "de"}, io.EOF},
		{"no body", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", []string{""}, io.EOF},
		{"chunked, then plain", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" +
			"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nf", []string{"abcde", "f"}, io.EOF},
		{"cut in the head", "POST / HTTP/1.1\r\nHo", nil, io.ErrUnexpectedEOF},
		{"cut in the body", "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na", nil, io.ErrUnexpectedEOF},
		{"an endless head", "POST / HTTP/1.1\r\nA: " + strings.Repeat("a", maxHead), nil, bufio.ErrBufferFull},
		{"too long", "POST / HTTP/1.1\r\nContent-Length: 33554433\r\n\r\n", nil, errTooLong},
		{"a negative length", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", nil, nil},
		{"two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", nil, nil},
		{"no colon", "POST / HTTP/1.1\r\nHost\r\n\r\n", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := bufio.NewReaderSize(strings.NewReader(c.in), maxHead)
			var buffer []byte
			for _, want := range c.bodies {
				_, body, err := readRequest(r, buffer)
				if err != nil || string(body) != want {
					t.Fatalf("%q, %v; want %q", body, err, want)
				}
				buffer = body
			}
			_, _, err := readRequest(r, buffer)
			if c.err != nil && !errors.Is(err, c.err) || err == nil || c.err == nil && err == io.EOF {
				t.Errorf("then %v, want %v", err, c.err)
			}
		})
	}
}

func TestReadResponse(t *testing.T) {
	for _, c := range []struct {
		in     string
		status int
		body   string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"},
		{"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, ""},
		{"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 503, "no"},
		{"HTTP/1.1 204 No Content\r\n\r\n", 0, ""},
		{"HTTP/1.1 100 Continue\r\n\r\n", 0, ""},
		{"HTTP/1.1 2x0 OK\r\n\r\n", 0, ""},
		{"HTTP/1.1\r\n\r\n", 0, ""},
		{"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, ""},
	} {
		status, body, err := readResponse(bufio.NewReaderSize(strings.NewReader(c.in), maxHead), nil)
		if status != c.status || string(body) != c.body || (err == nil) != (c.status != 0) {
			t.Errorf("%q: %d %q %v, want %d %q", c.in, status, body, err, c.status, c.body)
		}
	}
}

func TestParseDestination(t *testing.T) {
	for line, want := range map[string]int{
		"POST /0 HTTP/1.1": 0, "POST /99 HTTP/1.1": 99,
		"POST / HTTP/1.1": -1, "POST 7 HTTP/1.1": -1, "POST x7 HTTP/1.1": -1, "POST /-1 HTTP/1.1": -1, "POST /65536 HTTP/1.1": -1,
		"POST /1/2 HTTP/1.1": -1, "POST": -1, "": -1,
	} {
		if got := parseDestination([]byte(line)); got != want {
			t.Errorf("%q: %d, want %d", line, got, want)
		}
	}
}

// FuzzReadRequest holds the reader against net/http's: a request that both
// take has the same body, and what is left over is the same.
func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("POST /12 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nx"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n0\r\n\r\n"))
	f.Add([]byte("0 * HTTP/0.0\r\n\n:\r\n\r\n"))
	f.Add([]byte("0 * HTTP/0.0\n\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		ours := bufio.NewReaderSize(bytes.NewReader(in), maxHead)
		destination, body, err := readRequest(ours, nil)
		theirs := bufio.NewReaderSize(bytes.NewReader(in), maxHead)
		request, theirErr := http.ReadRequest(theirs)
		if err != nil || theirErr != nil {
			return
		}
		want, theirErr := io.ReadAll(request.Body)
		if theirErr != nil {
			return
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(request.RequestURI, "/"), 10, 16); err == nil && request.RequestURI[0] == '/' && destination != int(n) {
			t.Fatalf("%q: destination %d, want %d", in, destination, n)
		} else if err != nil && destination != -1 {
			t.Fatalf("%q: destination %d of %q", in, destination, request.RequestURI)
		}
		if !bytes.Equal(body, want) {
			t.Fatalf("%q: body %q, net/http's %q", in, body, want)
		}
		left, _ := io.ReadAll(ours)
		wantLeft, _ := io.ReadAll(theirs)
		if !bytes.Equal(left, wantLeft) {
			t.Fatalf("%q: left %q, net/http's %q", in, left, wantLeft)
		}
	})
}

// FuzzReadResponse is for what must hold of any answer: no panic, and a status
// that is one.
func FuzzReadResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		status, body, err := readResponse(bufio.NewReaderSize(bytes.NewReader(in), maxHead), nil)
		if err == nil && (status < 200 || status > 999 || len(body) > len(in)) {
			t.Fatalf("%q: %d with %d bytes", in, status, len(body))
		}
	})
}
