package test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// relayed is a listener that hands every connection on to somewhere else.
type relayed struct {
	listener net.Listener
	over     context.Context
	work     sync.WaitGroup
}

// newRelayed listens until the test ends.
func newRelayed(t testing.TB) *relayed {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(context.Background())
	r := &relayed{listener: listener, over: over}
	t.Cleanup(func() {
		end()
		listener.Close()
		r.work.Wait()
	})
	return r
}

// each has every connection served.
func (r *relayed) each(serve func(conn net.Conn)) {
	r.work.Go(func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.work.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(r.over, func() { conn.Close() })()
				serve(conn)
			})
		}
	})
}

func (r *relayed) addr() string { return r.listener.Addr().String() }

// join hands bytes on in both directions until either side ends. Before every
// piece it asks pass, which may take its time.
func (r *relayed) join(near, far net.Conn, pass func() bool) {
	defer context.AfterFunc(r.over, func() { far.Close() })()
	var both sync.WaitGroup
	pump := func(from, to net.Conn) {
		piece := make([]byte, 32<<10)
		for {
			n, err := from.Read(piece)
			if !pass() {
				break
			}
			if _, failed := to.Write(piece[:n]); err != nil || failed != nil {
				break
			}
		}
		from.Close()
		to.Close()
	}
	both.Go(func() { pump(near, far) })
	pump(far, near)
	both.Wait()
}

// balancer is a plain load balancer before the gateway's nodes: it gives each
// connection to the next node in turn that its health check finds well.
type balancer struct {
	*relayed
	mu      sync.Mutex
	members []*member
	turn    int
}

type member struct {
	address string // "" while there is none
	well    bool
}

// Health checks of a balancer, as of many real ones but for being more frequent.
const (
	checkEvery = 250 * time.Millisecond
	checkFor   = time.Second
)

func newBalancer(t testing.TB, members int) *balancer {
	b := &balancer{relayed: newRelayed(t)}
	for range members {
		b.members = append(b.members, &member{})
	}
	b.each(func(conn net.Conn) {
		if far := b.dial(); far != nil {
			defer far.Close()
			b.join(conn, far, func() bool { return true })
		}
	})
	for n := range members {
		b.work.Go(func() { b.check(n) })
	}
	return b
}

// place tells where a node is, "" when nobody knows.
func (b *balancer) place(n int, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*b.members[n] = member{address: address}
}

// dial connects to the next node, nil if to none.
func (b *balancer) dial() net.Conn {
	for range b.members {
		b.mu.Lock()
		m := *b.members[b.turn%len(b.members)]
		b.turn++
		b.mu.Unlock()
		if !m.well {
			continue
		}
		if conn, err := net.DialTimeout("tcp", m.address, checkFor); err == nil {
			return conn
		}
	}
	return nil
}

// check asks a node again and again whether it is alive.
func (b *balancer) check(n int) {
	client := http.Client{Timeout: checkFor, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-b.over.Done():
			return
		}
		b.mu.Lock()
		address := b.members[n].address
		b.mu.Unlock()
		if address == "" {
			continue
		}
		response, err := client.Get("http://" + address + "/livez")
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		b.mu.Lock()
		if m := b.members[n]; m.address == address {
			m.well = err == nil && response.StatusCode == http.StatusOK
		}
		b.mu.Unlock()
	}
}

// wellMembers counts the nodes that the balancer sends to.
func (b *balancer) wellMembers() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.members {
		if m.well {
			n++
		}
	}
	return n
}

// cable is the network between a node and a server of the database. While it is
// cut, what either sends neither arrives nor is refused, and what was sent
// arrives when it is whole again.
type cable struct {
	*relayed
	mu    sync.Mutex
	whole chan struct{} // closed while it is
}

func newCable(t testing.TB, to string) *cable {
	c := &cable{relayed: newRelayed(t), whole: make(chan struct{})}
	close(c.whole)
	c.each(func(conn net.Conn) {
		if !c.pass() {
			return
		}
		if far, err := net.Dial("tcp", to); err == nil {
			defer far.Close()
			c.join(conn, far, c.pass)
		}
	})
	return c
}

// pass waits until the cable is whole; false when it will not be any more.
func (c *cable) pass() bool {
	c.mu.Lock()
	whole := c.whole
	c.mu.Unlock()
	select {
	case <-whole:
		return true
	case <-c.over.Done():
		return false
	}
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = make(chan struct{})
}

func (c *cable) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.whole)
}

func TestBalancerAndCables(t *testing.T) {
	answer := func(name string) *http.Server {
		return &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name) })}
	}
	b := newBalancer(t, 2)
	var cables []*cable
	for n, name := range []string{"one", "two"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := answer(name)
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { server.Close() })
		c := newCable(t, listener.Addr().String())
		cables = append(cables, c)
		b.place(n, c.addr())
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	said := func() map[string]int {
		names := make(map[string]int)
		for range 4 {
			response, err := client.Get("http://" + b.addr())
			if err != nil {
				t.Fatal(err)
			}
			name, _ := io.ReadAll(response.Body)
			response.Body.Close()
			names[string(name)]++
		}
		return names
	}
	until(t, "both are well", func() bool { return b.wellMembers() == 2 })
	if names := said(); names["one"] != 2 || names["two"] != 2 {
		t.Errorf("the balancer asked %v", names)
	}
	cables[0].cut()
	asked := make(chan string, 1)
	go func() {
		response, err := client.Get("http://" + cables[0].addr())
		if err != nil {
			asked <- err.Error()
			return
		}
		defer response.Body.Close()
		name, _ := io.ReadAll(response.Body)
		asked <- string(name)
	}()
	until(t, "the one that is cut off is not asked", func() bool { return b.wellMembers() == 1 })
	if names := said(); names["two"] != 4 {
		t.Errorf("the balancer asked %v", names)
	}
	select {
	case name := <-asked:
		t.Errorf("a cable that is cut has answered: %s", name)
	default:
	}
	cables[0].heal()
	if name := <-asked; name != "one" {
		t.Errorf("after the cut: %s", name)
	}
	until(t, "both are well again", func() bool { return b.wellMembers() == 2 })
}
