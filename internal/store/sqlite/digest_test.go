package sqlite

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestDigestsTellNoLies fills a few chunks of three volumes, with rare and common
// things in them and a replay in the way, and has every search find with digests
// what it finds without.
func TestDigestsTellNoLies(t *testing.T) {
	s := openNew(t)
	s.endBackground() // so that digests are made when the test wants
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	var hooks []int64
	for i := range 3 {
		h := hook.EventHook{ID: fmt.Sprint("who", i), Status: hook.Active, Verified: true, Created: start}
		if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
			t.Fatal(err)
		}
		hooks = append(hooks, h.Number)
	}
	const n = 5*chunkBlocks + chunkBlocks/2
	for i := range n {
		e := &store.Event{Event: hook.Event{Source: 1, UUID: newUUID(), Type: "common", JSON: []byte("{}")}, Hooks: hooks[:1]}
		// Volumes need not be filled to be full.
		switch s.nextBlock {
		case 2 * chunkBlocks:
			skipTo(s, volumeBlocks-2*chunkBlocks)
		case volumeBlocks + chunkBlocks:
			skipTo(s, 2*volumeBlocks)
		}
		if random.IntN(chunkBlocks/4) == 0 {
			e.Type, e.Source, e.Hooks = "rare", 2, hooks[:2]
		}
		g := &store.Group{Received: start.Add(time.Duration(i) * time.Second), Revision: s.revision, Events: []*store.Event{e}}
		if i%7 == 0 {
			g.LeaseFor, g.Lease = time.Hour, func(int64, *store.Event) bool { return true }
		}
		claims, err := s.Commit(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		var outcomes []store.Outcome
		for i, c := range claims {
			o := store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Delivered, Attempt: &hook.Attempt{At: g.Received}}
			if i%2 == 1 {
				o.State, o.Reason = hook.Dead, hook.ReasonExhausted
			}
			outcomes = append(outcomes, o)
		}
		if _, err := s.Settle(t.Context(), outcomes); err != nil {
			t.Fatal(err)
		}
	}
	digestAll(t, s)
	r := store.Replay{ID: "again", Hook: hooks[2], Created: start.Add(24 * time.Hour)}
	if err := s.CreateReplay(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	// The replay is listed before there are new digests of what it has changed.
	seqs := []hook.Seq{hook.MakeSeq(3, 0), hook.MakeSeq(volumeBlocks-chunkBlocks-5, 0), hook.MakeSeq(s.nextBlock-1, 0)}
	if added, err := s.AddToReplay(t.Context(), &r, seqs, r.Created); err != nil || added != len(seqs) {
		t.Fatal(added, err)
	}
	compareSearches(t, s, start, hooks)
	digestAll(t, s)
	compareSearches(t, s, start, hooks)
	exec1(t, s.conn, "UPDATE blocks SET summary = x'' WHERE id = 70")
	s.digester.want(70 / chunkBlocks)
	if err := s.makeDigest(t.Context(), 70/chunkBlocks, 0); err != nil || s.digester.missing[70/chunkBlocks] == 0 {
		t.Errorf("a digest of what has changed meanwhile is kept: %v", err)
	}
	digestAll(t, s)
	if _, _, err := everyEvent(t, s, store.EventQuery{Type: "none"}); err == nil {
		t.Error("a block that could not be read is passed by")
	}
}

// skipTo goes on with a later block, the first of a chunk, as where a day begins.
func skipTo(s *Store, block int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nextBlock%chunkBlocks != 0 && s.nextBlock > 1 {
		s.digester.want(s.nextBlock / chunkBlocks)
	}
	s.nextBlock = block
}

// digestAll sees to it that every full chunk and volume has a digest.
func digestAll(t *testing.T, s *Store) {
	t.Helper()
	for chunk, change, found := s.undigested(); found; chunk, change, found = s.undigested() {
		if err := s.makeDigest(t.Context(), chunk, change); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for table, blocks := range map[string]int64{"digests": chunkBlocks, "volumes": volumeBlocks} {
		same, err := sqlitex.ResultInt64(s.conn.Prep(fmt.Sprintf(
			"SELECT (SELECT count(*) FROM %s) = (SELECT count(DISTINCT id / %d) FROM blocks WHERE id < %d)",
			table, blocks, s.nextBlock/blocks*blocks)))
		if err != nil || same != 1 {
			t.Fatalf("%s are missing, or there are too many: %v", table, err)
		}
	}
}

func everyEvent(t *testing.T, s *Store, q store.EventQuery) (all []hook.Event, looked int, err error) {
	t.Helper()
	for {
		q.Limit = 60
		found, next, more, err := s.Events(t.Context(), q)
		all = append(all, found...)
		if looked++; err != nil || !more {
			return all, looked, err
		}
		q.Before = next
	}
}

func everyDelivery(t *testing.T, s *Store, q store.DeliveryQuery, now time.Time) (all []hook.Delivery) {
	t.Helper()
	for {
		q.Limit = 60
		found, next, err := s.Deliveries(t.Context(), q, now)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
		if next == nil {
			return all
		}
		q.Before = next
	}
}

// compareSearches makes many searches, and sifts what a search for everything
// finds for the same.
func compareSearches(t *testing.T, s *Store, start time.Time, hooks []int64) {
	t.Helper()
	now := start.Add(time.Minute) // some leases are held
	events, _, err := everyEvent(t, s, store.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	deliveries := everyDelivery(t, s, store.DeliveryQuery{}, now)
	times := []time.Time{{}, start.Add(chunkBlocks * 2 * time.Second), start.Add(chunkBlocks*4*time.Second + 30*time.Second), start.Add(24 * time.Hour)}
	for _, kind := range []string{"", "common", "rare", "none"} {
		for _, source := range []int64{0, 2} {
			for i, since := range times {
				until := times[(i+1)%len(times)]
				q := store.EventQuery{Type: kind, Source: source, Since: since, Until: until}
				want := slices.DeleteFunc(slices.Clone(events), func(e hook.Event) bool { return !wanted(&e, q) })
				got, _, err := everyEvent(t, s, q)
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
					t.Fatalf("%+v: %v (-want +got):\n%s", q, err, diff)
				}
				for _, number := range []int64{0, hooks[0], hooks[1], hooks[2], 99} {
					for _, states := range [][]hook.State{nil, {hook.Delivered}, {hook.Waiting}, {hook.Dead}, {hook.Sending, hook.Dead}, {hook.Waiting, hook.Cancelled}} {
						q := store.DeliveryQuery{Hook: number, Type: kind, Source: source, States: states, Since: since, Until: until}
						v := viewer{}
						want := slices.DeleteFunc(slices.Clone(deliveries), func(d hook.Delivery) bool { return !v.wants(&d, q) })
						if diff := cmp.Diff(want, everyDelivery(t, s, q, now), cmpopts.EquateEmpty()); diff != "" {
							t.Fatalf("%+v (-want +got):\n%s", q, diff)
						}
					}
				}
			}
		}
	}
}

// TestARareEventIsFoundQuickly counts what a search reads, and has retention
// remove what nobody reads any more.
func TestARareEventIsFoundQuickly(t *testing.T) {
	s := openNew(t)
	s.endBackground()
	const volumes = 10
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	keep := func(received time.Time) {
		e := &store.Event{Event: hook.Event{Source: 1, UUID: newUUID(), Type: "common", JSON: []byte("{}")}}
		if _, err := s.Commit(t.Context(), &store.Group{Received: received, Events: []*store.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	for volume := range int64(volumes) {
		skipTo(s, max(1, volume*volumeBlocks))
		for s.nextBlock%volumeBlocks != chunkBlocks+1 {
			keep(at.Add(time.Duration(volume) * time.Hour))
		}
		digestAll(t, s) // but not of the volume: more may come
	}
	skipTo(s, volumes*volumeBlocks)
	keep(at.Add(volumes * time.Hour))
	digestAll(t, s)
	looks := func(q sought) int {
		sieve := newSieve(s.conn, q)
		if from, to, err := sieve.next(volumes*volumeBlocks - 1); from <= to || err != nil {
			t.Errorf("%+v: blocks %d to %d are searched: %v", q, from, to, err)
		}
		return maxScan - sieve.left
	}
	for _, q := range []sought{{kind: "none"}, {source: 99}, {hook: 99, owed: true}, {until: at}} {
		if n := looks(q); n != volumes {
			t.Errorf("%+v: %d steps for %d volumes", q, n, volumes)
		}
	}
	if n := looks(sought{since: at.Add((volumes + 1) * time.Hour)}); n != 0 {
		t.Errorf("%d steps into what is too old", n)
	}
	for more := true; more; {
		var err error
		if _, more, err = s.Prune(t.Context(), at.Add(5*time.Hour), 1000); err != nil {
			t.Fatal(err)
		}
	}
	digestAll(t, s) // counts what is left
}

func TestTopRun(t *testing.T) {
	for _, c := range []struct {
		spans            uint64
		top, first, last int
		found            bool
	}{
		{0, 63, 0, 0, false},
		{math.MaxUint64, 63, 0, 63, true},
		{math.MaxUint64, 5, 0, 5, true},
		{1, 63, 0, 0, true},
		{1 << 63, 63, 63, 63, true},
		{1 << 63, 62, 0, 0, false},
		{0b0110_1110, 63, 5, 6, true},
		{0b0110_1110, 5, 5, 5, true},
		{0b0110_1110, 4, 1, 3, true},
	} {
		if first, last, found := topRun(c.spans, c.top); first != c.first || last != c.last || found != c.found {
			t.Errorf("topRun(%b, %d) = %d, %d, %v", c.spans, c.top, first, last, found)
		}
	}
}

// FuzzDigest reads any bytes as a digest: what cannot be read excludes nothing.
func FuzzDigest(f *testing.F) {
	d := newDigest()
	d.received.include(time.Unix(1000, 0))
	d.created.include(time.Unix(2000, 0))
	d.types["a"], d.types["b"], d.sources[1], d.hooks[7], d.unsure = 1, 2, 3, 4, 1<<40
	f.Add(d.append(nil), "a", int64(1), int64(7), int64(5))
	f.Add([]byte{}, "", int64(0), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, body []byte, kind string, source, number, since int64) {
		q := sought{kind: kind, source: source, hook: number, since: fromMicros(since)}
		q.in(body)
		whole := d.append(nil)
		if len(body) < len(whole) {
			if spans, last := q.in(whole[:len(body)]); spans != math.MaxUint64 || last != math.MaxInt64 {
				t.Fatalf("%d bytes of a digest exclude something", len(body))
			}
		}
	})
}
