package sqlite

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/traffic"
	"zombiezen.com/go/sqlite/sqlitex"
)

// The sizes of a commit group: alone, what 16 connections gather, one block,
// and a burst.
var groupSizes = []int{1, 16, 64, 256}

// benchSeen is how many events are in the store when a benchmark begins.
const benchSeen = 20_000

// org invents events as varied as those of a company of some thousand people.
var org = sync.OnceValue(func() *traffic.Generator {
	return traffic.New(traffic.Options{Seed: 1, People: 5000, HookID: "who1a2b3c4d5e6f7g8h9"})
})

type bench struct {
	*Store
	b        *testing.B
	hooks    []int64
	revision int64
	cpu      time.Duration
	wall     time.Duration
	bytes    int64
	events   int
}

func newBench(b *testing.B, fanOut int) *bench {
	s := &bench{Store: openNew(b), b: b}
	for i := range fanOut {
		h := hook.EventHook{ID: fmt.Sprint("who", i), Status: hook.Active, Verified: true, Policy: hook.DefaultPolicy()}
		if err := s.CreateEventHook(b.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
			b.Fatal(err)
		}
		s.hooks, s.revision = append(s.hooks, h.Number), h.Revision
	}
	hooks := s.hooks
	s.hooks = nil
	for n := 0; n < benchSeen; n += 256 {
		s.commit(s.group(256))
	}
	s.hooks = hooks
	return s
}

func (s *bench) group(n int) *store.Group {
	g := &store.Group{Received: time.Now(), Revision: s.revision}
	for range n {
		made := org().Next()
		g.Events = append(g.Events, &store.Event{
			Event: hook.Event{Source: 1, UUID: made.UUID, Type: made.EventType, Published: made.Published, JSON: made.JSON},
			Hooks: s.hooks,
		})
	}
	return g
}

func (s *bench) commit(g *store.Group) []store.Claim {
	claims, err := s.Commit(context.Background(), g)
	if err != nil {
		s.b.Fatal(err)
	}
	return claims
}

// cpuTime is the user and system time of the process so far: on a machine that
// is busy with other things it says more than the time on the wall.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s *bench) size() int64 {
	s.mu.Lock() // a checkpoint may be using the connection
	defer s.mu.Unlock()
	n, err := sqlitex.ResultInt64(s.conn.Prep("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
	if err != nil {
		s.b.Fatal(err)
	}
	return n
}

// measure runs do; outside of it the clocks stand still. They are read here, as
// what the testing package does when it starts and stops its own is no small
// part of what a small group costs.
func (s *bench) measure(events int, do func()) {
	before := s.size()
	start, cpu := time.Now(), cpuTime()
	do()
	s.cpu += cpuTime() - cpu
	s.wall += time.Since(start)
	s.bytes += s.size() - before
	s.events += events
}

func (s *bench) report() {
	n := float64(s.events)
	s.b.ReportMetric(float64(s.wall.Microseconds())/n, "µs/event")
	s.b.ReportMetric(float64(s.cpu.Microseconds())/n, "cpu-µs/event")
	s.b.ReportMetric(float64(s.bytes)/n, "B-disk/event")
	s.b.ReportMetric(0, "ns/op")
}

// bySize runs a benchmark for every size of group.
func bySize(b *testing.B, fanOut int, each func(s *bench, size int)) {
	for _, size := range groupSizes {
		b.Run(fmt.Sprintf("events=%d/hooks=%d", size, fanOut), func(b *testing.B) {
			s := newBench(b, fanOut)
			for range b.N {
				each(s, size)
			}
			s.report()
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, fanOut := range []int{1, 10} {
		bySize(b, fanOut, func(s *bench, size int) {
			g := s.group(size)
			s.measure(size, func() { s.commit(g) })
		})
	}
}

// BenchmarkSettle settles groups that were leased at commit, all delivered at
// the first attempt: µs/event counts each event once, whatever the fan-out.
func BenchmarkSettle(b *testing.B) {
	for _, fanOut := range []int{1, 10} {
		bySize(b, fanOut, func(s *bench, size int) {
			g := s.group(size)
			g.LeaseFor, g.Lease = time.Minute, func(int64, *store.Event) bool { return true }
			s.settle(size, s.commit(g), hook.Delivered)
		})
	}
}

// BenchmarkSettleFailed is the same when every attempt fails and is retried.
func BenchmarkSettleFailed(b *testing.B) {
	bySize(b, 1, func(s *bench, size int) {
		g := s.group(size)
		g.LeaseFor, g.Lease = time.Minute, func(int64, *store.Event) bool { return true }
		s.settle(size, s.commit(g), hook.Waiting)
	})
}

func (s *bench) settle(events int, claims []store.Claim, state hook.State) {
	outcomes := make([]store.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = store.Outcome{
			Key: c.Key, Epoch: c.Epoch, State: state,
			Attempt: &hook.Attempt{At: time.Now(), Duration: 20 * time.Millisecond, Status: 204},
		}
		if state == hook.Waiting {
			o := &outcomes[i]
			o.Due, o.Reason, o.Attempt.Reason = time.Now().Add(time.Hour), hook.ReasonStatus, hook.ReasonStatus
			o.Response = &hook.Response{Status: 503, Headers: []hook.Header{{Key: "Retry-After", Value: "60"}}, Body: []byte("try again later")}
		}
	}
	s.measure(events, func() {
		if lost, err := s.Settle(context.Background(), outcomes); err != nil || len(lost) > 0 {
			s.b.Fatal(lost, err)
		}
	})
}

// BenchmarkClaim claims groups from a queue that is longer than one claim.
func BenchmarkClaim(b *testing.B) {
	bySize(b, 1, func(s *bench, size int) {
		s.commit(s.group(size))
		var claims []store.Claim
		s.measure(size, func() {
			var err error
			claims, _, err = s.Claim(context.Background(), s.hooks[0], time.Now(), size, 64<<20, time.Minute)
			if err != nil || len(claims) != size {
				s.b.Fatal(len(claims), err)
			}
		})
		outcomes := make([]store.Outcome, len(claims))
		for i, c := range claims {
			outcomes[i] = store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Delivered, Attempt: &hook.Attempt{At: time.Now(), Status: 204}}
		}
		if _, err := s.Settle(context.Background(), outcomes); err != nil {
			s.b.Fatal(err)
		}
	})
}
