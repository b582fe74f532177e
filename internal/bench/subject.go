package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	relayName   = "relay"
	gatewayName = "gateway"

	// readyTimeout bounds the start of a process under test.
	readyTimeout = 30 * time.Second
)

// subject is a process under test that is ready for a load.
type subject struct {
	*process
	target target
	// close tidies up after the process has been stopped.
	close func() error
}

// starter starts a process that sends on what it gets to every one of the URLs.
// orgHost is the host of the envelope's source, different in every phase. What
// it returns is to be stopped even when there is an error too.
type starter func(ctx context.Context, urls []string, orgHost string) (*subject, error)

func (o *Options) startRelay(ctx context.Context, urls []string, _ string) (*subject, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, relayName, o.Executable, o.RelayArguments(address, urls), nil)
	if err != nil {
		return nil, err
	}
	s := &subject{process: p, target: target{address: address, path: "/"}, close: func() error { return nil }}
	return s, s.untilReady(ctx, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// freeAddress finds a port of 127.0.0.1 that nothing listens on. Another
// process may take it first; then the one it was meant for says so.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// untilReady asks until ready returns nil, the process ends, or time is up.
func (s *subject) untilReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-s.ended.Done():
			return errors.New("it did not start")
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w", last)
		case <-tick.C:
		}
	}
}
