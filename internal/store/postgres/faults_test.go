package postgres

import (
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// TestConnectionBreaks breaks the connection of every operation in its midst, and
// looks whether anything is half done.
func TestConnectionBreaks(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	ctx := context.Background()
	h := d.hook(s)
	d.commit(s, 3)
	d.advance(24 * time.Hour)
	prune := func(s *Store) error { _, _, err := s.Prune(ctx, d.now(), 10); return err }
	d.must(prune(s)) // so that there is something to forget
	d.must(s.CreateSource(ctx, &hook.Source{Name: "acme"}))
	d.commit(s, 4, h.Number)
	free := d.commit(s, 2)
	claims := d.claim(s, h.Number, 3, 48*time.Hour)
	_, err := s.Settle(ctx, []store.Outcome{d.outcome(claims[0], hook.Waiting)})
	d.must(err)
	own := d.claim(s, h.Number, 1, 48*time.Hour)[0]
	replay := store.Replay{ID: "r", Hook: h.Number}
	d.must(s.CreateReplay(ctx, &replay))
	d.advance(24 * time.Hour)

	for _, c := range []struct {
		name  string
		table string // that the operation uses as late as possible
		call  func(s *Store) error
	}{
		{"Commit", "counts", func(s *Store) error {
			g := d.group(s, d.events(3, h.Number))
			g.Lease = func(int64, *store.Event) bool { return true }
			_, err := s.Commit(ctx, g)
			return err
		}},
		{"Count", "counts", func(s *Store) error { return s.Count(ctx, map[int64]hook.SourceCount{1: {TooLarge: 1}}) }},
		{"Claim", "retries", func(s *Store) error { _, _, err := s.Claim(ctx, h.Number, d.now(), 10, 1<<20, lease); return err }},
		{"Renew", "retries", func(s *Store) error {
			_, _, err := s.Renew(ctx, append(claims, own), d.now(), 96*time.Hour)
			return err
		}},
		{"Settle", "counts", func(s *Store) error {
			_, err := s.Settle(ctx, []store.Outcome{d.outcome(claims[1], hook.Delivered), d.outcome(claims[2], hook.Dead), d.outcome(own, hook.Dead)})
			return err
		}},
		{"Retry", "retries", func(s *Store) error { _, err := s.Retry(ctx, own.Key, d.now()); return err }},
		{"Expire", "counts", func(s *Store) error {
			_, _, err := s.Expire(ctx, h.Number, d.now().Add(time.Hour), d.now(), hook.ReasonExpired, 10)
			return err
		}},
		{"CreateSource", "sources", func(s *Store) error { return s.CreateSource(ctx, &hook.Source{Name: "late"}) }},
		{"UpdateEventHook", "revisions", func(s *Store) error {
			_, err := s.UpdateEventHook(ctx, h.ID, d.now(), func(h *hook.EventHook, _ []hook.EventHook) error { h.Name = "x"; return nil })
			return err
		}},
		{"Hold", "registry", func(s *Store) error {
			_, err := s.Hold(ctx, h.Number, hook.ReasonGone, d.now(), time.Time{})
			return err
		}},
		{"SetCanary", "meta", func(s *Store) error { return s.SetCanary(ctx, []byte("x")) }},
		{"CreateReplay", "replays", func(s *Store) error { return s.CreateReplay(ctx, &store.Replay{ID: "x", Hook: h.Number}) }},
		{"AddToReplay", "counts", func(s *Store) error {
			_, err := s.AddToReplay(ctx, &replay, []hook.Seq{free[0].Seq}, d.now())
			return err
		}},
		{"Prune", "settled", prune},
		{"PruneOldest", "rejected", func(s *Store) error { _, err := s.PruneOldest(ctx, 100); return err }},
		{"Forget", "seen", func(s *Store) error { _, err := s.Forget(ctx, d.now(), 10); return err }},
		{"Beat", "registry", func(s *Store) error { _, err := s.Beat(ctx); return err }},
		{"Lead", "duties", func(s *Store) error { _, err := s.Lead(ctx, "upkeep", time.Hour); return err }},
		{"Deliveries", "settled", func(s *Store) error {
			_, _, err := s.Deliveries(ctx, store.DeliveryQuery{Limit: 9}, d.now())
			return err
		}},
		{"Events", "blocks", func(s *Store) error { _, _, _, err := s.Events(ctx, store.EventQuery{Limit: 9}); return err }},
		{"Stats", "counts", func(s *Store) error { _, err := s.Stats(ctx); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.commit(s, 1, h.Number)
			d.commit(s, 1)
			if c.name == "Prune" {
				d.advance(24 * time.Hour)
			}
			before := d.contents()
			admin, watcher := d.connect(), d.connect()
			defer admin.Close(ctx)
			defer watcher.Close(ctx)
			tx, err := admin.Begin(ctx)
			d.must(err)
			_, err = tx.Exec(ctx, "LOCK TABLE "+c.table+" IN ACCESS EXCLUSIVE MODE")
			d.must(err)
			failed := make(chan error, 1)
			go func() { failed <- c.call(s) }()
			_, err = watcher.Exec(ctx, "SELECT pg_terminate_backend($1)", d.waitFor(watcher))
			d.must(err)
			if err := <-failed; err == nil {
				t.Errorf("%s succeeds on a broken connection", c.name)
			}
			d.must(tx.Rollback(ctx))
			after := d.contents()
			delete(before, "nodes")
			delete(after, "nodes") // who lives is no promise
			d.equal("the store after "+c.name+" failed", after, before)
			if err := c.call(s); err != nil {
				t.Errorf("%s again: %v", c.name, err)
			}
		})
	}
}

// proxy stands between a store and the server. Once it is told to, it breaks the
// connection when the server answers to a statement that was prepared before.
type proxy struct {
	net.Listener
	swallow atomic.Bool
	wait    sync.WaitGroup
}

// behindProxy returns a proxy and the URL of the store through it, with one
// connection.
func (d *database) behindProxy() (*proxy, string) {
	d.Helper()
	u, err := url.Parse(d.url)
	d.must(err)
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	p := &proxy{Listener: l}
	d.Cleanup(func() {
		l.Close()
		p.wait.Wait()
	})
	p.wait.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wait.Go(func() { p.serve(client, server) })
		}
	})
	u.Host = l.Addr().String()
	q := u.Query()
	q.Set("pool_max_conns", "1")
	u.RawQuery = q.Encode()
	return p, u.String()
}

func (p *proxy) serve(client net.Conn, server string) {
	defer client.Close()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	var lose atomic.Bool
	p.wait.Go(func() {
		defer conn.Close()
		forward(conn, client, func(sent []byte) bool {
			// A Bind message begins it (PostgreSQL, Message Formats); a pool also
			// asks now and then whether a connection still works.
			if sent[0] == 'B' && p.swallow.Swap(false) {
				lose.Store(true)
			}
			return true
		})
	})
	forward(client, conn, func([]byte) bool { return !lose.Load() })
}

// forward copies until a side is closed, or until pass returns false.
func forward(to, from net.Conn, pass func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !pass(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A commit whose answer is lost has been kept. Its leases, of which nobody knows,
// are given back, and its events are duplicates when they come again.
func TestCommitWhoseAnswerIsLost(t *testing.T) {
	d := newStopped(t)
	p, through := d.behindProxy()
	s := d.openAt(through)
	s.idle() // so that what is lost is the call's own answer
	defer s.Close()
	other := d.open()
	h := d.hook(other)
	take := func(int64, *store.Event) bool { return true }
	commit := func(events []*store.Event) ([]store.Claim, error) {
		g := d.group(other, events)
		g.Lease, g.LeaseFor = take, time.Hour
		return s.Commit(t.Context(), g)
	}
	first, err := commit(d.events(1, h.Number)) // which prepares the statement
	d.must(err)
	d.equal("lost", len(d.settle(other, first...)), 0)

	events := d.events(3, h.Number)
	p.swallow.Store(true)
	if claims, err := commit(events); err == nil {
		t.Fatalf("the answer was not lost: %v", claims)
	}
	d.equal("claims of what nobody knows to be leased", len(d.claim(other, h.Number, 10, lease)), 0)
	claims, err := commit(events)
	d.must(err)
	d.equal("claims of duplicates", len(claims), 0)
	for _, e := range events {
		if !e.Duplicate || e.Seq == 0 {
			t.Errorf("%s is new again: %+v", e.UUID, e.Event)
		}
	}
	d.beat(s)
	d.equal("claims once the leases were given back", len(d.claim(other, h.Number, 10, lease)), 3)
}

// The same with a claim, and with a settlement, which is made again with more.
func TestClaimAndSettlementWhoseAnswerIsLost(t *testing.T) {
	d := newStopped(t)
	p, through := d.behindProxy()
	s := d.openAt(through)
	s.idle() // so that what is lost is the call's own answer
	defer s.Close()
	h := d.hook(s)
	d.commit(s, 5, h.Number)
	c := d.claim(s, h.Number, 1, time.Hour)
	p.swallow.Store(true)
	if _, _, err := s.Claim(t.Context(), h.Number, d.now(), 9, 1<<20, time.Hour); err == nil {
		t.Fatal("the answer was not lost")
	}
	d.equal("claims of what nobody knows to be leased", len(d.claim(s, h.Number, 9, lease)), 0)
	d.beat(s)
	c = append(c, d.claim(s, h.Number, 9, time.Hour)...)
	d.equal("claims", len(c), 5)

	// Prepares the statement, and leaves three slots of one lease.
	d.equal("lost", len(d.settle(s, c[0], c[4])), 0)
	p.swallow.Store(true)
	if _, err := s.Settle(t.Context(), []store.Outcome{d.outcome(c[1], hook.Delivered)}); err == nil {
		t.Fatal("the answer was not lost")
	}
	lost, err := s.Settle(t.Context(), []store.Outcome{d.outcome(c[1], hook.Dead), d.outcome(c[2], hook.Delivered), d.outcome(c[3], hook.Dead)})
	d.must(err)
	d.equal("lost", lost, []hook.Key{c[1].Key})
	for i, want := range []hook.State{hook.Delivered, hook.Delivered, hook.Delivered, hook.Dead, hook.Delivered} {
		got, err := s.Delivery(t.Context(), c[i].Key, d.now())
		d.must(err)
		d.equal("state", got.State, want)
	}
	stats, err := s.Stats(t.Context())
	d.must(err)
	d.equal("counters", stats.Hooks[h.Number], hook.HookCount{Matched: 5, Delivered: 4, Dead: 1, Attempts: 5})
}
