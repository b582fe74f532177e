package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

// starter starts a process that sends on what it gets to the sink at address.
// orgHost is the host of the envelope's source, different in every phase. What
// it returns is to be stopped even when there is an error too.
type starter func(ctx context.Context, sinkAddress, orgHost string) (*subject, error)

func (o *Options) startRelay(ctx context.Context, sinkAddress, _ string) (*subject, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, relayName, o.Executable, o.RelayArguments(address, "http://"+sinkAddress+"/"), nil)
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

// startGateway starts `grapnel serve` on a store of its own and sets it up
// with one source and one event hook, through the API as anyone would.
func (o *Options) startGateway(ctx context.Context, sinkAddress, orgHost string) (*subject, error) {
	listen, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	token := rand.Text()
	env := []string{"GRAPNEL_ADMIN_TOKEN=" + token}
	store, tidy := o.Store, func() error { return nil }
	if store == "" {
		dir, err := os.MkdirTemp(o.Dir, "grapnel-bench-")
		if err != nil {
			return nil, fmt.Errorf("no directory for the store can be made; name another with --dir: %w", err)
		}
		store, tidy = "sqlite:"+filepath.Join(dir, "grapnel.db"), func() error { return os.RemoveAll(dir) }
		key := make([]byte, 32)
		rand.Read(key)
		env = append(env, "GRAPNEL_SECRET_KEY="+base64.StdEncoding.EncodeToString(key))
	} else if key, ok := os.LookupEnv("GRAPNEL_SECRET_KEY"); ok {
		env = append(env, "GRAPNEL_SECRET_KEY="+key)
	}
	p, err := startProcess(ctx, gatewayName, o.Executable, []string{
		"serve", "--listen", listen, "--admin-listen", admin, "--store", store,
		"--allow-destination", "127.0.0.0/8", "--allow-http",
	}, env)
	if err != nil {
		return nil, errors.Join(err, tidy())
	}
	s := &subject{process: p, close: tidy}
	api := adminAPI{base: "http://" + admin, token: token}
	if err := s.untilReady(ctx, func(ctx context.Context) error {
		return api.call(ctx, http.MethodGet, "/readyz", nil)
	}); err != nil {
		return s, err
	}
	name := "bench-" + orgHost[:8]
	secret := rand.Text()
	s.target = target{address: listen, path: "/in/" + name, secret: secret}
	return s, api.setUp(ctx, name, secret, "http://"+sinkAddress+"/")
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

// adminAPI is the gateway's admin listener.
type adminAPI struct {
	base, token string
}

// setUp makes a source and an event hook of it that needs no handshake.
func (a adminAPI) setUp(ctx context.Context, name, secret, uri string) error {
	type object = map[string]any
	err := a.call(ctx, http.MethodPost, "/v1/sources", object{
		"name": name,
		"auth": object{"key": "Authorization", "value": secret},
	})
	if err != nil {
		return err
	}
	items := make([]string, len(eventTypes))
	for i, t := range eventTypes {
		items[i] = t[0]
	}
	return a.call(ctx, http.MethodPost, "/api/v1/eventHooks", object{
		"name":   name,
		"events": object{"type": "EVENT_TYPE", "items": items},
		"channel": object{"type": "HTTP", "version": "1.0.0", "config": object{
			"uri":        uri,
			"authScheme": object{"type": "HEADER", "key": "Authorization", "value": secret},
		}},
		"delivery": object{"verification": "none", "concurrency": relayWorkers, "sources": []string{name}},
	})
}

func (a adminAPI) call(ctx context.Context, method, path string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "SSWS "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the gateway answered %s to %s %s: %s", resp.Status, method, path, answer)
	}
	return nil
}
