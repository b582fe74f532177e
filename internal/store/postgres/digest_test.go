package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/storetest"
)

// spread has few blocks share a chunk, so that a few events need many digests.
func (d *database) spread(by int) {
	d.Helper()
	d.exec(fmt.Sprintf("ALTER SEQUENCE block_ids INCREMENT BY %d", by))
}

// openIdle opens the store such that it makes digests when the test wants.
func (d *database) openIdle() *Store {
	d.Helper()
	s := d.open()
	s.idle()
	return s
}

// idle keeps a store that was just opened from making digests by itself.
func (s *Store) idle() { s.cluster.digesting = true }

// digestAll makes the digests that are missing.
func (d *database) digestAll(s *Store) {
	d.Helper()
	for more := true; more; {
		var err error
		more, err = s.makeDigest(context.Background())
		d.must(err)
	}
}

// upToDate is a store that has digests of all that may have some before it lists
// anything.
type upToDate struct{ *Store }

func (u upToDate) digest(ctx context.Context) {
	for more := true; more; {
		more, _ = u.makeDigest(ctx) // a search does without
	}
}

func (u upToDate) Events(ctx context.Context, q store.EventQuery) ([]hook.Event, hook.Seq, bool, error) {
	u.digest(ctx)
	return u.Store.Events(ctx, q)
}

func (u upToDate) Deliveries(ctx context.Context, q store.DeliveryQuery, now time.Time) ([]hook.Delivery, *hook.Key, error) {
	u.digest(ctx)
	return u.Store.Deliveries(ctx, q, now)
}

// The whole contract holds where almost every block has a digest.
func TestConformanceWithDigests(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as TestConformance, which is much the same")
	}
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		db := newStopped(t)
		db.spread(23)
		f := fixture(db)
		f.Open = func() (store.Store, error) {
			s, err := Open(context.Background(), Options{URL: db.url})
			return upToDate{s}, err
		}
		return f
	})
}

// searched is a store with rare and common things of every kind, in many chunks
// of three days.
type searched struct {
	*database
	*Store
	hooks  []int64
	events []*store.Event
}

func newSearched(t *testing.T) *searched {
	d := newStopped(t)
	d.spread(13)
	s := &searched{d, d.openIdle(), nil, nil}
	for range 3 {
		s.hooks = append(s.hooks, d.hook(s.Store).Number)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 90 {
		if i%30 == 29 {
			d.advance(24 * time.Hour)
		}
		events := d.events(1+i%3, s.hooks[0])
		if e := events[len(events)-1]; random.IntN(10) == 0 {
			e.Type, e.Source, e.Hooks = "rare", 2, s.hooks[:2]
		}
		d.advance(time.Second)
		_, err := s.Commit(t.Context(), d.group(s.Store, events))
		d.must(err)
		s.events = append(s.events, events...)
	}
	for _, number := range s.hooks[:2] {
		var outcomes []store.Outcome
		for i, c := range d.claim(s.Store, number, 120, lease) {
			if o := d.outcome(c, []hook.State{hook.Delivered, hook.Dead, hook.Waiting}[i%3]); i%4 != 3 {
				outcomes = append(outcomes, o)
			}
		}
		_, err := s.Settle(t.Context(), outcomes)
		d.must(err)
	}
	return s
}

func (s *searched) replay(t *testing.T, seqs ...hook.Seq) {
	t.Helper()
	s.advance(time.Hour)
	r := store.Replay{ID: "again", Hook: s.hooks[2], Created: s.now()}
	s.must(s.CreateReplay(t.Context(), &r))
	added, err := s.AddToReplay(t.Context(), &r, seqs, r.Created)
	s.must(err)
	s.equal("added", added, len(seqs))
}

func everyEvent(s *Store, q store.EventQuery) (all []hook.Event, err error) {
	for more := true; more; {
		var found []hook.Event
		q.Limit = 7
		found, q.Before, more, err = s.Events(context.Background(), q)
		if all = append(all, found...); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func everyDelivery(s *Store, q store.DeliveryQuery) (all []hook.Delivery, err error) {
	for {
		q.Limit = 7
		found, next, err := s.Deliveries(context.Background(), q, time.Time{})
		if all = append(all, found...); err != nil || next == nil {
			return all, err
		}
		q.Before = next
	}
}

// compare makes many searches, and sifts what a search for everything finds for
// the same. It says how many of them have found something.
func (s *searched) compare(t *testing.T) (found int) {
	t.Helper()
	events, err := everyEvent(s.Store, store.EventQuery{})
	s.must(err)
	deliveries, err := everyDelivery(s.Store, store.DeliveryQuery{})
	s.must(err)
	check := func(q, want, got any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%+v: %v (-want +got):\n%s", q, err, diff)
		}
	}
	times := []time.Time{{}, start.Add(10 * time.Second), start.Add(24*time.Hour + 45*time.Second), start.Add(72 * time.Hour)}
	for _, kind := range []string{"", "rare", "none"} {
		for _, source := range []int64{0, 2} {
			for i, since := range times {
				until := times[(i+1)%len(times)]
				q := store.EventQuery{Type: kind, Source: source, Since: since, Until: until}
				want := slices.DeleteFunc(slices.Clone(events), func(e hook.Event) bool { return !wanted(&e, q) })
				got, err := everyEvent(s.Store, q)
				check(q, want, got, err)
				for _, number := range []int64{0, s.hooks[1], s.hooks[2]} {
					for _, states := range [][]hook.State{nil, {hook.Waiting, hook.Sending}} {
						q := store.DeliveryQuery{Hook: number, Type: kind, Source: source, States: states, Since: since, Until: until}
						want := slices.DeleteFunc(slices.Clone(deliveries), func(d hook.Delivery) bool { return !wants(&d, q) })
						got, err := everyDelivery(s.Store, q)
						check(q, want, got, err)
						found += min(1, len(got))
					}
				}
			}
		}
	}
	return found
}

func (s *searched) digested() int { return ask[int](s.database, "SELECT count(*) FROM digests") }

func TestDigestsTellNoLies(t *testing.T) {
	s := newSearched(t)
	without := s.compare(t)
	s.equal("digests", s.digested(), 0)
	s.digestAll(s.Store)
	s.equal("chunks without a digest", ask[int](s.database, "SELECT count(DISTINCT id >> 6) FROM blocks")-s.digested(), 1)
	s.equal("searches that find something", s.compare(t), without)
	newest := s.events[len(s.events)-1].Seq
	s.replay(t, s.events[0].Seq, s.events[70].Seq, newest)
	with := s.compare(t)
	if with <= without {
		t.Errorf("%d searches find something, and found it before the replay too", with)
	}
	s.exec("TRUNCATE digests, postings")
	s.equal("searches that find something without digests", s.compare(t), with)
	s.digestAll(s.Store)
	s.equal("searches that find something with new ones", s.compare(t), with)
	s.must(s.DeleteEventHook(t.Context(), "who2", s.now(), func(hook.EventHook) error { return nil }))
	n, err := s.PruneOldest(t.Context(), 40)
	s.must(err)
	if n == 0 {
		t.Error("nothing pruned")
	}
	s.compare(t)
	s.equal("findings of a check", s.findings(), "")
}

// findings is what a check says of digests.
func (s *searched) findings() string {
	s.Helper()
	report, err := Check(context.Background(), Options{URL: s.url}, nil)
	s.must(err)
	var found []string
	for _, f := range report.Findings {
		if f.Fault == store.FaultDigest {
			found = append(found, f.Thing+": "+f.Problem)
		}
	}
	return strings.Join(found, "\n")
}

// What is rare is found in few blocks, and what cannot be read is read by
// whoever searches.
func TestSearchesPassByBlocks(t *testing.T) {
	s := newSearched(t)
	damaged := s.events[80].Seq.Block()
	s.exec("UPDATE blocks SET summary = '\\x07' WHERE id = $1", damaged)
	s.digestAll(s.Store)
	blocks := func(q sought) (ids []int64) {
		sieve := newSieve(t.Context(), s.pool, q, 0, 1<<62)
		for {
			next, err := sieve.next(3)
			s.must(err)
			if len(next) == 0 {
				return ids
			}
			ids = append(ids, next...)
		}
	}
	rare, owed := []int64{}, []int64{}
	for _, e := range slices.Backward(s.events) {
		block := e.Seq.Block()
		if block>>chunkBits == s.events[len(s.events)-1].Seq.Block()>>chunkBits {
			continue // it has no digest yet
		}
		if (e.Type == "rare" || block == damaged) && !slices.Contains(rare, block) {
			rare = append(rare, block)
		}
		if (len(e.Hooks) > 1 || block == damaged) && !slices.Contains(owed, block) {
			owed = append(owed, block)
		}
	}
	for _, c := range []struct {
		q    sought
		want []int64
	}{
		{sought{kind: "rare"}, rare},
		{sought{source: 2}, rare},
		{sought{source: 2, kind: "rare", owed: true}, rare},
		{sought{owed: true, hook: s.hooks[1]}, owed},
		{sought{kind: "none"}, []int64{damaged}},
		{sought{owed: true, hook: s.hooks[2]}, []int64{damaged}},
		{sought{owed: true, hook: s.hooks[0], until: start}, []int64{damaged}},
		{sought{owed: true, since: s.now()}, []int64{damaged}},
		{sought{until: start}, []int64{damaged}},
	} {
		s.equal(fmt.Sprintf("blocks for %+v", c.q), blocks(c.q), c.want)
	}
	if _, err := everyEvent(s.Store, store.EventQuery{Type: "none"}); err == nil {
		t.Error("a block that cannot be read is passed by")
	}
}

// A chunk has no digest while a commit is open that has a number in it, and a
// later chunk has none before it.
func TestNoDigestOfWhatMayStillAppear(t *testing.T) {
	d := newStopped(t)
	d.spread(64)
	s := d.openIdle()
	d.commit(s, 1)
	d.commit(s, 1)
	late := d.events(1)
	late[0].Type = "late"
	held := d.hold(late[0])
	committed := make(chan error)
	go func() {
		_, err := s.Commit(context.Background(), d.group(s, late))
		committed <- err
	}()
	held.Ready()
	for range 6 {
		d.commit(s, 1)
	}
	d.digestAll(s)
	first := ask[int64](d, "SELECT min(id) >> 6 FROM blocks")
	d.equal("digested", ask[[]int64](d, "SELECT array_agg(chunk) FROM digests"), []int64{first})
	held.Release()
	d.must(<-committed)
	d.digestAll(s)
	d.equal("digested", ask[int](d, "SELECT count(*) FROM digests"), 8)
	found, err := everyEvent(s, store.EventQuery{Type: "late"})
	d.must(err)
	d.equal("found", len(found), 1)
}

// A replay that is under way while a digest is made, and one that comes in
// between, are found.
func TestReplayWhileDigestsAreMade(t *testing.T) {
	d := newStopped(t)
	d.spread(64)
	s := d.openIdle()
	h := d.hook(s)
	e := d.commit(s, 1)[0]
	d.commit(s, 1)
	for i := range 2 {
		r := store.Replay{ID: fmt.Sprint("again", i), Hook: h.Number, Created: d.now()}
		d.must(s.CreateReplay(t.Context(), &r))
		other, watcher := d.connect(), d.connect()
		tx, err := other.Begin(t.Context())
		d.must(err)
		_, err = tx.Exec(t.Context(), "SELECT add_to_replay($1, $2, $3, $4, $5)",
			r.Number, h.Number, micros(d.now()), []int64{e.Seq.Block()}, []int64{1})
		d.must(err)
		if i > 0 {
			d.must(tx.Commit(t.Context()))
			d.digestAll(s)
		} else {
			made := make(chan error)
			go func() {
				_, err := s.makeDigest(context.Background())
				made <- err
			}()
			d.waitFor(watcher)
			d.must(tx.Commit(t.Context()))
			d.must(<-made)
		}
		other.Close(t.Context())
		watcher.Close(t.Context())
		d.equal("digested", ask[int](d, "SELECT count(*) FROM digests"), 1)
		found, err := everyDelivery(s, store.DeliveryQuery{Hook: h.Number, Type: "a"})
		d.must(err)
		d.equal("found", len(found), i+1)
	}
}

// Two processes make a digest at once: one of them keeps it.
func TestDigestsAreMadeOnce(t *testing.T) {
	d := newStopped(t)
	d.spread(64)
	a, b := d.openIdle(), d.openIdle()
	for range 9 {
		d.commit(a, 1)
	}
	done := make(chan error)
	for _, s := range []*Store{a, b} {
		go func() {
			for more := true; more; {
				var err error
				if more, err = s.makeDigest(context.Background()); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	d.must(<-done)
	d.must(<-done)
	d.equal("digests", ask[int](d, "SELECT count(*) FROM digests"), 8)
}

// Digests go with their day, those of events from elsewhere with the last of them.
func TestDigestsArePruned(t *testing.T) {
	d := newStopped(t)
	d.spread(32)
	s := d.openIdle()
	d.exec("INSERT INTO blocks SELECT i, $1, 0, 1, '\\x07', '' FROM generate_series(1, 200) i", micros(start.Add(-48*time.Hour)))
	for range 3 {
		for range 5 {
			d.commit(s, 1)
		}
		d.advance(24 * time.Hour)
	}
	d.commit(s, 1)
	d.digestAll(s)
	days := func() []int64 {
		return ask[[]int64](d, "SELECT array_agg(DISTINCT day ORDER BY day) FROM (SELECT chunk >> 30 AS day FROM digests UNION ALL SELECT chunk >> 30 FROM postings) t")
	}
	day := start.Unix() / (24 * 60 * 60)
	d.equal("days with digests", days(), []int64{0, day, day + 1, day + 2})
	d.prune(s, start.Add(-time.Hour))
	d.equal("days with digests", days(), []int64{day, day + 1, day + 2})
	d.prune(s, start.Add(13*time.Hour))
	d.equal("days with digests", days(), []int64{day + 1, day + 2})
}

// The process that has the duty makes digests by itself, as it commits; another
// does so once it has gone, at its next Beat.
func TestDigestsMakeThemselves(t *testing.T) {
	d := newDatabase(t)
	d.clock = start
	d.spread(64)
	a, b, c := d.open(), d.open(), d.openIdle()
	until := func(digests int, meanwhile func()) {
		t.Helper()
		for ask[int](d, "SELECT count(*) FROM digests") < digests {
			meanwhile()
		}
	}
	doer := func() int32 { return ask[int32](d, "SELECT node FROM duties WHERE name = 'digests'") }
	d.commit(a, 1)
	d.commit(a, 1)
	until(1, func() {})
	d.equal("who does it", doer(), a.node.Load())
	d.must(a.Close())
	d.commit(c, 1)
	until(2, func() { d.beat(b) })
	d.equal("who does it", doer(), b.node.Load())
}

// TestCheckDigests damages digests in every way that would hide something.
func TestCheckDigests(t *testing.T) {
	s := newSearched(t)
	s.digestAll(s.Store)
	s.replay(t, s.events[0].Seq)
	s.equal("found without any damage", s.findings(), "")
	chunk := s.events[0].Seq.Block() >> chunkBits
	want := fmt.Sprintf("blocks %d to %d: searches pass by what is there; TRUNCATE", chunk<<chunkBits, chunk<<chunkBits+63)
	for _, damage := range []string{
		"DELETE FROM digests WHERE chunk = $1",
		"UPDATE digests SET received_from = received_from + 1 WHERE chunk = $1",
		"UPDATE digests SET owed_from = owed_from + 1 WHERE chunk = $1",
		"UPDATE digests SET owed_to = owed_to - 1 WHERE chunk = $1",
		"UPDATE digests SET owed_to = NULL WHERE chunk = $1",
		"DELETE FROM postings WHERE of = 1 AND chunk = $1",
		"UPDATE postings SET blocks = 0 WHERE of = 2 AND chunk = $1",
		"DELETE FROM postings WHERE of = 3 AND thing = 3 AND chunk = $1",
		"UPDATE postings SET blocks = blocks & (blocks - 1) WHERE of = 3 AND thing = 0 AND chunk = $1",
	} {
		s.exec(damage, chunk)
		if found := s.findings(); !strings.HasPrefix(found, want) {
			t.Errorf("%s: found %q, want %q", damage, found, want)
		}
		s.exec("TRUNCATE digests, postings")
		s.digestAll(s.Store)
	}
	s.equal("found after the remedy", s.findings(), "")
}
