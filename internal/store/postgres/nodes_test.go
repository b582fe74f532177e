package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Two processes claim from one queue at once.
func TestClaimsOfTwoNodesNeverOverlap(t *testing.T) {
	d := newStopped(t)
	nodes := []*Store{d.open(), d.open(), d.open()}
	h := d.hook(nodes[0])
	const groups, size = 40, 7
	for range groups {
		d.commit(nodes[0], size, h.Number)
	}
	var mu sync.Mutex
	times := make(map[hook.Key]int)
	epochs := make(map[int64]bool)
	var wait sync.WaitGroup
	for i, s := range nodes {
		wait.Go(func() {
			for idle := 0; idle < 3; {
				claims, _, err := s.Claim(t.Context(), h.Number, d.now(), 3+i, 1<<20, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				if len(claims) == 0 {
					idle++ // others may have been at the last rows
				}
				mu.Lock()
				for _, c := range claims {
					times[c.Key]++
					epochs[c.Epoch] = true
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(times) != groups*size || len(epochs) != groups*size {
		t.Errorf("%d deliveries were claimed, by %d epochs, want %d", len(times), len(epochs), groups*size)
	}
	for key, n := range times {
		if n != 1 {
			t.Errorf("%v was claimed %d times", key, n)
		}
	}
}

// Only who holds a lease may settle, and the database's clock ends it, whatever
// the clocks of the processes show.
func TestLeasesEndByTheDatabasesClock(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	h := d.hook(a)
	d.commit(a, 2, h.Number)
	mine := d.claim(a, h.Number, 2, lease)
	later := d.now().Add(24 * time.Hour)
	none, next, err := b.Claim(t.Context(), h.Number, later, 2, 1<<20, lease)
	d.must(err)
	if len(none) > 0 {
		t.Errorf("a clock that is ahead has ended a lease: %v", keys(none))
	}
	d.equal("next, by the clock that is ahead", next, later.Add(lease))

	d.advance(lease)
	behind := d.now().Add(-time.Second)
	theirs, _, err := b.Claim(t.Context(), h.Number, behind, 1, 1<<20, lease)
	d.must(err)
	if len(theirs) != 1 || !theirs[0].Until.Equal(behind.Add(lease)) {
		t.Fatalf("claims %v after the lease has ended", theirs)
	}
	_, lost, err := a.Renew(t.Context(), mine, d.now(), lease)
	d.must(err)
	d.equal("lost of the lease that has ended", len(lost), 2)
	d.equal("lost", d.settle(a, mine...), []hook.Key{theirs[0].Key})
	d.equal("lost by who has it now", len(d.settle(b, theirs...)), 0)
}

func TestLeasesOfAProcessThatIsGoneAreFreed(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	h := d.hook(a)
	d.beat(a)
	d.beat(b)
	d.commit(a, 3, h.Number)
	first := d.claim(a, h.Number, 3, time.Hour)
	_, err := a.Settle(t.Context(), []store.Outcome{d.outcome(first[0], hook.Waiting)})
	d.must(err)
	d.claim(a, h.Number, 1, time.Hour)
	held, err := a.Lead(t.Context(), "upkeep", time.Hour)
	d.must(err)
	d.equal("a leads", held, true)

	crash(a)
	d.advance(3 * store.BeatEvery)
	d.equal("members, so long after the crash", len(d.beat(b).All), 2)
	d.equal("claims while it may be alive", len(d.claim(b, h.Number, 5, lease)), 0)
	d.advance(time.Millisecond)
	m := d.beat(b)
	d.equal("members", m.All, []int64{m.Self})
	d.equal("due hooks", m.Due, []int64{h.Number})
	held, err = b.Lead(t.Context(), "upkeep", time.Hour)
	d.must(err)
	d.equal("b leads", held, true)
	d.equal("claims", len(d.claim(b, h.Number, 5, lease)), 3)
}

// A process that is paused keeps its leases until they end by themselves, as its
// connections live on; but the others do not count on it.
func TestPausedProcess(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	h := d.hook(a)
	d.beat(a)
	d.beat(b)
	d.listening(a, b)
	d.commit(a, 1, h.Number)
	mine := d.claim(a, h.Number, 1, lease)
	d.advance(4*store.BeatEvery + time.Millisecond)
	m := d.beat(b)
	d.equal("members", m.All, []int64{m.Self})
	d.equal("claims of what the paused one holds", len(d.claim(b, h.Number, 1, lease)), 0)

	again := d.beat(a)
	d.equal("members once it is awake", again.All, []int64{again.Self, m.Self})
	d.equal("lost", len(d.settle(a, mine...)), 0)
	// The other has divided what they share among those it knew of.
	d.equal("it is one of them at once", again.Joined, false)
	d.advance(2 * store.BeatEvery)
	d.equal("members when the other has seen it", d.beat(b).All, []int64{again.Self, m.Self})
	d.equal("it is one of them now", d.beat(a).Joined, true)

	d.advance(time.Minute)
	d.equal("the first to be back is one at once", d.beat(b).Joined, true)
	d.equal("the second is", d.beat(a).Joined, false)
}

// listening waits until processes hold the locks on their numbers.
func (d *database) listening(nodes ...*Store) {
	d.Helper()
	for _, s := range nodes {
		for !ask[bool](d, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1735549187 AND objid = $1 AND granted)", s.node.Load()) {
		}
	}
}

// One that was counted as gone joins again as another.
func TestProcessThatWasCountedAsGone(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	h := d.hook(a)
	before := d.beat(a).Self
	d.beat(b)
	d.commit(a, 1, h.Number)
	mine := d.claim(a, h.Number, 1, time.Hour)
	a.cluster.close() // its connection breaks, and it does not beat
	for ask[bool](d, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = $2)", nodeLocks, before) {
		// the server has not noticed yet
	}
	d.advance(3*store.BeatEvery + time.Millisecond)
	d.equal("members", len(d.beat(b).All), 1)
	m := d.beat(a)
	if m.Self == before || len(m.All) != 2 || m.Joined {
		t.Errorf("it was %d and is %+v", before, m)
	}
	d.equal("lost", len(d.settle(a, mine...)), 1)
	d.equal("claims", len(d.claim(b, h.Number, 1, lease)), 1)
}

func TestMembersAndJoined(t *testing.T) {
	d := newStopped(t)
	a, b, c := d.open(), d.open(), d.open()
	local := time.Now()
	first := d.beat(a)
	if !first.Joined || !slices.Equal(first.All, []int64{first.Self}) {
		t.Errorf("alone: %+v", first)
	}
	if limit := local.Add(3 * store.BeatEvery); first.Until.Before(limit) || first.Until.After(time.Now().Add(3*store.BeatEvery)) {
		t.Errorf("until %v, want %v", first.Until, limit)
	}
	second := d.beat(b)
	d.equal("the second has joined", second.Joined, false)
	d.equal("members", second.All, []int64{first.Self, second.Self})
	d.equal("the first has joined still", d.beat(a).Joined, true)
	d.advance(2*store.BeatEvery - time.Millisecond)
	d.equal("the second has joined a little too early", d.beat(b).Joined, false)
	d.equal("the third has joined", d.beat(c).Joined, false)
	d.advance(time.Millisecond)
	d.equal("the second has joined", d.beat(b).Joined, true)
	d.beat(a)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	m := d.beat(a)
	d.equal("members once one has closed", m.All, []int64{first.Self, int64(c.node.Load())})
}

func TestHookChangesAreSeenByCommitsOfOthers(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	h := d.hook(a)
	old := d.group(b, d.events(1, h.Number))
	changes := d.beat(b).Changes
	_, err := a.UpdateEventHook(t.Context(), h.ID, d.now(), func(h *hook.EventHook, _ []hook.EventHook) error { h.Name = "x"; return nil })
	d.must(err)
	if _, err := b.Commit(t.Context(), old); !errors.Is(err, store.ErrRevision) {
		t.Errorf("Commit: %v, want ErrRevision", err)
	}
	for _, change := range []func() error{
		func() error {
			_, err := a.Hold(t.Context(), h.Number, hook.ReasonGone, d.now(), time.Time{})
			return err
		},
		func() error { return a.CreateSource(t.Context(), &hook.Source{Name: "acme"}) },
	} {
		now := d.beat(b).Changes
		if now <= changes {
			t.Errorf("changes are counted %d after %d", now, changes)
		}
		changes = now
		d.must(change())
	}
}

// A commit is under way while a hook is changed: the change waits for it, so that
// it holds for every event that is acknowledged after it, and the commit, which
// was first, is not refused.
func TestHookChangeWaitsForCommits(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	h := d.hook(a)
	d.commit(a, 1) // so that the day has its partitions
	events := d.events(1, h.Number)
	held := d.hold(events[0])
	group := d.group(a, events)
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := a.Commit(t.Context(), group); err != nil {
			t.Error(err)
		}
	})
	held.Ready()
	wait.Go(func() {
		_, err := b.UpdateEventHook(t.Context(), h.ID, d.now(), func(*hook.EventHook, []hook.EventHook) error { return nil })
		if err != nil {
			t.Error(err)
		}
	})
	conn := d.connect()
	defer conn.Close(context.Background())
	for waiting := 0; waiting < 2; {
		d.must(conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'grapnel' AND wait_event_type = 'Lock'`).Scan(&waiting))
	}
	held.Release()
	wait.Wait()
}

func TestLeadMoves(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	lead := func(s *Store, duty string, want bool) {
		t.Helper()
		held, err := s.Lead(t.Context(), duty, 10*time.Second)
		d.must(err)
		d.equal("leads", held, want)
	}
	lead(a, "upkeep", true)
	lead(b, "upkeep", false)
	lead(b, "alerts", true)
	d.advance(9 * time.Second)
	lead(a, "upkeep", true)
	d.advance(9 * time.Second)
	lead(b, "upkeep", false)
	d.advance(time.Second)
	lead(b, "upkeep", true)
	lead(a, "upkeep", false)
	d.must(b.Close())
	lead(a, "upkeep", true)
}

func TestHints(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	hints := make(chan store.Hint, 100)
	b.Watch(func(h store.Hint) { hints <- h })
	a.Watch(func(h store.Hint) { t.Errorf("a hears %+v, which it has done itself", h) })
	d.listening(a, b)
	h := d.hook(a)
	d.equal("a new hook", <-hints, store.Hint{Changed: true})
	_, err := a.Hold(t.Context(), h.Number, hook.ReasonGone, d.now(), time.Time{})
	d.must(err)
	d.equal("a hold", <-hints, store.Hint{Changed: true})
	a.Wake(7, h.Number)
	a.Wake(7, 9)
	want := []int64{h.Number, 7, 9}
	var due []int64
	for len(due) < len(want) {
		due = append(due, (<-hints).Due...)
	}
	slices.Sort(due)
	d.equal("due", due, want)

	// The connection breaks: what was missed meanwhile may have been a change.
	d.exec("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1735549187 AND objid = $1", b.node.Load())
	d.equal("after the connection broke", <-hints, store.Hint{Changed: true})
}

// A hint is never needed: what it says is in the next Beat too.
func TestBeatTellsWhatIsDue(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	due := func(want ...int64) {
		t.Helper()
		d.equal("due", slices.Equal(d.beat(b).Due, want), true)
	}
	fresh, retried := d.hook(a), d.hook(a)
	due()
	d.commit(a, 1, fresh.Number, retried.Number)
	due(fresh.Number, retried.Number)
	c := d.claim(a, retried.Number, 1, lease)[0]
	due(fresh.Number)
	o := d.outcome(c, hook.Waiting)
	o.Due = d.now().Add(time.Hour)
	_, err := a.Settle(t.Context(), []store.Outcome{o})
	d.must(err)
	due(fresh.Number)
	d.claim(a, fresh.Number, 1, 2*time.Hour)
	due()
	d.advance(time.Hour)
	due(retried.Number)
	d.must(a.DeleteEventHook(t.Context(), retried.ID, d.now(), func(hook.EventHook) error { return nil }))
	due()
}

func TestNotices(t *testing.T) {
	hooks := make(map[int64]bool)
	for i := range int64(3000) {
		hooks[i*1_000_003+1] = true
	}
	notices := dueNotices(7, hooks)
	if len(notices) < 3 {
		t.Errorf("%d notices of 3000 hooks", len(notices))
	}
	for _, text := range notices {
		from, hint, ok := parseNotice(text)
		if !ok || from != 7 || len(text) >= 8000 {
			t.Errorf("a notice of %d bytes is from %d: %v", len(text), from, ok)
		}
		for _, number := range hint.Due {
			delete(hooks, number)
		}
	}
	if len(hooks) > 0 {
		t.Errorf("%d hooks are told of nowhere", len(hooks))
	}
	if got := dueNotices(7, nil); got != nil {
		t.Errorf("notices of nothing: %q", got)
	}
}

func FuzzNotice(f *testing.F) {
	for _, text := range []string{"7 changed", "7 due 1 2", "", "7", "7 due", "0 changed", "7 due -1", "7 due 99999999999999999999", "x changed", "7 changed 1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		from, hint, ok := parseNotice(text)
		if !ok {
			return
		}
		due := make(map[int64]bool)
		for _, number := range hint.Due {
			due[number] = true
		}
		again := dueNotices(int32(from), due)
		if hint.Changed {
			again = append(again, fmt.Sprintf("%d changed", from))
		}
		if len(again) == 0 {
			t.Fatalf("%q says nothing", text)
		}
		for _, text := range again {
			if sender, _, ok := parseNotice(text); !ok || sender != from {
				t.Errorf("%q is not read", text)
			}
		}
	})
}
