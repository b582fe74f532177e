package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

// memory is a network in memory, for fake time.
type memory struct {
	mu        sync.Mutex
	listeners map[string]*listener
	last      int // port given out
}

func newMemory() *memory { return &memory{listeners: make(map[string]*listener), last: 40_000} }

func (m *memory) network() *app.Network { return &app.Network{Listen: m.Listen, Dial: m.Dial} }

type listener struct {
	memory *memory
	addr   address
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

func (m *memory) Listen(_, addr string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if host, free := strings.CutSuffix(addr, ":0"); free {
		m.last++
		addr = fmt.Sprintf("%s:%d", host, m.last)
	}
	if m.listeners[addr] != nil {
		return nil, fmt.Errorf("address %s is in use", addr)
	}
	l := &listener{memory: m, addr: address(addr), conns: make(chan net.Conn), closed: make(chan struct{})}
	m.listeners[addr] = l
	return l, nil
}

func (m *memory) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	m.mu.Lock()
	l := m.listeners[addr]
	m.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr), Err: errors.New("connection refused")}
	if l == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.memory.mu.Lock()
		delete(l.memory.listeners, string(l.addr))
		l.memory.mu.Unlock()
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }
