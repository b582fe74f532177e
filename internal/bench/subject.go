package bench

import (
	"context"
	"net"
)

const (
	relayName   = "relay"
	gatewayName = "gateway"
)

// subject is a process under test that is ready for a load.
type subject struct {
	*process
	target target
	api    adminAPI // of a gateway
	// site is where a gateway runs, nil for the relay; before is what its store
	// took before the gateway was started.
	site   *site
	before int64
	// leave tidies up while the process still runs, close after it has been stopped.
	leave func(ctx context.Context) error
	close func() error
}

// used is what the process has used, and the database that it works with.
func (s *subject) used() (usage, error) {
	u, err := usageOf(s.cmd.Process.Pid)
	if err != nil || s.site == nil || s.site.server == nil {
		return u, err
	}
	u.database, err = s.site.server.cpu()
	u.cpu += u.database
	return u, err
}

// grown is by how many bytes the store has grown; the process has been stopped.
func (s *subject) grown(ctx context.Context) (int64, error) {
	if s.site == nil {
		return 0, nil
	}
	after, err := s.site.size(ctx)
	return after - s.before, err
}

// starter starts a process that sends on what it gets to every one of the URLs.
// orgHost is the host of the envelope's source, different in every phase. What
// it returns is to be stopped even when there is an error too.
type starter func(ctx context.Context, urls []string, orgHost string) (*subject, error)

// stay is for what leaves nothing behind.
func stay(context.Context) error { return nil }

func (o *Options) startRelay(ctx context.Context, urls []string, _ string) (*subject, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, relayName, o.Executable, o.RelayArguments(address, urls))
	if err != nil {
		return nil, err
	}
	s := &subject{process: p, target: target{address: address, path: "/"}, leave: stay, close: func() error { return nil }}
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
