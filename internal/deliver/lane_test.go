package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// faulty is a real store whose Settle can be made to fail, as on a full disk.
type faulty struct {
	*sqlite.Store
	full atomic.Bool
}

func (f *faulty) Settle(ctx context.Context, outcomes []store.Outcome) ([]hook.Key, error) {
	if f.full.Load() {
		return nil, errors.New("the disk is full")
	}
	return f.Store.Settle(ctx, outcomes)
}

// channel is a destination in the same process.
type channel func(ctx context.Context, h *hook.EventHook, c *store.Claim) Result

func (f channel) Send(ctx context.Context, h *hook.EventHook, c *store.Claim) Result {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.Policy.Timeout))
	defer cancel()
	return f(ctx, h, c)
}

func succeed(context.Context, *hook.EventHook, *store.Claim) Result { return Result{Status: 200} }

// lanes runs do in fake time with a store that holds hooks of some policies, and
// an engine that delivers to them through a channel.
type lanes struct {
	*testing.T
	store  *faulty
	engine *Engine
	hooks  []hook.EventHook
	events int
}

func run(t *testing.T, send channel, do func(l *lanes)) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		l := &lanes{T: t, store: &faulty{Store: s}}
		l.engine = New(Options{Store: l.store, Channel: send, Log: slog.New(slog.DiscardHandler)})
		members, err := s.Beat(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.engine.SetMembers(members)
		l.engine.Start()
		defer func() {
			l.stop()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		do(l)
	})
}

func (l *lanes) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	l.engine.Stop(ctx)
}

// hook makes a hook.
func (l *lanes) hook(policy hook.Policy) int64 {
	l.Helper()
	h := hook.EventHook{
		ID: fmt.Sprint("hook-", len(l.hooks)), Status: hook.Active, Verified: true, EverVerified: true,
		Created: time.Now(), Policy: policy,
	}
	if err := l.store.CreateEventHook(l.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		l.Fatal(err)
	}
	l.hooks = append(l.hooks, h)
	l.engine.SetHooks(slices.Clone(l.hooks))
	return h.Number
}

// owe commits events owed to a hook, as intake would.
func (l *lanes) owe(number int64, events int) {
	l.Helper()
	group := &store.Group{
		Received: time.Now(), LeaseFor: l.engine.Lease(),
		Lease: func(number int64, e *store.Event) bool { return l.engine.Reserve(number, len(e.JSON)) },
	}
	_, group.Revision, _ = l.store.EventHooks(l.Context())
	for range events {
		l.events++
		group.Events = append(group.Events, &store.Event{Hooks: []int64{number}, Event: hook.Event{
			Source: 1, UUID: fmt.Sprint("event-", l.events), Type: "user.session.start", Published: time.Now(), JSON: []byte(`{}`),
		}})
	}
	claims, err := l.store.Commit(l.Context(), group)
	if err != nil {
		l.Fatal(err)
	}
	l.engine.Take(claims)
	l.engine.Wake(number)
}

func (l *lanes) count(number int64) hook.HookCount {
	l.Helper()
	stats, err := l.store.Stats(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return stats.Hooks[number]
}

// TestOutcomesOutliveALongFullDisk keeps the store from taking outcomes for
// longer than a lease lasts: what was delivered must not be delivered again.
func TestOutcomesOutliveALongFullDisk(t *testing.T) {
	var sent atomic.Int64
	send := func(context.Context, *hook.EventHook, *store.Claim) Result { sent.Add(1); return Result{Status: 200} }
	run(t, send, func(l *lanes) {
		number := l.hook(hook.DefaultPolicy())
		l.store.full.Store(true)
		l.owe(number, 100)
		<-time.After(10 * leaseLength)
		before := sent.Load()
		l.engine.Wake(number)
		<-time.After(time.Minute)
		l.store.full.Store(false)
		<-time.After(time.Hour)
		if count := l.count(number); count.Delivered != 100 || sent.Load() != 100 {
			t.Errorf("%d attempts while the disk was full, %d in all; %+v; want 100 of 100", before, sent.Load(), count)
		}
	})
}

// TestStopWithAFullDisk stops an engine that can keep nothing of what it holds.
func TestStopWithAFullDisk(t *testing.T) {
	run(t, succeed, func(l *lanes) {
		l.store.full.Store(true)
		for range 6 {
			l.owe(l.hook(hook.DefaultPolicy()), laneRoom)
		}
		<-time.After(time.Second)
		before := time.Now()
		l.stop()
		if took := time.Since(before); took > time.Minute {
			t.Errorf("stopping took %v", took)
		}
	})
}

// TestRateLimitLifted changes a rate limit that made deliveries wait for hours.
func TestRateLimitLifted(t *testing.T) {
	run(t, succeed, func(l *lanes) {
		policy := hook.DefaultPolicy()
		policy.RateLimit = hook.RateLimit{Count: 1, Per: time.Hour}
		number := l.hook(policy)
		l.owe(number, 100)
		<-time.After(time.Minute)
		l.hooks[0].Policy.RateLimit = hook.RateLimit{}
		l.engine.SetHooks(slices.Clone(l.hooks))
		<-time.After(time.Minute)
		if got := l.count(number).Delivered; got != 100 {
			t.Errorf("%d delivered a minute after the limit was lifted, want 100", got)
		}
	})
}

// TestRoomGivenBack fills a lane with promises that are not kept while
// something in the store becomes due.
func TestRoomGivenBack(t *testing.T) {
	run(t, succeed, func(l *lanes) {
		number := l.hook(hook.DefaultPolicy())
		synctest.Wait()
		for range laneRoom {
			if !l.engine.Reserve(number, 1) {
				t.Fatal("no room")
			}
		}
		l.owe(number, 1)
		<-time.After(time.Second)
		for range laneRoom {
			l.engine.Release(number, 1)
		}
		<-time.After(time.Second)
		if got := l.count(number).Delivered; got != 1 {
			t.Errorf("%d delivered, want 1", got)
		}
	})
}

// TestMemoryIsBoundedForAllHooksTogether has many hooks hang with a long queue.
func TestMemoryIsBoundedForAllHooksTogether(t *testing.T) {
	const hooks, events, size = 64, 512, 8 << 10
	hang := func(ctx context.Context, _ *hook.EventHook, _ *store.Claim) Result {
		<-ctx.Done()
		return Result{Reason: hook.ReasonTimeout}
	}
	run(t, hang, func(l *lanes) {
		var numbers []int64
		for range hooks {
			numbers = append(numbers, l.hook(hook.DefaultPolicy()))
		}
		group := &store.Group{Received: time.Now()}
		_, group.Revision, _ = l.store.EventHooks(l.Context())
		for n := range events {
			group.Events = append(group.Events, &store.Event{Hooks: numbers, Event: hook.Event{
				Source: 1, UUID: fmt.Sprint("event-", n), Type: "user.session.start", Published: time.Now(), JSON: make([]byte, size),
			}})
		}
		if _, err := l.store.Commit(l.Context(), group); err != nil {
			l.Fatal(err)
		}
		for _, number := range numbers {
			l.engine.Wake(number)
		}
		synctest.Wait()
		if held := l.engine.bytes.Load(); held > memoryRoom*5/4 || held < memoryRoom/2 {
			t.Errorf("%d MiB of events in memory, want about %d", held>>20, memoryRoom>>20)
		}
		for number, l := range l.engine.lanes {
			if len(l.flying) == 0 {
				t.Errorf("hook %d got nothing", number)
			}
		}
	})
}

// TestGoneConcernsTheOldChannel has a destination answer 410 after a person has
// replaced it: the new one must not be on hold for that.
func TestGoneConcernsTheOldChannel(t *testing.T) {
	send := func(_ context.Context, h *hook.EventHook, _ *store.Claim) Result {
		if h.Channel.URI == "new" {
			return Result{Status: 200}
		}
		<-time.After(10 * time.Second)
		return Result{Status: 410, Reason: hook.ReasonGone, Response: &hook.Response{Status: 410}}
	}
	run(t, send, func(l *lanes) {
		number := l.hook(hook.DefaultPolicy())
		l.owe(number, 3)
		<-time.After(time.Second)
		changed, err := l.store.UpdateEventHook(l.Context(), l.hooks[0].ID, time.Now(), func(*hook.EventHook, []hook.EventHook) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		changed.Channel.URI = "new"
		l.engine.SetHooks([]hook.EventHook{changed})
		<-time.After(time.Minute)
		if got := l.count(number).Delivered; got != 3 {
			t.Errorf("%d delivered to the new destination, want 3", got)
		}
	})
}

// A success may wait for others to be kept with; whatever is to be tried again,
// and all that was attempted before it, may not.
func TestOutcomesAreKeptSoon(t *testing.T) {
	for name, test := range map[string]struct {
		delays   []time.Duration // of the attempts' answers; below zero for failures
		kept     int64           // attempts that are kept then
		at, last time.Duration   // when they are, and no more are before it
	}{
		"a success":              {[]time.Duration{1}, 1, gatherSuccesses + 1, gatherSuccesses},
		"a failure":              {[]time.Duration{-1}, 1, gatherOthers + 1, gatherOthers},
		"a failure after":        {[]time.Duration{1, -10 * time.Millisecond}, 2, 10*time.Millisecond + gatherOthers, 10*time.Millisecond + gatherOthers - 1},
		"a success after":        {[]time.Duration{-1, 3 * time.Millisecond}, 2, gatherOthers + 1, gatherOthers},
		"two far apart, 1st":     {[]time.Duration{1, 30 * time.Millisecond}, 1, gatherSuccesses + 1, gatherSuccesses},
		"two far apart, 2nd":     {[]time.Duration{1, 30 * time.Millisecond}, 2, 30*time.Millisecond + gatherSuccesses, 30*time.Millisecond + gatherSuccesses - 1},
		"a success, just before": {[]time.Duration{1, 20 * time.Millisecond}, 2, gatherSuccesses + 1, gatherSuccesses},
	} {
		t.Run(name, func(t *testing.T) {
			var begun atomic.Int64
			run(t, func(context.Context, *hook.EventHook, *store.Claim) Result {
				delay := test.delays[begun.Add(1)-1]
				<-time.After(delay.Abs())
				if delay < 0 {
					return Result{Status: 500, Reason: hook.ReasonStatus, Response: &hook.Response{Status: 500}}
				}
				return Result{Status: 200}
			}, func(l *lanes) {
				number := l.hook(hook.DefaultPolicy())
				synctest.Wait()
				start := time.Now()
				l.owe(number, len(test.delays))
				<-time.After(test.last - time.Since(start))
				synctest.Wait()
				if n := l.count(number).Attempts; n >= test.kept {
					t.Errorf("%d attempts are kept too early", n)
				}
				<-time.After(test.at - time.Since(start))
				synctest.Wait()
				if n := l.count(number).Attempts; n != test.kept {
					t.Errorf("%d attempts are kept", n)
				}
			})
		})
	}
}
