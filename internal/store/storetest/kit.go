package storetest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"pgregory.net/rapid"
)

// kit is one store under test and the short words in which the tests speak of
// it. Its methods end the test when the store fails.
type kit struct {
	t       rapid.TB
	ctx     context.Context
	fixture Fixture
	s       store.Store
	made    int // sources, hooks and events so far, for names
}

// lease is how long the suite's leases last, unless a test is about leases.
const lease = time.Minute

func newKit(t rapid.TB, f Fixture) *kit {
	k := &kit{t: t, ctx: context.Background(), fixture: f}
	k.open()
	return k
}

func (k *kit) open() {
	k.t.Helper()
	s, err := k.fixture.Open()
	k.must(err)
	k.s = s
}

func (k *kit) close() {
	if err := k.s.Close(); err != nil {
		k.t.Errorf("Close: %v", err)
	}
}

// restart closes and opens the store, and waits until every lease has ended:
// whether leases outlive a restart is the implementation's business.
func (k *kit) restart() {
	k.t.Helper()
	k.must(k.s.Close())
	k.open()
	k.fixture.Advance(24 * time.Hour)
}

// age lets d pass, and as much more as it takes until the store may remove all
// that came so far.
func (k *kit) age(d time.Duration) { k.fixture.Advance(max(d, k.fixture.Grain)) }

// now is the time, in whole milliseconds so that nothing is lost of it.
func (k *kit) now() time.Time { return k.fixture.Now().UTC().Truncate(time.Millisecond) }

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("the store fails: %v", err)
	}
}

// check fails the test when cond is false, and lets it go on.
func (k *kit) check(cond bool, format string, args ...any) {
	k.t.Helper()
	if !cond {
		k.t.Errorf(format, args...)
	}
}

// equal fails the test when got is not want. nil and empty are the same.
func (k *kit) equal(what string, got, want any) {
	k.t.Helper()
	if reflect.DeepEqual(got, want) {
		return // which is quicker, and they are almost always
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateErrors()); diff != "" {
		k.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// source makes a source and returns its number.
func (k *kit) source() int64 {
	k.t.Helper()
	k.made++
	s := hook.Source{Name: fmt.Sprintf("source-%d", k.made), Created: k.now(), Updated: k.now()}
	k.must(k.s.CreateSource(k.ctx, &s))
	return s.Number
}

// newHook is a hook that may be delivered to, not yet kept.
func (k *kit) newHook() hook.EventHook {
	k.made++
	return hook.EventHook{
		ID: fmt.Sprintf("who%d", k.made), Name: fmt.Sprintf("hook %d", k.made),
		Status: hook.Active, Verified: true, EverVerified: true,
		Created: k.now(), LastUpdated: k.now(), CreatedBy: "tests",
		Types: []string{"*"}, Policy: hook.DefaultPolicy(), Sealed: []byte("sealed"),
	}
}

func anyone([]hook.EventHook) error { return nil }

// hook keeps a new hook and returns it.
func (k *kit) hook() hook.EventHook {
	k.t.Helper()
	h := k.newHook()
	k.must(k.s.CreateEventHook(k.ctx, &h, anyone))
	return h
}

func (k *kit) deleteHook(h hook.EventHook) {
	k.t.Helper()
	k.must(k.s.DeleteEventHook(k.ctx, h.ID, k.now(), func(hook.EventHook) error { return nil }))
}

// event is a new event, not yet committed, owed to hooks.
func (k *kit) event(source int64, hooks ...int64) *store.Event {
	k.made++
	uuid := fmt.Sprintf("%08x-5dd2-11f0-9c1a-0242ac120002", 0x10000000+k.made*4099)
	return &store.Event{
		Event: hook.Event{
			Source: source, UUID: uuid, Type: "user.session.start",
			Published: k.now().Add(-time.Second),
			JSON:      fmt.Appendf(nil, `{"uuid":%q,"eventType":"user.session.start","n":%d}`, uuid, k.made),
		},
		Hooks: hooks,
	}
}

func (k *kit) events(n int, source int64, hooks ...int64) []*store.Event {
	list := make([]*store.Event, n)
	for i := range list {
		list[i] = k.event(source, hooks...)
	}
	return list
}

// copies are the same events, as they come in a second time.
func copies(events []*store.Event) []*store.Event {
	again := make([]*store.Event, len(events))
	for i, e := range events {
		again[i] = &store.Event{Event: e.Event, Hooks: e.Hooks}
		again[i].Seq, again[i].Received = 0, time.Time{}
	}
	return again
}

// group is what would be committed now.
func (k *kit) group(events ...*store.Event) *store.Group {
	k.t.Helper()
	_, revision, err := k.s.EventHooks(k.ctx)
	k.must(err)
	return &store.Group{Received: k.now(), Revision: revision, Events: events}
}

func (k *kit) commit(events ...*store.Event) {
	k.t.Helper()
	_, err := k.s.Commit(k.ctx, k.group(events...))
	k.must(err)
}

func (k *kit) claim(number int64, limit int) ([]store.Claim, time.Time) {
	k.t.Helper()
	claims, next, err := k.s.Claim(k.ctx, number, k.now(), limit, 64<<20, lease)
	k.must(err)
	return claims, next
}

// one claims the one delivery that is due.
func (k *kit) one(number int64) store.Claim {
	k.t.Helper()
	claims, _ := k.claim(number, 100)
	if len(claims) != 1 {
		k.t.Fatalf("claimed %d deliveries, want 1", len(claims))
	}
	return claims[0]
}

// settle keeps outcomes that are all expected to be taken.
func (k *kit) settle(outcomes ...store.Outcome) {
	k.t.Helper()
	lost, err := k.s.Settle(k.ctx, outcomes)
	k.must(err)
	if len(lost) > 0 {
		k.t.Fatalf("Settle lost %v", lost)
	}
}

// lost settles outcomes none of which is expected to be taken.
func (k *kit) lost(outcomes ...store.Outcome) {
	k.t.Helper()
	var want []hook.Key
	for _, o := range outcomes {
		want = append(want, o.Key)
	}
	lost, err := k.s.Settle(k.ctx, outcomes)
	k.must(err)
	k.equal("what Settle lost", lost, want)
}

// attempt is one that began now and ended with status.
func (k *kit) attempt(status int, reason hook.Reason) *hook.Attempt {
	return &hook.Attempt{At: k.now(), Duration: 1234 * time.Microsecond, Status: status, Reason: reason}
}

func (k *kit) delivered(c store.Claim) store.Outcome {
	return store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Delivered, Attempt: k.attempt(200, ""), HeldAtFirst: c.HeldAtFirst}
}

// failed is an outcome after which the delivery waits until due.
func (k *kit) failed(c store.Claim, due time.Time) store.Outcome {
	return store.Outcome{
		Key: c.Key, Epoch: c.Epoch, State: hook.Waiting, Reason: hook.ReasonStatus, Due: due,
		Attempt: k.attempt(500, hook.ReasonStatus), HeldAtFirst: c.HeldAtFirst,
		Response: &hook.Response{Status: 500, Body: []byte("sorry")},
	}
}

func (k *kit) dead(c store.Claim) store.Outcome {
	o := k.failed(c, time.Time{})
	o.State, o.Reason = hook.Dead, hook.ReasonExhausted
	return o
}

func givenBack(c store.Claim) store.Outcome {
	return store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Waiting}
}

func (k *kit) delivery(key hook.Key) hook.Delivery {
	k.t.Helper()
	d, err := k.s.Delivery(k.ctx, key, k.now())
	k.must(err)
	return d
}

// stands checks where a delivery stands.
func (k *kit) stands(key hook.Key, state hook.State, reason hook.Reason) {
	k.t.Helper()
	d := k.delivery(key)
	if d.State != state || d.Reason != reason {
		k.t.Errorf("the delivery is %v %q, want %v %q", d.State, d.Reason, state, reason)
	}
}

func (k *kit) stats() store.Stats {
	k.t.Helper()
	stats, err := k.s.Stats(k.ctx)
	k.must(err)
	return stats
}

// counts checks the counters of a hook.
func (k *kit) counts(number int64, want hook.HookCount) {
	k.t.Helper()
	k.equal("counters of the hook", k.stats().Hooks[number], want)
}

// list pages through everything that q selects, limit at a time.
func (k *kit) list(q store.DeliveryQuery, limit int) []hook.Delivery {
	k.t.Helper()
	var all []hook.Delivery
	now := k.now()
	for q.Limit = limit; ; {
		page, next, err := k.s.Deliveries(k.ctx, q, now)
		k.must(err)
		if len(page) > limit {
			k.t.Fatalf("a page of %d deliveries, limit %d", len(page), limit)
		}
		all = append(all, page...)
		if next == nil {
			return all
		}
		if len(all) > 1_000_000 || q.Before != nil && *next == *q.Before {
			k.t.Fatalf("the listing of deliveries does not end")
		}
		q.Before = next
	}
}

// listEvents pages through everything that q selects, limit at a time.
func (k *kit) listEvents(q store.EventQuery, limit int) []hook.Event {
	k.t.Helper()
	var all []hook.Event
	for q.Limit = limit; ; {
		page, next, more, err := k.s.Events(k.ctx, q)
		k.must(err)
		if len(page) > limit {
			k.t.Fatalf("a page of %d events, limit %d", len(page), limit)
		}
		all = append(all, page...)
		if !more {
			return all
		}
		if next <= 0 || q.Before != 0 && next >= q.Before {
			k.t.Fatalf("the listing of events continues at %d after %d", next, q.Before)
		}
		q.Before = next
	}
}

// sameEvent checks that an event is there, byte for byte as it came.
func (k *kit) sameEvent(e *store.Event) {
	k.t.Helper()
	got, err := k.s.Event(k.ctx, e.Seq)
	k.must(err)
	if !bytes.Equal(got.JSON, e.JSON) {
		k.t.Errorf("event %d: JSON of %d bytes came back as %d other bytes", e.Seq, len(e.JSON), len(got.JSON))
	}
	got.JSON, e = nil, &store.Event{Event: e.Event}
	e.JSON = nil
	k.equal(fmt.Sprintf("event %d", e.Seq), got, e.Event)
}

func seqs[E any](list []E, seq func(E) hook.Seq) []hook.Seq {
	numbers := make([]hook.Seq, 0, len(list))
	for _, e := range list {
		numbers = append(numbers, seq(e))
	}
	return numbers
}

func claimSeqs(claims []store.Claim) []hook.Seq {
	return seqs(claims, func(c store.Claim) hook.Seq { return c.Seq })
}

func eventSeqs(events []*store.Event) []hook.Seq {
	return seqs(events, func(e *store.Event) hook.Seq { return e.Seq })
}

// increasing reports whether every number is above the one before it.
func increasing(numbers []hook.Seq) bool {
	return slices.IsSorted(numbers) && len(slices.Compact(slices.Clone(numbers))) == len(numbers)
}
