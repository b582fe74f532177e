package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pacedHook is the hook with a rate limit, and heldHook the one whose
// destination can hold its answers back.
const (
	pacedHook = "paced"
	heldHook  = "all"
	pacedKind = "user.lifecycle.create SUCCESS"
	paceLimit = 100 // deliveries a second; about 40 are asked for, but in a surge
)

// clusterHooks are the hooks of a cluster; clusterWants says their events again.
var clusterHooks = []struct {
	name, events string
	concurrency  int
	rateLimit    string
}{
	{heldHook, everything, 8, ""},
	{"failing", `{"type":"EVENT_TYPE","items":["user.session.*"]}`, 8, ""},
	{pacedHook, `{"type":"EVENT_TYPE","items":["user.lifecycle.create"]}`, 8, fmt.Sprintf(`,"rateLimit":"%d/s"`, paceLimit)},
	{"narrow", `{"type":"EVENT_TYPE","items":["user.session.end","user.lifecycle.create"]}`, 4, ""},
}

func clusterWants(hook string, e *posted) bool {
	switch hook {
	case "failing":
		return strings.HasPrefix(e.kind, "user.session.")
	case pacedHook:
		return e.kind == pacedKind
	case "narrow":
		return e.kind == "user.session.end SUCCESS" || e.kind == pacedKind
	default:
		return true
	}
}

// office is a destination of a cluster's nodes, which sees which node calls.
type office struct {
	*observer
	hook   string
	random *dice
	nodeOf func(conn net.Conn) int

	mu   sync.Mutex
	held *holding // nil while answers are not held back
}

// holding are answers to one node that are held back.
type holding struct {
	node int
	keys []string // by hook and uuid; the ledger's lock guards them
	let  chan struct{}
}

type connNode struct{}

// open opens the destination and returns its URL.
func (o *office) open(t testing.TB) string {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := unpack(r); ok {
			o.take(w, r, p)
		}
	}))
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connNode{}, o.nodeOf(conn))
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// take takes a delivery.
func (o *office) take(w http.ResponseWriter, r *http.Request, p parcel) {
	node, _ := r.Context().Value(connNode{}).(int)
	number := o.arrive(o.hook, p.uuid, node)
	o.books.arrive(o.hook, p)
	fail := false
	switch {
	case o.hook == "failing":
		fail = o.random.roll(4) == 0
	case o.hook == heldHook && o.waits(r, node, p.uuid):
	default:
		linger(r, time.Duration(1+o.random.roll(10))*time.Millisecond)
	}
	// Before the answer: with it, the node may begin another attempt.
	o.answer(o.hook, p.uuid, number, !fail)
	if fail {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	o.books.succeed(o.hook, p)
	w.WriteHeader(http.StatusNoContent)
}

// waits holds an answer back if it is to be, and reports whether it was.
func (o *office) waits(r *http.Request, node int, uuid string) bool {
	o.mu.Lock()
	h := o.held
	o.mu.Unlock()
	if h == nil || h.node != node {
		return false
	}
	o.books.change(func() { h.keys = append(h.keys, o.hook+" "+uuid) })
	select {
	case <-h.let:
	case <-r.Context().Done():
	}
	return true
}

// hold holds answers to a node back until let.
func (o *office) hold(node int) *holding {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = &holding{node: node, let: make(chan struct{})}
	return o.held
}

// let gives the answers that are held back and holds no more.
func (o *office) let() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held != nil {
		close(o.held.let)
		o.held = nil
	}
}

// socketOf finds the inode of the other end of a connection on this machine, in
// /proc/net/tcp (proc(5)); "" when it is gone.
func socketOf(conn net.Conn) string {
	near, _ := conn.RemoteAddr().(*net.TCPAddr)
	far, _ := conn.LocalAddr().(*net.TCPAddr)
	file, err := os.Open("/proc/net/tcp")
	if err != nil || near == nil || far == nil {
		return ""
	}
	defer file.Close()
	from, to := fmt.Sprintf(":%04X", near.Port), fmt.Sprintf(":%04X", far.Port)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], from) && strings.HasSuffix(fields[2], to) {
			return fields[9]
		}
	}
	return ""
}

// owns reports whether a process has a socket open.
func owns(pid int, inode string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		link, _ := os.Readlink(dir + "/" + e.Name())
		return link == "socket:["+inode+"]"
	})
}

// How an org posts: Okta gives up after 3 s and posts again once
// (Okta: event hooks, "Timeout and retry").
const (
	orgWaits   = 3 * time.Second
	orgCallers = 12
	orgEvery   = 500 * time.Millisecond // each caller
)

// org posts events to the balancer at its own pace, whatever becomes of them.
type org struct {
	books  *ledger
	url    string
	client http.Client
	over   chan struct{}
	work   sync.WaitGroup
	given  atomic.Int64 // calls that were not acknowledged, not the second time either
	calls  atomic.Int64
}

func newOrg(t testing.TB, books *ledger, addr string, seed uint64) *org {
	o := &org{
		books: books, url: "http://" + addr + "/in/acme", over: make(chan struct{}),
		client: http.Client{Timeout: orgWaits, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	for n := range orgCallers {
		random := rand.New(rand.NewPCG(seed, uint64(100+n)))
		o.work.Go(func() { o.call(random) })
	}
	t.Cleanup(o.end)
	return o
}

// end ends the load and returns when every call is over.
func (o *org) end() {
	select {
	case <-o.over:
	default:
		close(o.over)
	}
	o.work.Wait()
}

func (o *org) call(random *rand.Rand) {
	ticker := time.NewTicker(orgEvery)
	defer ticker.Stop()
	var last []*posted
	for {
		batch := make([]*posted, 1+random.IntN(15))
		for i := range batch {
			batch[i] = newPosted(random)
		}
		if random.IntN(4) == 0 { // some duplicates, of events that another node may have
			batch = append(batch, last...)
		}
		if o.post(batch) {
			last = batch[:1]
		}
		select {
		case <-ticker.C:
		case <-o.over:
			return
		}
	}
}

// surge posts many events at once that the hook with a rate limit wants.
func (o *org) surge(random *rand.Rand) {
	const calls, each = 16, 50
	for range calls {
		batch := make([]*posted, 0, each)
		for len(batch) < each {
			if e := newPosted(random); e.kind == pacedKind {
				batch = append(batch, e)
			}
		}
		o.post(batch)
	}
}

// post posts events, a second time if they are not acknowledged, and reports
// whether they are in the end.
func (o *org) post(batch []*posted) bool {
	o.books.post(batch)
	o.calls.Add(1)
	for range 2 {
		if o.postOnce(batch) {
			o.books.acknowledge(batch)
			return true
		}
	}
	o.given.Add(1)
	return false
}

func (o *org) postOnce(batch []*posted) bool {
	texts := make([]string, len(batch))
	for i, e := range batch {
		texts[i] = e.json
	}
	status, err := postTo(&o.client, o.url, texts)
	if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
		o.books.change(func() { o.books.blame("a delivery was answered %d", status) })
	}
	return err == nil && status == http.StatusOK
}

func postTo(client *http.Client, url string, events []string) (status int, err error) {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(oktaDelivery(events...)))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", orgSecret)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}
