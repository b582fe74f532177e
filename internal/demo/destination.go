package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// maxDelivery bounds what a destination reads, in bytes.
const maxDelivery = 32 << 20

// destination is one of the systems that want the org's events. It keeps books
// of its own.
type destination struct {
	listen  func(network, address string) (net.Listener, error)
	address string // host and port
	secret  string // that the gateway has to show

	serving sync.WaitGroup
	mu      sync.Mutex
	server  *http.Server // nil while it is down
	failing func() bool  // whether to answer 5xx this time; nil for never
	book    destinationBook
}

// destinationBook is what a destination knows of its own doing.
type destinationBook struct {
	got      map[uuid.UUID]uint32 // how often it took an event, which is to answer 200
	strange  int                  // calls without its secret, or that are no delivery of Okta's
	verified bool                 // it has answered a challenge
}

func newDestination(listen func(network, address string) (net.Listener, error), secret string) *destination {
	return &destination{listen: listen, secret: secret, book: destinationBook{got: make(map[uuid.UUID]uint32)}}
}

// half is true half the time, without a pattern.
func half() func() bool {
	random := rand.New(rand.NewPCG(orgSeed, 1))
	return func() bool { return random.IntN(2) == 0 }
}

// open starts to serve at address.
func (d *destination) open(address string) error {
	l, err := d.listen("tcp", address)
	if err != nil {
		return fmt.Errorf("a destination cannot listen: %w", err)
	}
	server := &http.Server{
		Handler: d, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	d.mu.Lock()
	d.address, d.server = l.Addr().String(), server
	d.mu.Unlock()
	d.serving.Go(func() { _ = server.Serve(l) }) // until it is closed
	return nil
}

// stayDown takes an address where connections are refused until open is called.
//
// The port lies below those that systems give to outgoing connections (32768
// and up on Linux, 49152 elsewhere): a gateway that keeps trying would else be
// given this very port some day, and so connect to itself.
func (d *destination) stayDown() error {
	for range 100 {
		l, err := d.listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err != nil {
			continue
		}
		d.address = l.Addr().String()
		return l.Close()
	}
	return errors.New("no port between 20000 and 30000 is free on 127.0.0.1")
}

// openLater opens after a while, or as soon as it can from then on.
func (d *destination) openLater(ctx context.Context, wait time.Duration) {
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if d.open(d.address) == nil {
			return
		}
		wait = time.Second // someone took the port; it may come free
	}
}

// up reports whether it serves.
func (d *destination) up() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.server != nil
}

func (d *destination) close() {
	d.mu.Lock()
	server := d.server
	d.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	d.serving.Wait()
}

// ServeHTTP answers the verification challenge and takes deliveries, as an
// endpoint written for Okta does.
func (d *destination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	right := r.Header.Get(authKey) == d.secret
	if challenge := r.Header.Get(okta.HeaderChallenge); r.Method == http.MethodGet && challenge != "" && right {
		d.mu.Lock()
		d.book.verified = true
		d.mu.Unlock()
		okta.WriteVerification(w, challenge)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
	if err != nil || !right || r.Method != http.MethodPost {
		w.WriteHeader(d.count(nil))
		return
	}
	delivery, err := okta.ParseDelivery(body)
	if err != nil {
		delivery = nil
	}
	w.WriteHeader(d.count(delivery))
}

// count enters a call in the books and returns the status to answer. nil is a
// call that is no delivery.
func (d *destination) count(delivery *okta.Delivery) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if delivery == nil || len(delivery.Events) == 0 || len(delivery.Rejected) > 0 {
		d.book.strange++
		return http.StatusBadRequest
	}
	if d.failing != nil && d.failing() {
		return http.StatusServiceUnavailable
	}
	for _, e := range delivery.Events {
		id, err := uuid.Parse(e.UUID)
		if err != nil {
			d.book.strange++
			continue
		}
		d.book.got[id]++
	}
	return http.StatusOK
}

// read returns a copy of the destination's books.
func (d *destination) read() destinationBook {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.book
	b.got = maps.Clone(b.got)
	return b
}
