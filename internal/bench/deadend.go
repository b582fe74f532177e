package bench

import (
	"context"
	"net"
	"sync"
	"time"
)

// deadEnd is a destination that is down, seen from outside: whoever connects is
// cut off before it can say anything. It notes when it was tried first.
type deadEnd struct {
	listener net.Listener
	ended    sync.WaitGroup

	mu    sync.Mutex
	tried chan struct{} // closed at the first try
	at    time.Time     // of it
}

func startDeadEnd(ctx context.Context) (*deadEnd, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &deadEnd{listener: listener, tried: make(chan struct{})}
	d.ended.Go(d.run)
	return d, nil
}

func (d *deadEnd) run() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		if d.at.IsZero() {
			d.at = time.Now()
			close(d.tried)
		}
		d.mu.Unlock()
		conn.Close()
	}
}

func (d *deadEnd) url() string { return "http://" + d.listener.Addr().String() + "/" }

// forget makes the next try the first.
func (d *deadEnd) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.tried = time.Time{}, make(chan struct{})
}

// first waits for the first try, and returns when it was.
func (d *deadEnd) first(ctx context.Context) (time.Time, error) {
	d.mu.Lock()
	tried := d.tried
	d.mu.Unlock()
	select {
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	case <-tried:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, nil
}

func (d *deadEnd) stop() {
	d.listener.Close()
	d.ended.Wait()
}
