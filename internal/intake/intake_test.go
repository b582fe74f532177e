package intake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/intake"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// faulty is the real store, whose commits can be made to fail, or to wait.
type faulty struct {
	*sqlite.Store
	mu     sync.Mutex
	before func(g *store.Group) error // called before every commit, if not nil
	groups []store.Group
}

func (f *faulty) Commit(ctx context.Context, g *store.Group) ([]store.Claim, error) {
	f.mu.Lock()
	before := f.before
	f.groups = append(f.groups, *g)
	f.mu.Unlock()
	if before != nil {
		if err := before(g); err != nil {
			if errors.Is(err, errLate) {
				return f.fail(ctx, g)
			}
			return nil, err
		}
	}
	return f.Store.Commit(ctx, g)
}

var (
	errFull = errors.New("the disk is full")
	errLate = errors.New("the disk is full, as the group is being written")
)

// fail has the real store fail at the end of the group: after it has written
// most of it, and asked for every delivery whether it is to be leased.
func (f *faulty) fail(ctx context.Context, g *store.Group) (_ []store.Claim, err error) {
	broken := *g
	broken.Rejected = append(slices.Clone(g.Rejected), nil)
	defer func() {
		if recover() != nil {
			err = errLate
		}
	}()
	return f.Store.Commit(ctx, &broken)
}

// room is a dispatcher with a little room: it counts what it promised.
type room struct {
	mu    sync.Mutex
	free  int
	out   map[int64]int // promised and neither taken nor released, by hook
	taken []hook.Key
	woken map[int64]bool
}

func newRoom(free int) *room {
	return &room{free: free, out: map[int64]int{}, woken: map[int64]bool{}}
}

func (r *room) Reserve(number int64, _ int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free == 0 {
		return false
	}
	r.free--
	r.out[number]++
	return true
}

func (r *room) Release(number int64, _ int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free++
	r.out[number]--
}

func (r *room) Take(claims []store.Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range claims {
		r.out[c.Hook]--
		r.taken = append(r.taken, c.Key)
	}
}

func (r *room) Wake(number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken[number] = true
}

func (r *room) Lease() time.Duration { return time.Minute }

// promised is how many promises are still open.
func (r *room) promised() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, count := range r.out {
		n += count
	}
	return n
}

// door is an Intake over a real store.
type door struct {
	testing.TB
	*intake.Intake
	store *faulty
	room  *room
	stop  func() // ends Run
}

func newDoor(t *testing.T, path string, free int) *door {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	d := &door{TB: t, store: &faulty{Store: s}}
	d.enter(free)
	return d
}

// enter has an Intake of its own run over the door's store.
func (d *door) enter(free int) {
	d.Helper()
	d.room = newRoom(free)
	var err error
	if d.Intake, err = intake.New(context.Background(), d.store, d.room, slog.New(slog.DiscardHandler)); err != nil {
		d.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	d.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
}

func (d *door) close() {
	d.stop()
	if err := d.store.Close(); err != nil {
		d.Error(err)
	}
}

// open runs a test in fake time with a door.
func open(t *testing.T, free int, test func(t *testing.T, d *door)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grapnel.db")
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, path, free)
		defer d.close()
		test(t, d)
	})
}

// addHook makes a verified hook that wants some types.
func (d *door) addHook(id string, types ...string) int64 {
	d.Helper()
	h := hook.EventHook{
		ID: id, Name: id, Status: hook.Active, Verified: true, EverVerified: true, Types: types,
		Policy: hook.DefaultPolicy(), Created: time.Now(),
	}
	if err := d.store.CreateEventHook(context.Background(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		d.Fatal(err)
	}
	return h.Number
}

func (d *door) reload() {
	d.Helper()
	if err := d.Reload(context.Background()); err != nil {
		d.Fatal(err)
	}
}

// setBefore replaces what happens before a commit.
func (d *door) setBefore(before func(*store.Group) error) {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	d.store.before = before
}

// batch is a call's events, all of one type.
func batch(eventType string, uuids ...string) intake.Batch {
	var b intake.Batch
	for _, uuid := range uuids {
		b.Events = append(b.Events, &store.Event{Event: hook.Event{
			Source: 1, UUID: uuid, Type: eventType, Published: time.Now(), JSON: fmt.Appendf(nil, `{"uuid":%q}`, uuid),
		}})
	}
	return b
}

// kept is the uuids of all events in the store.
func (d *door) kept() (uuids []string) {
	d.Helper()
	for before := hook.Seq(0); ; {
		events, next, more, err := d.store.Events(context.Background(), store.EventQuery{Before: before, Limit: 1000})
		if err != nil {
			d.Fatal(err)
		}
		for i := range events {
			uuids = append(uuids, events[i].UUID)
		}
		if !more {
			slices.Sort(uuids)
			return uuids
		}
		before = next
	}
}

// accept hands a batch over and returns whether it was acknowledged.
func (d *door) accept(b intake.Batch) (acknowledged bool, err error) {
	err = d.Accept(b, func() { acknowledged = true })
	if acknowledged != (err == nil) {
		d.Errorf("acknowledged: %v, error: %v", acknowledged, err)
	}
	return acknowledged, err
}

func TestAFailedGroupLeavesNothing(t *testing.T) {
	for name, fault := range map[string]error{"before": errFull, "in the middle": errLate} {
		t.Run(name, func(t *testing.T) {
			open(t, 1000, func(t *testing.T, d *door) {
				number := d.addHook("who1", "*")
				d.reload()
				d.setBefore(func(*store.Group) error { return fault })
				var calls sync.WaitGroup
				for i := range 20 {
					calls.Go(func() {
						b := batch("a", fmt.Sprint("event-", i))
						b.Rejected = []*store.Rejected{{Source: 1, Reason: hook.ReasonMalformed, Raw: []byte("{")}}
						b.Source, b.Count = 1, hook.SourceCount{Deliveries: 1}
						if ok, err := d.accept(b); ok || !errors.Is(err, fault) {
							t.Errorf("call %d: acknowledged %v, %v", i, ok, err)
						}
					})
				}
				calls.Wait()
				if kept := d.kept(); len(kept) != 0 {
					t.Errorf("kept: %q", kept)
				}
				if n := d.room.promised(); n != 0 || len(d.room.taken) != 0 || len(d.room.woken) != 0 {
					t.Errorf("%d promises, %d taken, woken %v", n, len(d.room.taken), d.room.woken)
				}
				stats, err := d.store.Stats(t.Context())
				if err != nil || stats.Sources[1] != (hook.SourceCount{}) || stats.Hooks[number] != (hook.HookCount{}) {
					t.Errorf("counted %+v, %+v, %v", stats.Sources, stats.Hooks, err)
				}

				// Sent again, they are new.
				d.setBefore(nil)
				for i := range 20 {
					b := batch("a", fmt.Sprint("event-", i))
					if ok, err := d.accept(b); !ok || b.Events[0].Duplicate || !slices.Equal(b.Events[0].Hooks, []int64{number}) {
						t.Errorf("call %d again: %v, %v, %+v", i, ok, err, b.Events[0])
					}
				}
				if n := len(d.room.taken); n != 20 || d.room.promised() != 0 {
					t.Errorf("%d deliveries taken, %d promised", n, d.room.promised())
				}
			})
		})
	}
}

// Whatever fails, and whoever calls together with whom: what is acknowledged is
// stored, and nothing else is.
func TestAcknowledgedIsStored(t *testing.T) {
	open(t, 0, func(t *testing.T, d *door) {
		d.addHook("who1", "*")
		d.addHook("who2", "b")
		for round := range uint64(40) {
			d.stop()
			random := rand.New(rand.NewPCG(round, 0))
			d.enter([]int{0, 3, 1000}[random.IntN(3)])
			d.chaos(round, 1+random.IntN(30), random.IntN(4), random.IntN(2) == 0)
			if t.Failed() {
				t.Fatalf("in round %d", round)
			}
		}
	})
}

// chaos has callers call, with overlapping events, and checks the promise.
func (d *door) chaos(seed uint64, callers, often int, stop bool) {
	before := d.matched()
	var dice struct {
		sync.Mutex
		*rand.Rand
	}
	dice.Rand = rand.New(rand.NewPCG(seed, 1))
	d.setBefore(func(*store.Group) error {
		dice.Lock()
		n, wait := dice.IntN(max(often, 1)), time.Duration(dice.IntN(3))*time.Millisecond
		dice.Unlock()
		<-time.After(wait)
		if often == 0 || n > 0 {
			return nil
		}
		return []error{errFull, errLate}[seed%2]
	})
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	fresh := map[string]int{}
	var calls sync.WaitGroup
	for c := range callers {
		calls.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(c)+2))
			for range 1 + random.IntN(4) {
				<-time.After(time.Duration(random.IntN(3000)) * time.Microsecond)
				var uuids []string
				for range random.IntN(5) {
					uuids = append(uuids, fmt.Sprintf("%d-%d", seed, random.IntN(3*callers)))
				}
				b := batch([]string{"a", "b"}[random.IntN(2)], uuids...)
				if ok, _ := d.accept(b); !ok {
					continue
				}
				mu.Lock()
				for _, e := range b.Events {
					acknowledged[e.UUID] = true
					if !e.Duplicate {
						fresh[e.UUID]++
					}
				}
				mu.Unlock()
			}
		})
	}
	if stop {
		<-time.After(2 * time.Millisecond)
		d.stop()
	}
	calls.Wait()
	d.stop()
	kept := slices.DeleteFunc(d.kept(), func(uuid string) bool { return !strings.HasPrefix(uuid, fmt.Sprint(seed, "-")) })
	var want []string
	for uuid := range acknowledged {
		want = append(want, uuid)
		if fresh[uuid] != 1 {
			d.Errorf("%s was new %d times", uuid, fresh[uuid])
		}
	}
	slices.Sort(want)
	if !slices.Equal(kept, want) {
		d.Errorf("kept %q, acknowledged %q", kept, want)
	}
	if n := d.room.promised(); n != 0 {
		d.Errorf("%d promises are open", n)
	}
	d.owed(before)
}

// matched is how many deliveries each hook was ever owed.
func (d *door) matched() map[int64]int {
	d.Helper()
	stats, err := d.store.Stats(context.Background())
	if err != nil {
		d.Fatal(err)
	}
	matched := map[int64]int{}
	for number, c := range stats.Hooks {
		matched[number] = int(c.Matched)
	}
	return matched
}

// owed wants every delivery since before that was not taken to be found in the
// store, by a hook that was woken.
func (d *door) owed(before map[int64]int) {
	d.Helper()
	for number, n := range d.matched() {
		left := n - before[number]
		for _, key := range d.room.taken {
			if key.Hook == number {
				left--
			}
		}
		if left < 0 || left > 0 && !d.room.woken[number] {
			d.Errorf("hook %d: %d of its deliveries were not taken, woken: %v", number, left, d.room.woken[number])
		}
	}
}
