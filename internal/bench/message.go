package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxBody bounds one message's body in bytes; maxHead its first line and header.
const (
	maxHead = 16 << 10
	maxBody = 32 << 20
)

var errTooLong = fmt.Errorf("a message of over %d bytes", maxBody)

// head is what the sink and the loader need to know of an HTTP/1.1 message
// before its body (RFC 9112). first is valid until the next read.
type head struct {
	first   []byte // request or status line
	length  int    // of the body
	chunked bool   // the length is not known beforehand
	size    int    // of the head itself, its empty line included
}

// peekHead reads up to a message's body and consumes nothing, so that a
// message in any form but the plain one can still be given to net/http.
func peekHead(r *bufio.Reader) (head, error) {
	for {
		seen, _ := r.Peek(r.Buffered())
		if end := bytes.Index(seen, []byte("\r\n\r\n")); end >= 0 {
			return parseHead(seen[:end+2])
		}
		if _, err := r.Peek(len(seen) + 1); err != nil {
			if err == io.EOF && len(seen) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return head{}, err
		}
	}
}

// parseHead takes the head without its empty line.
func parseHead(text []byte) (head, error) {
	h := head{size: len(text) + 2, length: -1}
	h.first, text, _ = bytes.Cut(text, []byte("\r\n"))
	// A bare LF ends a line for net/http (RFC 9112 §2.2 lets it); nobody here sends one.
	if bytes.IndexByte(h.first, '\n') >= 0 {
		return head{}, fmt.Errorf("not a first line: %.80q", h.first)
	}
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || bytes.IndexByte(line, '\n') >= 0 {
			return head{}, fmt.Errorf("not a header line: %.80q", line)
		}
		// The lengths spare most lines a comparison.
		switch {
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
			if err != nil || h.length >= 0 {
				return head{}, fmt.Errorf("an unusable Content-Length: %.80q", value)
			}
			h.length = int(n)
		case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = true
		}
	}
	h.length = max(h.length, 0)
	if h.length > maxBody {
		return head{}, errTooLong
	}
	return h, nil
}

// readBody consumes a message with its head and returns the body, in buffer as
// far as it fits.
func readBody(r *bufio.Reader, h head, buffer []byte) ([]byte, error) {
	if _, err := r.Discard(h.size); err != nil {
		return buffer[:0], err
	}
	if cap(buffer) < h.length {
		buffer = make([]byte, h.length)
	}
	buffer = buffer[:h.length]
	_, err := io.ReadFull(r, buffer)
	return buffer, err
}

// readRequest returns which destination the next request is for, see
// parseDestination, and its body, in buffer as far as it fits. At the end of the
// connection it returns io.EOF.
func readRequest(r *bufio.Reader, buffer []byte) (destination int, body []byte, err error) {
	h, err := peekHead(r)
	if err != nil {
		return 0, buffer[:0], err
	}
	destination = parseDestination(h.first)
	if !h.chunked {
		body, err = readBody(r, h, buffer)
		return destination, body, err
	}
	request, err := http.ReadRequest(r)
	if err != nil {
		return 0, buffer[:0], err
	}
	defer request.Body.Close()
	body, err = readAll(request.Body)
	return destination, body, err
}

// parseDestination returns the number that is the path in a request line, -1 if
// it is none.
func parseDestination(line []byte) int {
	_, rest, _ := bytes.Cut(line, []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	number, found := bytes.CutPrefix(path, []byte("/"))
	n, err := strconv.ParseUint(string(number), 10, 16)
	if !found || err != nil {
		return -1
	}
	return int(n)
}

// readResponse returns the next response's status and its body, in buffer as
// far as it fits.
func readResponse(r *bufio.Reader, buffer []byte) (int, []byte, error) {
	h, err := peekHead(r)
	if err != nil {
		return 0, buffer[:0], err
	}
	// HTTP/1.1 SP 3DIGIT SP reason (RFC 9112 §4)
	const before = len("HTTP/1.1 ")
	if len(h.first) < before+3 || !bytes.HasPrefix(h.first, []byte("HTTP/1.")) {
		return 0, buffer[:0], fmt.Errorf("not an HTTP/1.1 answer: %.80q", h.first)
	}
	status, err := strconv.Atoi(string(h.first[before : before+3]))
	if err != nil || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
		return 0, buffer[:0], fmt.Errorf("an answer that the load generator does not expect: %.80q", h.first)
	}
	if !h.chunked {
		body, err := readBody(r, h, buffer)
		return status, body, err
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, buffer[:0], err
	}
	defer response.Body.Close()
	body, err := readAll(response.Body)
	return status, body, err
}

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errors.New("a body without a length that is too long")
	}
	return body, err
}
