package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/intake"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// failing is the real store, which can be made to fail to keep outcomes.
type failing struct {
	*sqlite.Store
	mu     sync.Mutex
	settle func([]store.Outcome) error // called before every Settle, if not nil
	woken  []int64
}

func (f *failing) Wake(hooks ...int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.woken = append(f.woken, hooks...)
}

// wokenHooks are those of which others were told that they have work.
func (f *failing) wokenHooks() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.woken)
}

func (f *failing) Settle(ctx context.Context, outcomes []store.Outcome) ([]hook.Key, error) {
	f.mu.Lock()
	settle := f.settle
	f.mu.Unlock()
	if settle != nil {
		if err := settle(outcomes); err != nil {
			return nil, err
		}
	}
	return f.Store.Settle(ctx, outcomes)
}

var errFull = errors.New("the disk is full")

// fail has every Settle fail, until it is called with nil.
func (f *failing) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle = nil
	if err != nil {
		f.settle = func([]store.Outcome) error { return err }
	}
}

// post is where everything is sent, and remembers it.
type post struct {
	mu     sync.Mutex
	sent   []string // uuids, in order
	flying int
	answer func(ctx context.Context, h *hook.EventHook, c *store.Claim) Result
}

func (p *post) Send(ctx context.Context, h *hook.EventHook, c *store.Claim) Result {
	p.mu.Lock()
	p.sent = append(p.sent, c.Event.UUID)
	p.flying++
	answer := p.answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.flying--
		p.mu.Unlock()
	}()
	if answer == nil {
		return Result{Status: 200}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.Policy.Timeout))
	defer cancel()
	return answer(ctx, h, c)
}

func (p *post) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// takes answers 200 after a while.
func takes(d time.Duration) func(context.Context, *hook.EventHook, *store.Claim) Result {
	return func(ctx context.Context, _ *hook.EventHook, _ *store.Claim) Result {
		select {
		case <-time.After(d):
			return Result{Status: 200}
		case <-ctx.Done():
			return Result{Reason: hook.ReasonTimeout, Response: &hook.Response{Error: "timeout"}}
		}
	}
}

// yard is an Engine between a real store, a real Intake and a post.
type yard struct {
	*testing.T
	*Engine
	store *failing
	post  *post
	in    *intake.Intake
}

// inYard runs a test in fake time.
func inYard(t *testing.T, test func(y *yard)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grapnel.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		y := &yard{T: t, store: &failing{Store: s}, post: &post{}}
		log := slog.New(slog.DiscardHandler)
		y.Engine = New(Options{Store: y.store, Channel: y.post, Log: log})
		y.join()
		y.Start()
		if y.in, err = intake.New(t.Context(), y.store, y.Engine, log); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { y.in.Run(ctx) })
		defer func() {
			cancel()
			running.Wait()
			y.end(20 * time.Second)
			y.idle()
		}()
		test(y)
	})
}

// join makes the engine a member of those who share the store.
func (y *yard) join() {
	y.Helper()
	m, err := y.store.Beat(y.Context())
	if err != nil {
		y.Fatal(err)
	}
	y.SetMembers(m)
}

func (y *yard) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// end stops the engine and returns how long that took.
func (y *yard) end(grace time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	begun := time.Now()
	y.Stop(ctx)
	return time.Since(begun)
}

// idle wants nothing to be left in memory.
func (y *yard) idle() {
	y.Helper()
	if n := y.bytes.Load(); n != 0 {
		y.Errorf("%d bytes are in use, of nothing", n)
	}
	for _, l := range y.lanes {
		if l.held() != 0 || l.running != 0 {
			y.Errorf("hook %d holds %d deliveries and %d workers", l.hook.Number, l.held(), l.running)
		}
		if n := len(l.settling); n != 0 && y.store.settle == nil {
			y.Errorf("hook %d waits for %d outcomes to be kept", l.hook.Number, n)
		}
	}
}

// addHook makes a hook that wants every event.
func (y *yard) addHook(id string, policy func(*hook.Policy)) (number int64) {
	y.Helper()
	h := hook.EventHook{
		ID: id, Name: id, Status: hook.Active, Verified: true, EverVerified: true, Types: []string{"*"},
		Policy: hook.DefaultPolicy(), Created: time.Now(),
	}
	if policy != nil {
		policy(&h.Policy)
	}
	if err := y.store.CreateEventHook(y.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		y.Fatal(err)
	}
	y.reload()
	return h.Number
}

// change changes a hook.
func (y *yard) change(id string, change func(*hook.EventHook)) {
	y.Helper()
	_, err := y.store.UpdateEventHook(y.Context(), id, time.Now(), func(h *hook.EventHook, _ []hook.EventHook) error {
		change(h)
		return nil
	})
	if err != nil {
		y.Fatal(err)
	}
	y.reload()
}

func (y *yard) reload() {
	y.Helper()
	if err := y.in.Reload(y.Context()); err != nil {
		y.Fatal(err)
	}
	hooks, _, err := y.store.EventHooks(y.Context())
	if err != nil {
		y.Fatal(err)
	}
	for i := range hooks {
		hooks[i].Channel.URI = hooks[i].Name // stands for where it leads
	}
	y.SetHooks(hooks)
}

// take takes events in, a call each hundred.
func (y *yard) take(name string, n int) {
	y.Helper()
	for at := 0; at < n; at += 100 {
		var b intake.Batch
		for i := at; i < min(n, at+100); i++ {
			b.Events = append(b.Events, &store.Event{Event: hook.Event{
				Source: 1, UUID: fmt.Sprintf("%s-%d", name, i), Type: "a", JSON: []byte(`{"a":1}`),
			}})
		}
		if err := y.in.Accept(b, func() {}); err != nil {
			y.Fatal(err)
		}
	}
}

// counts are a hook's counters, which must add up.
func (y *yard) counts(number int64) hook.HookCount {
	y.Helper()
	stats, err := y.store.Stats(y.Context())
	if err != nil {
		y.Fatal(err)
	}
	return stats.Hooks[number]
}

// once wants every one of n events to have been sent exactly once.
func (y *yard) once(n int) {
	y.Helper()
	y.post.mu.Lock()
	defer y.post.mu.Unlock()
	times := map[string]int{}
	for _, uuid := range y.post.sent {
		if times[uuid]++; times[uuid] == 2 {
			y.Errorf("event %s was sent again", uuid)
		}
	}
	if len(times) != n {
		y.Errorf("%d events were sent, want %d", len(times), n)
	}
}

// While outcomes cannot be stored no attempt begins; once they can, sending
// goes on, and nothing was sent twice: not even after leases would have ended.
func TestAStoreThatFailsForAWhile(t *testing.T) {
	for _, test := range []struct {
		name   string
		outage time.Duration
		events int
	}{
		{"shortly", time.Second, 200},
		{"for long", 10 * time.Minute, 200},
		{"for long, and the lane has room for more", 10 * time.Minute, 14},
	} {
		t.Run(test.name, func(t *testing.T) {
			inYard(t, func(y *yard) {
				number := y.addHook("who1", func(p *hook.Policy) { p.Concurrency = 4 })
				y.post.answer = takes(100 * time.Millisecond)
				y.take("event", test.events)
				y.wait(50 * time.Millisecond)
				y.store.fail(errFull)
				before := y.post.count()
				y.wait(test.outage / 2)
				y.reload() // has the lanes look into the store
				y.wait(test.outage / 2)
				if n := y.post.count() - before; n > 8 {
					t.Errorf("%d attempts began although their outcomes could not be stored", n)
				}
				if y.post.count() == test.events {
					t.Fatal("nothing is left to stop")
				}
				y.store.fail(nil)
				y.wait(time.Minute)
				y.once(test.events)
				if c := y.counts(number); int(c.Delivered) != test.events || c.Waiting() != 0 || c.Attempts != c.Delivered {
					t.Errorf("counters %+v", c)
				}
			})
		})
	}
}

// Stopping ends in time although nothing can be stored any more, however much
// is in memory.
func TestStoppingWhileTheStoreFails(t *testing.T) {
	inYard(t, func(y *yard) {
		for i := range 6 {
			y.addHook(fmt.Sprint("who", i), nil)
		}
		y.post.answer = takes(time.Hour)
		y.take("event", 1000)
		y.wait(time.Second)
		y.store.fail(errFull)
		if took := y.end(5 * time.Second); took > 6*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}

// A store that works again within the grace time gets what there is to keep.
func TestStoppingWaitsForTheStore(t *testing.T) {
	inYard(t, func(y *yard) {
		number := y.addHook("who1", nil)
		y.store.fail(errFull)
		y.take("event", 10)
		y.wait(time.Minute)
		go func() {
			<-time.After(3 * time.Second)
			y.store.fail(nil)
		}()
		y.end(20 * time.Second)
		if c := y.counts(number); c.Delivered != 10 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestAnotherRateLimitHoldsAtOnce(t *testing.T) {
	inYard(t, func(y *yard) {
		y.addHook("who1", func(p *hook.Policy) { p.RateLimit = hook.RateLimit{Count: 1, Per: time.Hour} })
		y.take("event", 50)
		y.wait(time.Minute)
		if n := y.post.count(); n != 1 {
			t.Fatalf("%d sent at 1/h", n)
		}
		y.change("who1", func(h *hook.EventHook) { h.Policy.RateLimit = hook.RateLimit{Count: 1, Per: time.Second} })
		y.wait(10*time.Second + 500*time.Millisecond)
		if n := y.post.count(); n < 11 || n > 13 {
			t.Errorf("%d sent within 10 s at 1/s, and one before", n)
		}
		y.change("who1", func(h *hook.EventHook) { h.Policy.RateLimit = hook.RateLimit{} })
		y.wait(time.Second)
		y.once(50)
	})
}

// What waits for its turn goes back when the hook stops, and others' changes
// cost nobody their turn.
func TestStoppingAHookThatIsRateLimited(t *testing.T) {
	inYard(t, func(y *yard) {
		number := y.addHook("who1", func(p *hook.Policy) { p.RateLimit = hook.RateLimit{Count: 1, Per: time.Minute} })
		y.take("event", 50)
		for range 10 {
			y.wait(time.Minute)
			y.addHook(fmt.Sprint("who", time.Now().Unix()), func(p *hook.Policy) { p.Sources = []string{"nobody"} })
		}
		if n := y.post.count(); n < 10 || n > 11 {
			t.Errorf("%d sent within 10 minutes at 1/m", n)
		}
		sent := y.post.count()
		y.change("who1", func(h *hook.EventHook) { h.Status = hook.Inactive })
		y.wait(time.Second)
		page, _, err := y.store.Deliveries(y.Context(), store.DeliveryQuery{Hook: number, States: []hook.State{hook.Sending}, Limit: 100}, time.Now())
		if err != nil || len(page) != 0 {
			t.Errorf("%d are still being sent, %v", len(page), err)
		}
		y.wait(time.Minute)
		if n := y.post.count(); n != sent {
			t.Errorf("%d sent to an inactive hook", n-sent)
		}
		y.change("who1", func(h *hook.EventHook) { h.Status = hook.Active })
		y.wait(20*time.Minute + time.Second)
		if n := y.post.count() - sent; n < 20 || n > 21 {
			t.Errorf("%d sent within 20 minutes at 1/m", n)
		}
		y.wait(20 * time.Minute)
		y.once(50)
	})
}

// An answer that comes after the hook was led elsewhere says nothing of where
// it leads now.
func TestALateAnswerOfAnotherDestination(t *testing.T) {
	for _, reason := range []hook.Reason{hook.ReasonGone, hook.ReasonRefused} {
		t.Run(string(reason), func(t *testing.T) {
			inYard(t, func(y *yard) {
				number := y.addHook("who1", nil)
				y.post.answer = func(_ context.Context, h *hook.EventHook, _ *store.Claim) Result {
					if h.Channel.URI != "who1" {
						return Result{Status: 200}
					}
					<-time.After(10 * time.Second)
					return Result{Reason: reason, Response: &hook.Response{}}
				}
				y.take("event", 1)
				y.wait(time.Second)
				y.change("who1", func(h *hook.EventHook) { h.Name = "moved" })
				y.wait(20 * time.Second)
				hooks, _, err := y.store.EventHooks(y.Context())
				if err != nil || hooks[0].Hold.Reason != "" {
					t.Errorf("the hook is on hold: %s, %v", hooks[0].Hold.Reason, err)
				}
				if c := y.counts(number); c.Delivered != 1 {
					t.Errorf("counters %+v", c)
				}
			})
		})
	}
}

// No attempt starts when less is left of the lease than it may take.
func TestAnAttemptNeedsALease(t *testing.T) {
	inYard(t, func(y *yard) {
		number := y.addHook("who1", func(p *hook.Policy) { p.Timeout = hook.Duration(5 * time.Minute) })
		y.post.answer = takes(time.Hour)
		y.take("event", 1)
		y.wait(time.Second)
		l := y.lane(number)
		l.mu.Lock()
		var c store.Claim
		for _, flying := range l.flying {
			c = *flying
		}
		l.mu.Unlock()
		if left := time.Until(c.Until); left < 5*time.Minute {
			t.Errorf("an attempt of 5m began with %v left of its lease", left)
		}
		if !l.holds(&c, time.Minute) {
			t.Error("a lease that is held was not lengthened")
		}
		c.Epoch, c.Until = c.Epoch+1, time.Now()
		if l.holds(&c, time.Minute) {
			t.Error("a lease that is not held was lengthened")
		}
	})
}
