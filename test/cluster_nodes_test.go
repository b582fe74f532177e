package test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
)

// nodes is how many gateways share the database.
const nodes = 3

// cluster is several gateways on one database, with load on one side and
// destinations on the other.
type cluster struct {
	*testing.T
	primary, standby *postgrestest.Server
	nodes            []*node
	balancer         *balancer
	books            *ledger
	observer         *observer
	all              *office // the destination that can hold answers back
	org              *org
	random           *mathrand.Rand
}

// node is a gateway of a cluster.
type node struct {
	*site
	number int
	cables []*cable // to each server of the database

	mu    sync.Mutex
	lives []*life
}

func newCluster(t *testing.T, program string, seed uint64) *cluster {
	c := &cluster{T: t, books: newLedger(t, clusterWants), random: mathrand.New(mathrand.NewPCG(seed, 0))}
	// The ledger knows no nodes: let it take every repeat for explained, which
	// the observer explains.
	c.books.end(true)
	c.books.killed[1] = true
	c.observer = newObserver(c.books)
	c.primary = postgrestest.Start(t, postgrestest.Options{})
	c.standby = c.primary.Standby(t)
	database := c.primary.Database(t)
	dir := t.TempDir()
	token := c.secret(filepath.Join(dir, "admin-token"))
	c.secret(filepath.Join(dir, "secret-key"))
	c.balancer = newBalancer(t, nodes)
	for number := range nodes {
		n := &node{number: number}
		for _, server := range []*postgrestest.Server{c.primary, c.standby} {
			n.cables = append(n.cables, newCable(t, server.Addr()))
		}
		hosts := n.cables[0].addr() + "," + n.cables[1].addr()
		n.site = newSite(t, dir, program)
		n.token = token
		n.command = []string{
			program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
			"--store", strings.Replace(database, c.primary.Addr(), hosts, 1) + "&target_session_attrs=read-write",
			"--admin-token-file", filepath.Join(dir, "admin-token"), "--secret-key-file", filepath.Join(dir, "secret-key"),
			"--allow-http", "--allow-destination", "127.0.0.1/32",
		}
		c.nodes = append(c.nodes, n)
	}
	t.Cleanup(c.tell)
	// All at once, on an empty database.
	for _, n := range c.nodes {
		n.begin()
	}
	for _, n := range c.nodes {
		c.serves(n)
	}
	c.createHooks(seed)
	until(t, "the balancer sends to every node", func() bool { return c.balancer.wellMembers() == nodes })
	c.org = newOrg(t, c.books, c.balancer.addr(), seed)
	return c
}

// secret makes a file with 32 random bytes, in base64.
func (c *cluster) secret(file string) string {
	var b [32]byte
	rand.Read(b[:])
	text := base64.StdEncoding.EncodeToString(b[:])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
	return text
}

// createHooks makes the source, the destinations and the hooks, each at another
// node: what one has made holds for all.
func (c *cluster) createHooks(seed uint64) {
	c.nodes[0].life.createSource()
	for i, h := range clusterHooks {
		o := &office{
			observer: c.observer, hook: h.name, nodeOf: c.nodeOf,
			random: &dice{random: mathrand.New(mathrand.NewPCG(seed, uint64(i+1)))},
		}
		if h.name == heldHook {
			c.all = o
		}
		c.observer.limits[h.name] = h.concurrency
		c.nodes[i%nodes].life.createHook(h.name, o.open(c), h.events, fmt.Sprintf(
			`{"verification":"none","concurrency":%d,"retry":{"initial":"100ms","max":"400ms","for":"72h"}%s}`, h.concurrency, h.rateLimit))
	}
	c.Cleanup(c.all.let)
}

// begin starts a node.
func (n *node) begin() {
	n.Helper()
	l := n.start()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lives = append(n.lives, l)
}

// serves waits until a node serves, and has the balancer know.
func (c *cluster) serves(n *node) {
	c.Helper()
	if !n.life.serves() {
		c.Fatalf("node %d does not serve: %v\n%s", n.number, n.life.end, n.life.log.String())
	}
	c.balancer.place(n.number, n.life.public)
}

// nodeOf tells which node is at the other end of a connection; nodes when none
// is any more.
func (c *cluster) nodeOf(conn net.Conn) int {
	if inode := socketOf(conn); inode != "" {
		for _, n := range c.nodes {
			n.mu.Lock()
			l := n.lives[len(n.lives)-1]
			n.mu.Unlock()
			if owns(l.process.Process.Pid, inode) {
				return n.number
			}
		}
	}
	return nodes
}

// acknowledges waits until a node, asked itself, acknowledges an event.
func (c *cluster) acknowledges(n *node) {
	c.Helper()
	e := []*posted{newPosted(c.random)}
	c.books.post(e)
	client := http.Client{Timeout: orgWaits, Transport: &http.Transport{DisableKeepAlives: true}}
	until(c, fmt.Sprintf("node %d acknowledges an event", n.number), func() bool {
		status, err := postTo(&client, "http://"+n.life.public+"/in/acme", []string{e[0].json})
		return err == nil && status == http.StatusOK
	})
	c.books.acknowledge(e)
}

// progress waits until the cluster has acknowledged and delivered some more,
// with every node taking part.
func (c *cluster) progress(acks, arrivals int) {
	c.Helper()
	c.books.look(func() { acks, arrivals = acks+c.books.acks, arrivals+c.books.arrivals })
	c.books.wait("more is acknowledged and delivered", func() bool {
		return c.books.acks >= acks && c.books.arrivals >= arrivals
	})
	for _, n := range c.nodes {
		c.acknowledges(n)
	}
}

// suspend stops a node's process where it is.
func (n *node) suspend() {
	n.life.signal(syscall.SIGSTOP)
	until(n, "the process is stopped", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.life.process.Process.Pid))
		return strings.Contains(string(text), ") T ")
	})
}

func (n *node) wake() { n.life.signal(syscall.SIGCONT) }

// ready reports whether a node says that its store answers.
func (n *node) ready() bool {
	client := http.Client{Timeout: orgWaits, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + n.life.admin + "/readyz")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// tell shows, when the test has failed, what is missing, and the end of what
// every node has said: last, what it was doing.
func (c *cluster) tell() {
	if !c.Failed() {
		return
	}
	c.books.look(func() {
		missing := c.missing()
		for _, m := range missing[:min(len(missing), 10)] {
			c.Logf("%s was acknowledged and never taken; it came: %s", m, told(c.observer.seen[m], time.Now()))
		}
		c.Logf("%d deliveries are missing", len(missing))
	})
	for _, n := range c.nodes {
		n.wake()
		n.life.signal(syscall.SIGQUIT) // has it tell its goroutines
		<-n.life.exited
		for i, l := range n.lives {
			file := filepath.Join(c.ArtifactDir(), fmt.Sprintf("node-%d-life-%d.log", n.number, i))
			if err := os.WriteFile(file, []byte(l.log.String()), 0o644); err != nil {
				c.Error(err)
			}
		}
		c.Logf("node %d, all of it with go test -artifacts:\n%s", n.number, lastOf(n.life.log.String(), 4<<10))
	}
}

// missing lists the deliveries, by hook and uuid, that are still to come of the
// events acknowledged so far. The ledger is locked.
func (c *cluster) missing() (keys []string) {
	for uuid, e := range c.books.events {
		for _, h := range clusterHooks {
			if f := e.fates[h.name]; e.acked && c.books.wants(h.name, e) && (f == nil || f.success < 0) {
				keys = append(keys, h.name+" "+uuid)
			}
		}
	}
	return keys
}

// delivered waits until everything acknowledged so far has been delivered, while
// the load goes on.
func (c *cluster) delivered() {
	c.Helper()
	var missing []string
	c.books.look(func() { missing = c.missing() })
	c.books.wait("what was acknowledged is delivered", func() bool {
		missing = slices.DeleteFunc(missing, func(key string) bool {
			return slices.ContainsFunc(c.observer.seen[key], func(s sighting) bool { return s.good })
		})
		return len(missing) == 0
	})
}

func lastOf(text string, size int) string { return text[max(0, len(text)-size):] }

// quiet lets everything be delivered without load, as a node says it is.
func (c *cluster) quiet(n *node) {
	c.Helper()
	c.org.end()
	began := time.Now()
	c.delivered()
	// What was settled just before a fail-over may be leased still.
	untilWithin(c, 2*patience, "nothing waits", func() bool {
		for _, h := range n.life.stats().Hooks {
			if h.Waiting > 0 {
				return false
			}
		}
		return true
	})
	c.Logf("quiet after %v", time.Since(began).Round(time.Millisecond))
}

// finish ends the nodes, has one live once more, and closes the books.
func (c *cluster) finish() {
	c.Helper()
	c.quiet(c.nodes[0])
	for _, n := range c.nodes {
		n.life.stop()
	}
	n := c.nodes[c.random.IntN(nodes)]
	n.begin()
	c.serves(n)
	c.acknowledges(n)
	c.quiet(n)
	c.compare(n.life.stats())
	n.life.stop()
	c.books.judge()
	for _, n := range c.nodes {
		for _, l := range n.lives {
			if text := l.log.String(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
				c.Errorf("node %d:\n%s", n.number, text)
			}
		}
	}
}

// compare holds the counters of the cluster against the books.
func (c *cluster) compare(stats gatewayStats) {
	c.Helper()
	kept, delivered := 0, make(map[string]int64)
	c.books.look(func() {
		for uuid, e := range c.books.events {
			if len(e.fates) == 0 {
				continue // never acknowledged, and not kept
			}
			kept++
			for _, h := range clusterHooks {
				switch f := e.fates[h.name]; {
				case f != nil && f.success >= 0:
					delivered[h.name]++
				case c.books.wants(h.name, e):
					c.Errorf("%s was not delivered to %s, but to others", uuid, h.name)
				}
			}
		}
	})
	if got := stats.Sources[0].Received; got != int64(kept) {
		c.Errorf("the gateway has kept %d events and delivered %d", got, kept)
	}
	if len(stats.Hooks) != len(clusterHooks) {
		c.Errorf("the gateway has counters of %d hooks", len(stats.Hooks))
	}
	for _, h := range stats.Hooks {
		if h.Matched != delivered[h.Name] || h.Delivered != h.Matched || h.Dead+h.Waiting+h.Cancelled != 0 {
			c.Errorf("hook %+v; %d events arrived", h, delivered[h.Name])
		}
	}
}
