package intake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/intake"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// change changes the types of a hook in the store, as another node would.
func (d *door) change(id string, types ...string) {
	d.Helper()
	_, err := d.store.UpdateEventHook(context.Background(), id, time.Now(), func(h *hook.EventHook, _ []hook.EventHook) error {
		h.Types = types
		return nil
	})
	if err != nil {
		d.Error(err)
	}
}

// A change that nobody has told intake of holds all the same.
func TestAGroupIsRoutedAgainWhenTheHooksHaveChanged(t *testing.T) {
	open(t, 1000, func(t *testing.T, d *door) {
		number := d.addHook("who1", "a")
		d.reload()
		d.change("who1", "b")
		a, b := batch("a", "one"), batch("b", "two")
		if ok, err := d.accept(a); !ok || len(a.Events[0].Hooks) != 0 {
			t.Errorf("%v, hooks %v", err, a.Events[0].Hooks)
		}
		if ok, err := d.accept(b); !ok || !slices.Equal(b.Events[0].Hooks, []int64{number}) {
			t.Errorf("%v, hooks %v", err, b.Events[0].Hooks)
		}
		if n := d.matched()[number]; n != 1 || len(d.room.taken) != 1 || d.room.promised() != 0 {
			t.Errorf("%d matched, %d taken, %d promised", n, len(d.room.taken), d.room.promised())
		}
	})
}

// Hooks that change before every commit are given up on, not tried for ever.
func TestHooksThatNeverRest(t *testing.T) {
	open(t, 1000, func(t *testing.T, d *door) {
		d.addHook("who1", "a")
		d.reload()
		d.setBefore(func(*store.Group) error { d.change("who1", "a"); return nil })
		if ok, err := d.accept(batch("a", "one")); ok || !errors.Is(err, store.ErrRevision) {
			t.Errorf("acknowledged %v, %v", ok, err)
		}
		d.setBefore(nil)
		if n := len(d.store.groups); n > 20 || d.room.promised() != 0 || len(d.kept()) != 0 {
			t.Errorf("%d tries, %d promised, kept %q", n, d.room.promised(), d.kept())
		}
		if ok, err := d.accept(batch("a", "one")); !ok {
			t.Error(err)
		}
	})
}

func TestTooManyCallsAreTurnedAway(t *testing.T) {
	open(t, 0, func(t *testing.T, d *door) {
		disk := make(chan struct{})
		d.setBefore(func(*store.Group) error { <-disk; return nil })
		var mu sync.Mutex
		var stored, busy int
		var calls sync.WaitGroup
		const callers = 6000
		for i := range callers {
			calls.Go(func() {
				ok, err := d.accept(batch("a", fmt.Sprint("event-", i)))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case ok:
					stored++
				case errors.Is(err, intake.ErrBusy):
					busy++
				default:
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		if busy == 0 || busy > callers-4096 {
			t.Errorf("%d of %d calls turned away", busy, callers)
		}
		close(disk)
		calls.Wait()
		if n := len(d.kept()); n != stored || stored+busy != callers {
			t.Errorf("%d kept, %d stored, %d turned away", n, stored, busy)
		}
	})
}

func TestStoppingWhileCallsWait(t *testing.T) {
	open(t, 0, func(t *testing.T, d *door) {
		disk := make(chan struct{})
		d.setBefore(func(*store.Group) error { <-disk; return nil })
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				if ok, err := d.accept(batch("a", fmt.Sprint("event-", i))); !ok {
					t.Errorf("a call that waited: %v", err)
				}
			})
		}
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			d.stop()
			close(stopped)
		}()
		synctest.Wait()
		close(disk)
		calls.Wait()
		<-stopped
		if n := len(d.kept()); n != 50 {
			t.Errorf("%d kept", n)
		}
		if ok, err := d.accept(batch("a", "late")); ok || err == nil {
			t.Error("a call after the end was acknowledged")
		}
		if n := len(d.kept()); n != 50 {
			t.Errorf("%d kept after the end", n)
		}
	})
}

func TestGroupsAreBounded(t *testing.T) {
	open(t, 0, func(t *testing.T, d *door) {
		disk := make(chan struct{})
		d.setBefore(func(*store.Group) error { <-disk; return nil })
		large := batch("a", "large")
		large.Events[0].JSON = make([]byte, 5<<20)
		var many []string
		for i := range 2000 {
			many = append(many, fmt.Sprint("many-", i))
		}
		batches := []intake.Batch{large, batch("a", many...), {}}
		for i := range 300 {
			b := batch("a", fmt.Sprint("event-", i))
			b.Events[0].JSON = make([]byte, 40<<10)
			batches = append(batches, b)
		}
		for c := range 20 {
			var some []string
			for i := range 300 {
				some = append(some, fmt.Sprintf("some-%d-%d", c, i))
			}
			batches = append(batches, batch("a", some...))
		}
		var calls sync.WaitGroup
		for i, b := range batches {
			calls.Go(func() {
				if ok, err := d.accept(b); !ok {
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		close(disk)
		calls.Wait()
		if n := len(d.kept()); n != 1+2000+300+6000 {
			t.Errorf("%d kept", n)
		}
		for _, g := range d.store.groups {
			bytes := 0
			for _, e := range g.Events {
				bytes += len(e.JSON)
			}
			alone := g.Events == nil || len(g.Events) == 2000 || bytes == 5<<20
			if !alone && (len(g.Events) > 1024 || bytes > 4<<20) {
				t.Errorf("a group of %d events and %d bytes", len(g.Events), bytes)
			}
		}
		if n := len(d.store.groups); n > 40 {
			t.Errorf("%d groups", n)
		}
	})
}

// A change of the hooks waits for what was routed before it to be acknowledged,
// and for nothing else.
func TestAChangeWaitsForAcknowledgements(t *testing.T) {
	open(t, 0, func(t *testing.T, d *door) {
		d.addHook("who1", "a")
		d.reload()
		begun, answered := make(chan struct{}), false
		var calls sync.WaitGroup
		calls.Go(func() {
			err := d.Accept(batch("a", "slow"), func() {
				close(begun)
				<-time.After(time.Second)
				answered = true
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-begun
		d.change("who1", "b")
		// Others call while the change waits, and are even slower.
		for i := range 20 {
			calls.Go(func() {
				<-time.After(600*time.Millisecond + time.Duration(i)*10*time.Millisecond)
				if err := d.Accept(batch("a", fmt.Sprint("event-", i)), func() { <-time.After(time.Minute) }); err != nil {
					t.Error(err)
				}
			})
		}
		start := time.Now()
		<-time.After(500 * time.Millisecond)
		d.reload()
		if !answered {
			t.Error("the change was in force before an event that was routed without it was acknowledged")
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the change took %v", took)
		}
		calls.Wait()
		if took := time.Since(start); took > 62*time.Second {
			t.Errorf("calls that came while the change waited took until %v", took)
		}
	})
}

// A group waits for nobody, whether the last one had company or not.
func TestGatheringTakesNoTime(t *testing.T) {
	open(t, 0, func(t *testing.T, d *door) {
		disk := make(chan struct{})
		d.setBefore(func(*store.Group) error { <-disk; return nil })
		var calls sync.WaitGroup
		for i := range 3 {
			calls.Go(func() { d.accept(batch("a", fmt.Sprint("event-", i))) })
		}
		synctest.Wait()
		start := time.Now()
		close(disk)
		calls.Wait()
		for i := range 2 {
			if ok, err := d.accept(batch("a", fmt.Sprint("alone-", i))); !ok {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}
