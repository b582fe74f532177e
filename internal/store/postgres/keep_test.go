package postgres

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// tables are the partitions that there are of blocks.
func (d *database) tables() []string {
	d.Helper()
	return ask[[]string](d, `SELECT array_agg(relname::text ORDER BY relname) FROM pg_class
		WHERE relispartition AND relkind = 'r' AND relname LIKE 'blocks%'`)
}

func (d *database) prune(s *Store, before time.Time) (removed int) {
	d.Helper()
	for {
		n, more, err := s.Prune(context.Background(), before, 10)
		d.must(err)
		if removed += n; !more {
			return removed
		}
	}
}

func TestDaysAreDropped(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h := d.hook(s)
	d.commit(s, 3)
	d.advance(24 * time.Hour)
	owed := d.commit(s, 1, h.Number)[0]
	d.commit(s, 5)
	d.advance(24 * time.Hour)
	d.commit(s, 7)
	d.equal("pruned in the midst of the first day", d.prune(s, start.Add(11*time.Hour)), 0)
	made := []string{
		"blocks_20260301", "blocks_20260302", "blocks_20260303", "blocks_20260304", "blocks_20260305", "blocks_20260306", "blocks_other",
	}
	d.equal("partitions, of some days to come too", d.tables(), made)
	d.equal("pruned at its end", d.prune(s, start.Add(12*time.Hour)), 3)
	d.equal("left", slices.Contains(d.tables(), "blocks_20260301"), false)
	d.equal("pruned of a day that is owed in part", d.prune(s, d.now()), 5)
	d.equal("left", slices.Contains(d.tables(), "blocks_20260302"), true)
	d.equal("lost", len(d.settle(s, d.claim(s, h.Number, 1, lease)...)), 0)
	d.equal("pruned once it is settled", d.prune(s, d.now()), 1)
	d.equal("left", slices.Contains(d.tables(), "blocks_20260302"), false)
	if _, err := s.Event(t.Context(), owed.Seq); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Event: %v", err)
	}
	for _, parent := range []string{"settled", "ended", "filter_errors"} {
		d.equal("partitions of "+parent, ask[int](d, "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::text::regclass", parent), len(made)-2)
	}
}

// A reader of an old day keeps it from being dropped, and nobody from working.
func TestDropWaitsForNobody(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	d.commit(s, 3)
	d.advance(24 * time.Hour)
	reader := d.connect()
	defer reader.Close(t.Context())
	tx, err := reader.Begin(t.Context())
	d.must(err)
	var n int
	d.must(tx.QueryRow(t.Context(), "SELECT count(*) FROM blocks").Scan(&n))
	removed, more, err := s.Prune(t.Context(), d.now(), 10)
	d.must(err)
	if removed != 0 || more {
		t.Errorf("pruned %d, more: %v", removed, more)
	}
	d.commit(s, 1)
	d.must(tx.Rollback(t.Context()))
	d.equal("pruned", d.prune(s, d.now()), 3)
}

func TestOldestDayGoesWhole(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	d.commit(s, 3)
	d.commit(s, 4)
	d.advance(24 * time.Hour)
	for range 5 {
		d.commit(s, 1)
	}
	for _, want := range []int{7, 2, 2, 1, 0} {
		n, err := s.PruneOldest(t.Context(), 2)
		d.must(err)
		d.equal("removed", n, want)
	}
}

// Blocks that are removed one by one leave a hole in their table, which counts as
// free.
func TestBytesShrink(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h := d.hook(s)
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(i * i * 7919 >> 3)
	}
	d.commit(s, 1, h.Number)
	for range 10 {
		events := d.events(1)
		events[0].JSON = append([]byte(events[0].UUID), random...)
		_, err := s.Commit(t.Context(), d.group(s, events))
		d.must(err)
	}
	bytes := func() int64 {
		stats, err := s.Stats(t.Context())
		d.must(err)
		return stats.Bytes
	}
	before := bytes()
	payload := ask[int64](d, "SELECT sum(octet_length(payload)) FROM blocks")
	n, err := s.PruneOldest(t.Context(), 100)
	d.must(err)
	d.equal("removed", n, 10)
	if after := bytes(); before-after < payload/2 {
		t.Errorf("%d bytes before and %d after %d bytes of payload were removed", before, after, payload)
	}
}

// Events that were brought in from another store keep their small numbers, and
// go one by one.
func TestEventsFromElsewhere(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h := d.hook(s)
	conn := d.connect()
	defer conn.Close(t.Context())
	var all []*store.Event
	for i, e := range d.events(4) {
		b := pack.Block{ID: int64(i + 1)}
		received := start.Add(time.Duration(i-100) * time.Hour)
		e.Received = received
		b.Add(&e.Event)
		summary, payload := b.Encode(received)
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO blocks VALUES ($1, $2, 0, 1, $3, $4)", b.ID, micros(received), summary, payload)
		batch.Queue("INSERT INTO seen VALUES ($1, $2, $3)", dedupeKey(e.UUID), e.Source, int64(e.Seq))
		batch.Queue("UPDATE days SET newest = $1 WHERE day = 0", micros(received))
		d.must(conn.SendBatch(t.Context(), batch).Close())
		all = append(all, e)
	}
	d.exec("INSERT INTO work (block, created, matched, open, hook, replay) VALUES (2, 1, 1, 1, $1, 0)", h.Number)
	fresh := d.commit(s, 1)
	listed, _, _, err := s.Events(t.Context(), store.EventQuery{Limit: 10})
	d.must(err)
	var order []hook.Seq
	for _, e := range listed {
		order = append(order, e.Seq)
	}
	d.equal("listed", order, []hook.Seq{fresh[0].Seq, all[3].Seq, all[2].Seq, all[1].Seq, all[0].Seq})

	again := d.events(0)
	for _, e := range all {
		again = append(again, &store.Event{Event: e.Event})
	}
	duplicates := func(want int) {
		t.Helper()
		_, err := s.Commit(t.Context(), d.group(s, again))
		d.must(err)
		n := 0
		for _, e := range again {
			if e.Duplicate {
				n++
			}
		}
		d.equal("duplicates", n, want)
	}
	forget := func(before time.Time) {
		t.Helper()
		more, err := s.Forget(t.Context(), before, 100)
		d.must(err)
		d.equal("more", more, false)
	}
	duplicates(4)
	d.equal("pruned", d.prune(s, all[3].Received), 2)
	forget(start)
	duplicates(4) // one is owed, one is young
	c := d.claim(s, h.Number, 1, lease)
	d.equal("claimed", c[0].Seq, all[1].Seq)
	d.equal("lost", len(d.settle(s, c...)), 0)
	delivery, err := s.Delivery(t.Context(), c[0].Key, d.now())
	d.must(err)
	d.equal("the attempt", delivery.Attempts, []hook.Attempt{{At: start, Duration: time.Millisecond, Status: 204}})
	d.equal("pruned", d.prune(s, start), 2)
	forget(all[3].Received)
	duplicates(4)
	forget(start)
	duplicates(0)
}

// Forgetting goes on where it was, in pieces.
func TestForgetInPieces(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	old := d.commit(s, 2500)
	d.advance(24 * time.Hour)
	young := d.commit(s, 500)
	d.equal("pruned", d.prune(s, d.now()), 2500)
	pieces := 0
	for more := true; more; pieces++ {
		var err error
		more, err = s.Forget(t.Context(), d.now(), 1)
		d.must(err)
	}
	d.equal("several pieces", pieces > 3, true)
	d.equal("keys", ask[int](d, "SELECT count(*) FROM seen"), 500)
	more, err := s.Forget(t.Context(), d.now(), 1)
	d.must(err)
	d.equal("more", more, false)
	for _, events := range [][]*store.Event{old[:1], young[:1]} {
		again := []*store.Event{{Event: events[0].Event}}
		_, err := s.Commit(t.Context(), d.group(s, again))
		d.must(err)
		d.equal("duplicate", again[0].Duplicate, &events[0] == &young[0])
	}
}

// What waited for a hook that is deleted leaves the queue, and stays cancelled.
func TestCancelledLeaveTheQueue(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h, other := d.hook(s), d.hook(s)
	d.commit(s, 5, h.Number, other.Number)
	c := d.claim(s, h.Number, 3, lease)
	_, err := s.Settle(t.Context(), []store.Outcome{d.outcome(c[0], hook.Waiting), d.outcome(c[1], hook.Delivered)})
	d.must(err)
	d.must(s.DeleteEventHook(t.Context(), h.ID, d.now(), func(hook.EventHook) error { return nil }))
	list := func() (states []hook.State) {
		found, _, err := s.Deliveries(t.Context(), store.DeliveryQuery{Hook: h.Number, Limit: 10}, d.now())
		d.must(err)
		for _, found := range found {
			states = append(states, found.State)
		}
		return states
	}
	left := func(rows int) {
		t.Helper()
		d.prune(s, start.Add(-time.Hour))
		d.equal("rows in the queue", ask[int](d, "SELECT (SELECT count(*) FROM work WHERE hook = $1) + (SELECT count(*) FROM retries WHERE hook = $1)", h.Number), rows)
	}
	want := []hook.State{hook.Cancelled, hook.Cancelled, hook.Sending, hook.Delivered, hook.Cancelled}
	d.equal("states", list(), want)
	left(1) // what is being sent
	d.equal("states", list(), want)
	d.advance(lease)
	left(0)
	want[2] = hook.Cancelled
	d.equal("states", list(), want)
	stats, err := s.Stats(t.Context())
	d.must(err)
	d.equal("counters", stats.Hooks[h.Number], hook.HookCount{Matched: 5, Delivered: 1, Cancelled: 4, Attempts: 2})
	d.equal("the other hook's", len(d.claim(s, other.Number, 9, lease)), 5)
}
