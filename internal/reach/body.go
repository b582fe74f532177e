package reach

import (
	"io"
	"net/http"
)

// maxDrain bounds the bytes read only to get a connection back into the pool.
// Beyond it, a new connection is cheaper.
const maxDrain = 64 << 10

// ReadBody returns at most limit bytes of a response's body, whether there
// was more, and closes the body. What follows is read and thrown away if that
// keeps the connection for the next request and is not above 64 KiB. When an
// error ends the reading, the bytes that came before it are returned with it.
// How long it may take is up to the context of the request.
func ReadBody(response *http.Response, limit int64) (body []byte, truncated bool, err error) {
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if int64(len(body)) <= limit {
		return body, false, err
	}
	left := response.ContentLength - int64(len(body)) // below zero when the length is unknown
	// Closing an HTTP/2 body resets its stream and leaves the connection.
	if response.ProtoMajor == 1 && left <= maxDrain {
		// Whether the drain succeeds matters to the connection alone.
		_, _ = io.CopyN(io.Discard, response.Body, maxDrain)
	}
	return body[:limit], true, nil
}

// Discard closes a response's body that nobody wants. It reads and throws away
// up to 64 KiB of it, if that keeps the connection for the next request.
func Discard(response *http.Response) {
	defer response.Body.Close()
	if response.ContentLength == 0 || response.ContentLength > maxDrain {
		return
	}
	// Whether it succeeds matters to the connection alone.
	_, _ = io.CopyN(io.Discard, response.Body, maxDrain+1)
}
