package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
)

// The sizes of a commit group: alone, what 16 connections gather, and one block.
var groupSizes = []int{1, 16, 64}

// benchSeen is how many events are in the store when a benchmark begins.
const benchSeen = 20_000

// bench is a store on a server that syncs, and what was measured of it.
type bench struct {
	*Store
	b        *testing.B
	d        *database
	conn     *pgx.Conn
	hooks    []int64
	revision int64
	cpu, db  time.Duration // of this process and of the server's
	bytes    int64
	events   int
}

func newBench(b *testing.B, fanOut int) *bench {
	server := postgrestest.Start(b, postgrestest.Options{Fsync: true})
	d := &database{TB: b, url: server.Database(b)}
	s := &bench{b: b, d: d, Store: d.open()}
	s.conn = d.connect()
	b.Cleanup(func() { s.conn.Close(context.Background()) })
	for range fanOut {
		h := d.hook(s.Store)
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

// newUUID makes a uuid of version 1, as Okta's are.
func newUUID() string {
	ticks := uint64(time.Now().UnixNano()/100) + 0x01b21dd213814000
	var node [8]byte
	rand.Read(node[:])
	text := hex.EncodeToString(node[:])
	return fmt.Sprintf("%08x-%04x-1%03x-%s-%s", uint32(ticks), uint16(ticks>>32), ticks>>48&0xfff, text[:4], text[4:])
}

// logEvent is a hook-shaped LogEvent of about 1.3 KB, as varied as those of an
// org of some ten thousand people.
func logEvent(uuid string, at time.Time) []byte {
	person, ip := mathrand.IntN(20_000), mathrand.Uint32()
	agents := []string{"Windows NT 10.0; Win64; x64) AppleWebKit/537.36", "Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", "iPhone; CPU iPhone OS 19_1 like Mac OS X)"}
	towns := []string{"Lyon", "Springfield", "Osaka", "Recife", "Gdynia", "Pune"}
	return fmt.Appendf(nil, `{"uuid":%q,"published":%q,"eventType":"user.session.start","version":"0","displayMessage":"User login to Okta","severity":"INFO",`+
		`"client":{"userAgent":{"rawUserAgent":"Mozilla/5.0 (%s","os":"Unknown","browser":"UNKNOWN"},"zone":"null","device":"Computer","id":null,"ipAddress":"%d.%d.%d.%d",`+
		`"geographicalContext":{"city":%q,"state":"S%d","country":"C%d","postalCode":"%05d","geolocation":{"lat":%.4f,"lon":%.4f}},"ipChain":[]},`+
		`"actor":{"id":"00u%017x","type":"User","alternateId":"person.%d@example.com","displayName":"Person %d","detailEntry":null},`+
		`"outcome":{"result":"SUCCESS","reason":null},"target":[{"id":"0oa%017x","type":"AppInstance","alternateId":"App %d","displayName":"App %d","detailEntry":null}],`+
		`"transaction":{"type":"WEB","id":"X%022x","detail":{}},"debugContext":{"debugData":{"requestId":"X%022x","dtHash":"%016x%016x","requestUri":"/api/v1/authn","threatSuspected":"false","url":"/api/v1/authn?"}},`+
		`"legacyEventType":"core.user_auth.login_success","authenticationContext":{"authenticationStep":0,"externalSessionId":"102%020x","interface":null},"securityContext":{"asNumber":%d,"isProxy":false}}`,
		uuid, at.UTC().Format("2006-01-02T15:04:05.000Z"), agents[mathrand.IntN(len(agents))], byte(ip>>24), byte(ip>>16), byte(ip>>8), byte(ip),
		towns[mathrand.IntN(len(towns))], mathrand.IntN(50), mathrand.IntN(90), mathrand.IntN(99999), mathrand.Float64()*180-90, mathrand.Float64()*360-180,
		uint64(person)*0x9e3779b97f4a7c15, person, person, mathrand.Uint64N(300)*0x9e3779b97f4a7c15, mathrand.IntN(300), mathrand.IntN(300),
		mathrand.Uint64(), mathrand.Uint64(), mathrand.Uint64(), mathrand.Uint64(), mathrand.Uint64(), mathrand.IntN(64000))
}

func (s *bench) group(n int) *store.Group {
	g := &store.Group{Received: time.Now(), Revision: s.revision}
	for range n {
		uuid := newUUID()
		e := &store.Event{Event: hook.Event{Source: 1, UUID: uuid, Type: "user.session.start", Published: g.Received}, Hooks: s.hooks}
		e.JSON = logEvent(uuid, g.Received)
		g.Events = append(g.Events, e)
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

// cpuTime is the user and system time of this process so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverTime is that of the server's processes that there are, to 10 ms.
func (s *bench) serverTime() (total time.Duration) {
	rows, err := s.conn.Query(context.Background(), "SELECT pid FROM pg_stat_activity WHERE pid != pg_backend_pid()")
	if err != nil {
		s.b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		s.b.Fatal(err)
	}
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // from the third on, see proc(5)
		for _, ticks := range fields[11:13] {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				s.b.Fatal(err)
			}
			total += time.Duration(n) * time.Second / 100
		}
	}
	return total
}

func (s *bench) size() (n int64) {
	err := s.conn.QueryRow(context.Background(), `SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
		WHERE relnamespace = 'grapnel'::regnamespace AND relkind = 'r'`).Scan(&n)
	if err != nil {
		s.b.Fatal(err)
	}
	return n
}

// measure runs do; outside of it the clocks stand still.
func (s *bench) measure(events int, do func()) {
	cpu := cpuTime()
	s.b.StartTimer()
	do()
	s.b.StopTimer()
	s.cpu += cpuTime() - cpu
	s.events += events
}

func (s *bench) report() {
	n := float64(s.events)
	s.b.ReportMetric(float64(s.b.Elapsed().Microseconds())/n, "µs/event")
	s.b.ReportMetric(float64(s.cpu.Microseconds())/n, "cpu-µs/event")
	s.b.ReportMetric(float64(s.db.Microseconds())/n, "db-cpu-µs/event")
	s.b.ReportMetric(float64(s.bytes)/n, "B-disk/event")
	s.b.ReportMetric(0, "ns/op")
}

// bySize runs a benchmark for every size of group. The server's time and the
// bytes on disk are those of all that each does.
func bySize(b *testing.B, fanOut int, each func(s *bench, size int)) {
	for _, size := range groupSizes {
		b.Run(fmt.Sprintf("events=%d/hooks=%d", size, fanOut), func(b *testing.B) {
			s := newBench(b, fanOut)
			before, db := s.size(), s.serverTime()
			b.ResetTimer()
			b.StopTimer()
			for range b.N {
				each(s, size)
			}
			s.bytes, s.db = s.size()-before, s.serverTime()-db
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
// the first attempt: µs/event counts each event once, whatever the fan-out. The
// server's time and the bytes are those of the commit too.
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
