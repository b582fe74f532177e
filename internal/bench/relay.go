package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	relayWorkers = 64
	// relayQueue is how many forwardings may wait for a worker; a full queue holds
	// the answers back.
	relayQueue = 64
)

// Relay is the yardstick: it reads a body, answers 200 and sends the body on to
// every destination, storing nothing. It is written as one would write it in an
// afternoon with net/http, neither tuned nor hampered, so that the ratio says
// what keeping, deduplicating, routing and retrying cost.
type Relay struct {
	to      []string
	queue   chan forwarding
	client  *http.Client
	workers sync.WaitGroup
}

// forwarding is one body owed to one destination.
type forwarding struct {
	to   string
	body []byte
}

// NewRelay starts the workers of a relay that forwards to the URLs to; without
// any it is a handler that reads and answers.
func NewRelay(to []string) *Relay {
	transport := &http.Transport{MaxIdleConns: relayWorkers, MaxIdleConnsPerHost: relayWorkers, IdleConnTimeout: time.Minute}
	r := &Relay{
		to:     to,
		queue:  make(chan forwarding, relayQueue),
		client: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}
	for range relayWorkers {
		r.workers.Go(func() {
			for f := range r.queue {
				if err := r.forward(f); err != nil {
					slog.Error("the relay lost a delivery", "error", err)
				}
			}
		})
	}
	return r
}

func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, to := range r.to {
		r.queue <- forwarding{to, body}
	}
	w.WriteHeader(http.StatusOK)
}

func (r *Relay) forward(f forwarding) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, f.to, bytes.NewReader(f.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the destination answered %s", resp.Status)
	}
	return nil
}

// Close forwards what is queued and ends the workers. No request may be in
// progress, and none may follow.
func (r *Relay) Close() {
	close(r.queue)
	r.workers.Wait()
	r.client.CloseIdleConnections()
}

// ServeRelay listens on address and relays to the URLs to until ctx ends.
func ServeRelay(ctx context.Context, address string, to []string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the relay cannot listen: %w", err)
	}
	relay := NewRelay(to)
	server := &http.Server{Handler: relay, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("the relay still had requests in progress: %w", err)
	}
	relay.Close()
	return nil
}
