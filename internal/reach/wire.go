package reach

import (
	"bufio"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// maxInterim bounds the 1xx answers that may come before the real one.
const maxInterim = 5

// ErrAnswer says that what a destination answered is not HTTP that can be read.
var ErrAnswer = errors.New("the answer is not usable HTTP")

var errLongHead = fmt.Errorf("%w: its header is longer than %d KiB", ErrAnswer, maxResponseHeader>>10)

// wire is a connection that speaks HTTP/1.1. One goroutine writes a request and
// reads its answer; net/http has two more for every connection, and handing the
// work from one to the next costs more than the work.
type wire struct {
	conn   net.Conn
	probe  *probe
	pool   *pool
	place  place
	reader *bufio.Reader // reads through Read
	room   int           // bytes that the answer's head may still have, below zero for no limit
	failed error         // what reading has failed with

	watched <-chan struct{} // of the context that ends the connection
	unwatch func() bool

	// The pool's own, while it is there.
	idleSince time.Time
	age       *list.Element
}

func newWire(conn net.Conn, p *pool, at place) *wire {
	w := &wire{conn: conn, probe: newProbe(conn), pool: p, place: at}
	w.reader = bufio.NewReader(w)
	return w
}

// Read reads from the connection, but no more of a head than it may have.
func (w *wire) Read(b []byte) (n int, err error) {
	switch {
	case w.room == 0:
		err = errLongHead
	case w.room > 0:
		n, err = w.conn.Read(b[:min(len(b), w.room)])
		w.room -= n
	default:
		n, err = w.conn.Read(b)
	}
	if err != nil {
		w.failed = err
	}
	return n, err
}

// watch makes the connection end with ctx. Requests come with the same context
// again and again, so it stays watched while the connection is idle. ok is false
// when an earlier context has ended the connection.
func (w *wire) watch(ctx context.Context) (ok bool) {
	done := ctx.Done()
	if done == w.watched {
		return true
	}
	if w.unwatch != nil && !w.unwatch() {
		return false
	}
	w.watched, w.unwatch = done, context.AfterFunc(ctx, func() { w.conn.Close() })
	return true
}

func (w *wire) close() {
	if w.unwatch != nil {
		w.unwatch()
	}
	w.conn.Close()
}

// exchange writes a request and returns its answer up to the body, which must be
// closed. All of it, the body too, ends at the connection's deadline, and with the
// ctx it watches.
func (w *wire) exchange(ctx context.Context, request []byte) (*http.Response, error) {
	a := &answer{wire: w, ctx: ctx}
	_, unsent := w.conn.Write(request)
	// A destination may answer before it has read everything, and hang up.
	response, err := w.answer()
	if err != nil {
		w.close()
		if unsent != nil {
			err = unsent // it came first
		}
		return nil, a.why(err)
	}
	a.reusable = unsent == nil && !response.Close && response.StatusCode != http.StatusSwitchingProtocols
	a.body, response.Body = response.Body, a
	if a.body == http.NoBody {
		a.end(true)
	}
	return response, nil
}

// answer reads the head of the first answer that is not interim.
func (w *wire) answer() (*http.Response, error) {
	w.room, w.failed = maxResponseHeader, nil
	for range maxInterim + 1 {
		response, err := http.ReadResponse(w.reader, nil)
		switch {
		case err == nil && response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols:
		case err == nil:
			w.room = -1
			return response, nil
		case w.failed != nil && !errors.Is(w.failed, io.EOF): // what is cut off may look malformed
			return nil, w.failed
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, err
		default:
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
	}
	return nil, fmt.Errorf("%w: more than %d interim answers", ErrAnswer, maxInterim)
}

// answer is the body of a response, and what is to become of its connection.
type answer struct {
	wire     *wire
	ctx      context.Context
	body     io.Reader
	reusable bool // the connection, once the body has been read
	ended    bool
}

var errBodyClosed = errors.New("the response's body is closed")

// Read reads the body. With its end it lets go of the connection.
func (a *answer) Read(b []byte) (int, error) {
	switch {
	case a.body == http.NoBody:
		return 0, io.EOF
	case a.ended:
		return 0, errBodyClosed
	}
	n, err := a.body.Read(b)
	switch {
	case errors.Is(err, io.EOF):
		a.end(true)
	case err != nil:
		a.end(false)
		err = a.why(err)
	}
	return n, err
}

// Close ends the exchange. The connection goes with what has not been read.
func (a *answer) Close() error {
	a.end(false)
	return nil
}

// end lets go of the connection, which serves another request when the answer
// was read to its end.
func (a *answer) end(read bool) {
	if a.ended {
		return
	}
	a.ended = true
	if read && a.reusable && a.wire.reader.Buffered() == 0 {
		a.wire.pool.put(a.wire)
	} else {
		a.wire.close()
	}
}

// why says that the time was up, or the context ended, when that is why the
// connection failed.
func (a *answer) why(err error) error {
	switch {
	case a.ctx.Err() != nil:
		return a.ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	default:
		return err
	}
}
