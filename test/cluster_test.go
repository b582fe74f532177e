package test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// What is done to a cluster.
const (
	kill     = "kill"
	failOver = "fail-over"
	cut      = "cut"
	pause    = "pause"
)

// TestCluster has three gateways on one PostgreSQL with a synchronous standby,
// and disturbs them in every way under load: a node is killed, one is paused
// past its leases, one is cut off from the database, in the long form past its
// leases too, and the database fails over. No acknowledged event may be lost; a
// delivery may be repeated only where a disturbance explains it, with the same
// ids.
//
// The short form does everything once, and all else while a node is paused: the
// leases of one that is not known to have died last for a minute.
func TestCluster(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if n := numberOf(t, chaosSeed); n > 0 {
		seed = n
	}
	t.Logf("seed %d", seed)
	var flags []string
	if os.Getenv(chaosRace) != "" {
		flags = []string{"-race"}
	}
	c := newCluster(t, program(t, flags...), seed)
	c.progress(200, 1000)
	if rounds := numberOf(t, chaosRounds); rounds > 0 {
		for range rounds {
			c.round()
		}
	} else {
		// First, as its last settlements are lost, and missed when their leases end.
		c.failOver(false)
		sleeper, lonely := c.pause(c.nodes[2]), c.cut(c.nodes[1])
		c.kill(c.nodes[0])()
		lonely(false)
		c.org.surge(c.random)
		sleeper()
	}
	c.progress(100, 500)
	c.finish()
	c.report()
}

// chaosSeed sets what is random, but for what the machine makes of it.
const chaosSeed = "GRAPNEL_CHAOS_SEED"

// numberOf reads a number from the environment, 0 when there is none.
func numberOf(t *testing.T, name string) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		t.Fatalf("%s=%q is not a number above 0", name, text)
	}
	return n
}

// round does everything once, in random order. Of the nodes at least one is
// well at any time, as otherwise nobody could make the deliveries of the others.
func (c *cluster) round() {
	c.Helper()
	who := c.random.Perm(nodes)
	var under []func() // what is to end
	settle := func(down int) {
		for len(under) > down {
			i := c.random.IntN(len(under))
			under[i]()
			under = append(under[:i], under[i+1:]...)
		}
	}
	for _, step := range c.random.Perm(4) {
		switch step {
		case 0:
			under = append(under, c.kill(c.nodes[who[0]]))
		case 1:
			past, end := c.random.IntN(2) == 0, c.cut(c.nodes[who[1]])
			under = append(under, func() { end(past) })
		case 2:
			under = append(under, c.pause(c.nodes[who[2]]))
		case 3:
			c.failOver(c.random.IntN(2) == 0)
		}
		settle(c.random.IntN(2))
		if len(under) == 0 {
			c.progress(100, 500)
		}
	}
	settle(0)
	c.org.surge(c.random)
	c.progress(300, 1500)
	c.delivered()
}

// holdOne waits until a node has deliveries under way whose answers are held back.
func (c *cluster) holdOne(n *node) *holding {
	c.Helper()
	h := c.all.hold(n.number)
	c.books.wait(fmt.Sprintf("node %d makes deliveries", n.number), func() bool { return len(h.keys) > 0 })
	return h
}

// freed waits until others have made the deliveries that a node was making, and
// had made, when its disturbance began.
func (c *cluster) freed(d *disturbance, h *holding) {
	c.Helper()
	c.books.wait(fmt.Sprintf("the deliveries that node %d had under way are made by others", d.node), func() bool {
		last := c.observer.madeAgain(h.keys, d.from)
		d.freed = last.Sub(d.from)
		return !last.IsZero()
	})
}

// deathNoticed bounds how long the leases of a node that has died are respected:
// a few beats, and however long this machine is busy with other tests. Who takes
// them must not be disturbed, too.
const deathNoticed = 30 * time.Second

// kill kills a node. What it returns starts it again.
func (c *cluster) kill(n *node) (end func()) {
	c.Helper()
	h := c.holdOne(n)
	d := c.observer.begin(kill, n.number)
	c.balancer.place(n.number, "")
	n.life.kill()
	c.all.let()
	return func() {
		c.Helper()
		n.begin()
		c.serves(n)
		c.freed(d, h)
		if d.freed > deathNoticed && c.observer.undisturbedSince(d) {
			c.Errorf("the deliveries of node %d, which died, were made by others only after %v", n.number, d.freed)
		}
		c.acknowledges(n)
		c.observer.end(d)
	}
}

// pause stops a node as it is. What it returns lets it go on when its leases
// have ended.
func (c *cluster) pause(n *node) (end func()) {
	c.Helper()
	h := c.holdOne(n)
	d := c.observer.begin(pause, n.number)
	n.suspend()
	c.all.let()
	return func() {
		c.Helper()
		c.freed(d, h)
		n.wake()
		c.acknowledges(n)
		c.observer.end(d)
	}
}

// cut cuts a node off from the database. What it returns connects it again: when
// it has noticed, or when its leases have ended too.
func (c *cluster) cut(n *node) (end func(pastLease bool)) {
	c.Helper()
	h := c.holdOne(n)
	d := c.observer.begin(cut, n.number)
	for _, cable := range n.cables {
		cable.cut()
	}
	c.all.let()
	return func(pastLease bool) {
		c.Helper()
		if pastLease {
			c.freed(d, h)
		}
		until(c, fmt.Sprintf("node %d notices that it is cut off", n.number), func() bool { return !n.ready() })
		for _, cable := range n.cables {
			cable.heal()
		}
		c.acknowledges(n)
		c.observer.end(d)
	}
}

// failOver kills the primary, promotes the standby, and makes the one that was
// killed its standby. With stalled the standby has not answered for a while
// before: what the primary alone has committed must not have been acknowledged,
// not even as a duplicate.
func (c *cluster) failOver(stalled bool) {
	c.Helper()
	d := c.observer.begin(failOver, everyNode)
	if stalled {
		c.standby.Pause(c)
		given := c.org.given.Load()
		until(c, "calls are not acknowledged, not the second time either", func() bool { return c.org.given.Load() >= given+orgCallers })
	}
	c.primary.Kill(c)
	if stalled {
		c.standby.Resume(c)
	}
	c.standby.Promote(c)
	c.primary, c.standby = c.standby, c.primary
	for _, n := range c.nodes {
		if c.observer.undisturbed(n.number) {
			c.acknowledges(n)
		}
	}
	c.observer.end(d)
	c.standby.Follow(c, c.primary)
}

// report tells what was done and what it led to.
func (c *cluster) report() {
	c.books.look(func() {
		acked := 0
		for _, e := range c.books.events {
			if e.acked {
				acked++
			}
		}
		c.Logf("%d events sent, %d acknowledged; of %d calls %d were acknowledged neither time; %d deliveries arrived",
			len(c.books.events), acked, c.org.calls.Load(), c.org.given.Load(), c.books.arrivals)
		c.Logf("deliveries by node: %v, and %d by processes that were gone", c.observer.made[:nodes], c.observer.made[nodes])
		for _, d := range c.observer.disturbances {
			c.Logf("%v", d)
		}
		// The limit is of a second; a longer window leaves room for deliveries that
		// come late, and would still show nodes that do not share it.
		const window, late = 5 * time.Second, time.Second
		most := c.observer.fastest(window)
		c.Logf("at most %d deliveries in %v at %d/s", most, window, paceLimit)
		if bound := paceLimit * int((window+late)/time.Second); most > bound {
			c.Errorf("%d deliveries in %v at a limit of %d/s", most, window, paceLimit)
		}
	})
}
