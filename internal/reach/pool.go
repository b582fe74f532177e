package reach

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// place is where a connection leads.
type place struct {
	address string // host:port
	secure  bool   // over TLS
}

// pool keeps idle HTTP/1.1 connections, within the same bounds as net/http's.
// The one used last is used next, so that those which are no longer needed age.
type pool struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config

	mu    sync.Mutex
	idle  map[place][]*wire // the oldest first
	ages  list.List         // of all that are idle, the oldest first
	timer *time.Timer       // set while there are any
}

func newPool(dial func(context.Context, string, string) (net.Conn, error), config *tls.Config) *pool {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return &pool{dial: dial, tls: config, idle: make(map[place][]*wire)}
}

// get takes an idle connection, or makes one. It fails at the deadline, which
// becomes the connection's, and ends with ctx.
func (p *pool) get(ctx context.Context, deadline time.Time, at place) (*wire, error) {
	for w := p.take(at); w != nil; w = p.take(at) {
		if w.watch(ctx) && w.probe.alive(deadline) {
			return w, nil
		}
		w.close()
	}
	making, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := p.connect(making, at)
	switch {
	case making.Err() != nil && err != nil:
		return nil, making.Err()
	case err != nil:
		return nil, err
	}
	w := newWire(conn, p, at)
	w.watch(ctx)
	if err := conn.SetDeadline(deadline); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// connect dials, and shakes hands where TLS is wanted.
func (p *pool) connect(ctx context.Context, at place) (net.Conn, error) {
	conn, err := p.dial(ctx, "tcp", at.address)
	if err != nil || !at.secure {
		return conn, err
	}
	config := p.tls.Clone()
	if config.ServerName, _, err = net.SplitHostPort(at.address); err != nil {
		conn.Close()
		return nil, err
	}
	secured := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, tlsHandshakeTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// take returns the connection used last, nil when none is idle.
func (p *pool) take(at place) *wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[at]
	if len(idle) == 0 {
		return nil
	}
	w := idle[len(idle)-1]
	idle[len(idle)-1] = nil
	p.forget(w, idle[:len(idle)-1])
	return w
}

// put keeps a connection for the next request.
func (p *pool) put(w *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.idle[w.place]) >= maxIdleConnsPerHost:
		w.close()
		return
	case p.ages.Len() >= maxIdleConns:
		p.closeOldest()
	}
	w.idleSince = time.Now()
	w.age = p.ages.PushBack(w)
	p.idle[w.place] = append(p.idle[w.place], w)
	if p.timer == nil {
		p.timer = time.AfterFunc(idleConnTimeout, p.sweep)
	}
}

// forget takes a connection off the list; left are the others to its place.
// p.mu is held.
func (p *pool) forget(w *wire, left []*wire) {
	p.ages.Remove(w.age)
	if len(left) == 0 {
		delete(p.idle, w.place)
	} else {
		p.idle[w.place] = left
	}
}

// closeOldest closes what has been idle longest. p.mu is held.
func (p *pool) closeOldest() {
	w := p.ages.Front().Value.(*wire)
	p.forget(w, p.idle[w.place][1:]) // the oldest of all is the oldest of its place
	w.close()
}

// sweep closes what has been idle for too long.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ages.Len() > 0 {
		age := time.Since(p.ages.Front().Value.(*wire).idleSince)
		if age < idleConnTimeout {
			p.timer = time.AfterFunc(idleConnTimeout-age, p.sweep)
			return
		}
		p.closeOldest()
	}
	p.timer = nil
}

// closeIdle closes what no request is using.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ages.Len() > 0 {
		p.closeOldest()
	}
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}
