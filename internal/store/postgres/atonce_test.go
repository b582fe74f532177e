package postgres

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// TestNodesAtOnce has several processes do all that is done with deliveries, at
// random, with leases so short that many end under way: in the end each delivery
// was kept as delivered just once, and everything adds up.
func TestNodesAtOnce(t *testing.T) {
	d := newDatabase(t)
	d.clock = time.Now()
	nodes := []*Store{d.open(), d.open(), d.open()}
	hooks := []int64{d.hook(nodes[0]).Number, d.hook(nodes[0]).Number}
	const groups, size = 60, 9
	books := &books{T: t, delivered: make(map[hook.Key]int)}
	var wait sync.WaitGroup
	for i, s := range nodes {
		var work [][]*store.Event
		for range groups / len(nodes) {
			work = append(work, d.events(size, hooks...))
		}
		_, revision, err := s.EventHooks(t.Context())
		d.must(err)
		wait.Go(func() {
			n := &node{Store: s, books: books, random: rand.New(rand.NewPCG(uint64(i), 7))}
			for _, events := range work {
				n.commit(events, revision)
				n.deliver(hooks[n.random.IntN(len(hooks))])
			}
			for books.left(groups*size*len(hooks)) && !t.Failed() {
				n.deliver(hooks[n.random.IntN(len(hooks))])
			}
		})
	}
	wait.Wait()
	for key, n := range books.delivered {
		if n != 1 {
			t.Errorf("%v was kept as delivered %d times", key, n)
		}
	}
	stats, err := nodes[0].Stats(t.Context())
	d.must(err)
	for _, number := range hooks {
		c := stats.Hooks[number]
		if c.Matched != groups*size || c.Delivered != groups*size || c.Waiting() != 0 {
			t.Errorf("hook %d counts %+v", number, c)
		}
	}
	d.equal("rows in the queue", ask[int](d, "SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM retries)"), 0)
	found, _, err := nodes[1].Deliveries(t.Context(), store.DeliveryQuery{States: []hook.State{hook.Delivered}, Limit: 2000}, time.Now())
	d.must(err)
	d.equal("listed as delivered", len(found), groups*size*len(hooks))
}

// books count what was kept as delivered.
type books struct {
	*testing.T
	mu        sync.Mutex
	delivered map[hook.Key]int
}

func (b *books) left(want int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.delivered) < want
}

// node is a process that works at random.
type node struct {
	*Store
	books  *books
	random *rand.Rand
}

func (n *node) fail(what string, err error) {
	if err != nil {
		n.books.Error(fmt.Errorf("%s: %w", what, err))
	}
}

func (n *node) commit(events []*store.Event, revision int64) {
	g := &store.Group{Received: time.Now(), Revision: revision, Events: events, LeaseFor: 30 * time.Millisecond}
	g.Lease = func(int64, *store.Event) bool { return n.random.IntN(2) == 0 }
	claims, err := n.Commit(n.books.Context(), g)
	n.fail("Commit", err)
	n.settle(claims)
}

func (n *node) deliver(number int64) {
	length := time.Duration(1+n.random.IntN(20)) * time.Millisecond
	claims, _, err := n.Claim(n.books.Context(), number, time.Now(), 1+n.random.IntN(20), 1<<20, length)
	n.fail("Claim", err)
	if len(claims) > 0 && n.random.IntN(4) == 0 {
		_, _, err := n.Renew(n.books.Context(), claims[:1+n.random.IntN(len(claims))], time.Now(), 20*time.Millisecond)
		n.fail("Renew", err)
	}
	for len(claims) > 0 {
		k := 1 + n.random.IntN(len(claims))
		n.settle(claims[:k])
		claims = claims[k:]
	}
}

func (n *node) settle(claims []store.Claim) {
	var outcomes []store.Outcome
	for _, c := range claims {
		o := store.Outcome{Key: c.Key, Epoch: c.Epoch, Attempt: &hook.Attempt{At: time.Now(), Status: 500}}
		switch n.random.IntN(8) {
		case 0:
			continue // forgotten
		case 1:
			o.Attempt = nil // given back
		case 2:
			o.Due, o.Reason = time.Now(), hook.ReasonStatus
		default:
			o.State = hook.Delivered
		}
		outcomes = append(outcomes, o)
	}
	lost, err := n.Settle(n.books.Context(), outcomes)
	if err != nil {
		n.fail("Settle", err)
		return
	}
	n.books.mu.Lock()
	defer n.books.mu.Unlock()
	for _, o := range outcomes {
		if o.State == hook.Delivered {
			n.books.delivered[o.Key]++
		}
	}
	for _, key := range lost {
		for _, o := range outcomes {
			if o.Key == key && o.State == hook.Delivered {
				if n.books.delivered[key]--; n.books.delivered[key] == 0 {
					delete(n.books.delivered, key)
				}
			}
		}
	}
}
