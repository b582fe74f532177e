package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// answerTimeout bounds the wait for one answer, and so for the end of a load.
const answerTimeout = 30 * time.Second

// refusedPause is how long a connection rests after a 503.
const refusedPause = 20 * time.Millisecond

// loader is a closed loop over persistent connections: each sends its next
// event when the last one is answered.
type loader struct {
	ledger   *ledger
	requests []request
	conns    []net.Conn
	readers  []*bufio.Reader
}

func newLoader(ctx context.Context, to target, orgHost string, connections int, l *ledger) (*loader, error) {
	requests, err := newRequests(to, orgHost, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		return nil, err
	}
	g := &loader{ledger: l, requests: requests}
	for range connections {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.address)
		if err != nil {
			g.close()
			return nil, fmt.Errorf("the load generator cannot connect: %w", err)
		}
		g.conns = append(g.conns, conn)
		g.readers = append(g.readers, bufio.NewReaderSize(conn, maxHead))
	}
	return g, nil
}

func (g *loader) close() {
	for _, conn := range g.conns {
		conn.Close()
	}
}

// run sends for the duration, or until events have been taken if that is more
// than 0, whichever is first, and returns when all of it is answered.
func (g *loader) run(ctx context.Context, duration time.Duration, events int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := int64(len(g.ledger.sent))
	if events > 0 {
		limit = g.ledger.taken.Load() + events
	}
	end := time.Now().Add(duration)
	for _, conn := range g.conns {
		if err := conn.SetDeadline(end.Add(answerTimeout)); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, g.close)
	defer stop()
	var ended sync.WaitGroup
	for i := range g.conns {
		ended.Go(func() {
			if err := g.loop(ctx, i, end, limit); err != nil {
				cancel(err)
			}
		})
	}
	ended.Wait()
	return context.Cause(ctx)
}

func (g *loader) loop(ctx context.Context, connection int, end time.Time, limit int64) error {
	conn, reader, l := g.conns[connection], g.readers[connection], g.ledger
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	var out, in []byte
	for {
		now := time.Now()
		if !now.Before(end) {
			return nil
		}
		index, ok := l.take(limit)
		if !ok {
			return nil
		}
		out = g.requests[random.IntN(len(g.requests))].stamp(out, l.id, index, now, random)
		l.sent[index] = l.now()
		if _, err := conn.Write(out); err != nil {
			return fmt.Errorf("a request could not be sent: %w", err)
		}
		status, body, err := readResponse(reader, in)
		if err != nil {
			return fmt.Errorf("a request was not answered: %w", err)
		}
		in = body
		switch status {
		case http.StatusOK:
			l.acked[index] = l.now()
		case http.StatusServiceUnavailable:
			l.refused.Add(1)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(refusedPause):
			}
		default:
			return errors.New("a request was answered " + http.StatusText(status) + fmt.Sprintf(" (%d): %.200q", status, body))
		}
	}
}
