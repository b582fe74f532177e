package move

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"pgregory.net/rapid"
)

// world is a store, and a life it leads before it is copied.
type world struct {
	rapid.TB
	ctx     context.Context
	at      place
	s       store.Store
	clock   time.Time
	made    int
	sources []hook.Source
	hooks   []hook.EventHook
	events  []*store.Event // every one that was ever committed
	claims  []store.Claim
}

func newWorld(t rapid.TB, at place, now time.Time) *world {
	w := &world{TB: t, ctx: context.Background(), at: at, s: at.mustOpen(t), clock: now}
	at.setClock(t, now)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("the store fails: %v", err)
	}
}

// live makes the store live through random steps.
func (w *world) live(t *rapid.T, steps int) {
	w.createSource(t)
	w.createHook(t)
	w.must(w.s.SetCanary(w.ctx, []byte("a sealed canary")))
	acts := []func(*rapid.T){
		w.commit, w.commit, w.commit, w.claim, w.claim, w.settle, w.settle, w.settle, w.replay, w.retry, w.expire, w.hold,
		w.createSource, w.createHook, w.updateHook, w.deleteHook, w.deleteSource, w.prune, w.prune, w.pruneOldest, w.forget, w.pass, w.pass,
	}
	for range steps {
		rapid.SampledFrom(acts).Draw(t, "act")(t)
	}
}

func (w *world) pass(t *rapid.T) {
	w.clock = w.clock.Add(rapid.SampledFrom([]time.Duration{
		time.Microsecond, 999 * time.Microsecond, time.Second, time.Minute, time.Hour, 24 * time.Hour,
	}).Draw(t, "time"))
	w.at.setClock(w.TB, w.clock)
}

func (w *world) createSource(t *rapid.T) {
	w.made++
	s := hook.Source{Name: fmt.Sprintf("source-%d", w.made), Host: "acme.okta.com", Created: w.clock, Updated: w.clock, Sealed: []byte{0, 1, 0xff}}
	w.must(w.s.CreateSource(w.ctx, &s))
	w.sources = append(w.sources, s)
}

func (w *world) deleteSource(t *rapid.T) {
	if len(w.sources) > 1 {
		w.must(w.s.DeleteSource(w.ctx, w.sources[0].Name))
		w.sources = w.sources[1:]
	}
}

func (w *world) createHook(t *rapid.T) {
	w.made++
	h := hook.EventHook{
		ID: fmt.Sprintf("who%d", w.made), Name: "łódź \u0000 %d", Status: hook.Active, Verified: true, EverVerified: true,
		Created: w.clock, LastUpdated: w.clock, Types: []string{"*"}, Policy: hook.DefaultPolicy(), Sealed: []byte("sealed\x00"),
	}
	w.must(w.s.CreateEventHook(w.ctx, &h, func([]hook.EventHook) error { return nil }))
	w.hooks = append(w.hooks, h)
}

func (w *world) anyHook(t *rapid.T) hook.EventHook {
	return rapid.SampledFrom(w.hooks).Draw(t, "hook")
}

func (w *world) updateHook(t *rapid.T) {
	active := rapid.SampledFrom([]hook.Status{hook.Active, hook.Inactive}).Draw(t, "status")
	_, err := w.s.UpdateEventHook(w.ctx, w.anyHook(t).ID, w.clock, func(h *hook.EventHook, _ []hook.EventHook) error {
		h.Status = active
		h.Filters = append(h.Filters, hook.Filter{Type: "*", Expression: "true"})
		return nil
	})
	w.must(err)
}

func (w *world) deleteHook(t *rapid.T) {
	if len(w.hooks) > 1 {
		w.must(w.s.DeleteEventHook(w.ctx, w.hooks[0].ID, w.clock, func(hook.EventHook) error { return nil }))
		w.hooks = w.hooks[1:]
	}
}

func (w *world) hold(t *rapid.T) {
	reason := rapid.SampledFrom([]hook.Reason{"", hook.ReasonGone, hook.ReasonRefused}).Draw(t, "reason")
	_, err := w.s.Hold(w.ctx, w.anyHook(t).Number, reason, w.clock, w.clock.Add(time.Hour))
	w.must(err)
}

// newUUID is one of every form that a uuid may have.
func (w *world) newUUID(t *rapid.T) string {
	w.made++
	form := rapid.SampledFrom([]string{
		"%08x-5dd2-11f0-9c1a-0242ac120002", "a2e3d1f0-5dd2-11f0-9c1a-0000%08x", "%08x-7425-40de-944b-e07fc1f90ae7",
		"01890a5d-ac96-774b-bcce-b302%08x", "%08x-FFFF-ffff-ffff-ffffffffffff", "%08x-ffff-ffff-ffff-ffffffffffff", "text %x", "\x00%x \"é\"",
	}).Draw(t, "form of uuid")
	return fmt.Sprintf(form, 0x10000000+w.made*4099)
}

func (w *world) commit(t *rapid.T) {
	_, revision, err := w.s.EventHooks(w.ctx)
	w.must(err)
	g := &store.Group{Received: w.clock, Revision: revision, LeaseFor: time.Minute}
	w.clock = w.clock.Add(time.Millisecond)
	size := rapid.SampledFrom([]int{1, 2, 3, 64, 130}).Draw(t, "events")
	for i := range size {
		e := &store.Event{Event: hook.Event{
			Source: rapid.SampledFrom(w.sources).Draw(t, "source").Number, UUID: w.newUUID(t),
			Type: rapid.SampledFrom([]string{"user.session.start", "group.user_membership.add", ""}).Draw(t, "type"), Published: w.clock.Add(-time.Second),
		}}
		if len(w.events) > 0 && rapid.IntRange(0, 9).Draw(t, "copy") == 0 {
			e.UUID = rapid.SampledFrom(w.events).Draw(t, "of").UUID
		}
		said := map[string]any{"uuid": e.UUID, "eventType": e.Type, "n": i}
		if size < 3 && rapid.IntRange(0, 9).Draw(t, "large") == 0 {
			said["large"] = strings.Repeat(fmt.Sprint(rand.Uint64()), 20_000)
		}
		e.JSON, err = json.Marshal(said)
		w.must(err)
		for _, h := range w.hooks {
			if rapid.Bool().Draw(t, "owed") {
				e.Hooks = append(e.Hooks, h.Number)
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "filter fails") == 0 {
			e.FilterErrors = []store.FilterError{{Hook: w.hooks[0].Number, Detail: "it is \x00 no \xff text"}}
		}
		g.Events = append(g.Events, e)
	}
	if rapid.Bool().Draw(t, "rejected") {
		g.Rejected = []*store.Rejected{{Source: w.sources[0].Number, Reason: hook.ReasonNotDelivery, Detail: "what", Raw: []byte("{\x00")}}
	}
	g.Counts = map[int64]hook.SourceCount{0: {Unauthorized: 1}, w.sources[0].Number: {Deliveries: 1}}
	take := rapid.Bool().Draw(t, "take some in")
	g.Lease = func(int64, *store.Event) bool { take = !take && len(g.Events) > 1; return take }
	claims, err := w.s.Commit(w.ctx, g)
	w.must(err)
	w.events, w.claims = append(w.events, g.Events...), append(w.claims, claims...)
}

func (w *world) claim(t *rapid.T) {
	limit := rapid.SampledFrom([]int{1, 7, 100}).Draw(t, "limit")
	claims, _, err := w.s.Claim(w.ctx, w.anyHook(t).Number, w.clock, limit, 64<<20, time.Minute)
	w.must(err)
	w.claims = append(w.claims, claims...)
}

// settle ends or gives back all claims but one.
func (w *world) settle(t *rapid.T) {
	var outcomes []store.Outcome
	for i, c := range w.claims {
		o := store.Outcome{Key: c.Key, Epoch: c.Epoch, HeldAtFirst: c.HeldAtFirst}
		at := w.clock.Add(time.Duration(i) * 777 * time.Microsecond)
		o.Attempt = &hook.Attempt{At: at, Duration: 1234 * time.Microsecond, Status: 204}
		switch rapid.IntRange(0, 9).Draw(t, "outcome") {
		case 0:
			o.State, o.Reason, o.Attempt.Status, o.Attempt.Reason = hook.Dead, hook.ReasonExhausted, 500, hook.ReasonStatus
			o.Response = &hook.Response{Status: 500, Body: []byte(strings.Repeat("no ", 3000))}
		case 1, 2:
			o.State, o.Reason, o.Attempt.Status, o.Attempt.Reason = hook.Waiting, hook.ReasonTimeout, 0, hook.ReasonTimeout
			o.Due, o.HeldAtFirst = w.clock.Add(time.Hour), 5*time.Second
			o.Response = &hook.Response{Error: "timeout"}
		case 3:
			o.State, o.Attempt = hook.Waiting, nil
		default:
			o.State = hook.Delivered
		}
		outcomes = append(outcomes, o)
	}
	if len(outcomes) > 1 {
		_, err := w.s.Settle(w.ctx, outcomes[1:])
		w.must(err)
		w.claims = w.claims[:1]
	}
}

func (w *world) replay(t *rapid.T) {
	if len(w.events) == 0 {
		return
	}
	r := &store.Replay{ID: "rpl", Hook: w.anyHook(t).Number, Created: w.clock}
	if rapid.Bool().Draw(t, "of deliveries") {
		r.OriginHook = w.hooks[0].Number
	}
	w.must(w.s.CreateReplay(w.ctx, r))
	for range rapid.IntRange(0, 2).Draw(t, "parts") {
		var seqs []hook.Seq
		for range rapid.IntRange(1, 9).Draw(t, "events") {
			seqs = append(seqs, rapid.SampledFrom(w.events).Draw(t, "event").Seq)
		}
		_, err := w.s.AddToReplay(w.ctx, r, seqs, w.clock)
		w.must(err)
	}
}

func (w *world) retry(t *rapid.T) {
	list, _, err := w.s.Deliveries(w.ctx, store.DeliveryQuery{States: []hook.State{hook.Waiting}, Limit: 5}, w.clock)
	w.must(err)
	for _, d := range list {
		_, err := w.s.Retry(w.ctx, d.Key, w.clock)
		w.must(err)
	}
}

func (w *world) expire(t *rapid.T) {
	_, _, err := w.s.Expire(w.ctx, w.anyHook(t).Number, w.clock.Add(-time.Minute), w.clock, hook.ReasonExpired, 3)
	w.must(err)
}

// prune removes events until they are younger than some age.
func (w *world) prune(t *rapid.T) {
	before := w.clock.Add(-rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 24 * time.Hour}).Draw(t, "age"))
	for more := true; more; {
		var err error
		_, more, err = w.s.Prune(w.ctx, before, 3)
		w.must(err)
	}
}

// pruneOldest removes events however young they are.
func (w *world) pruneOldest(t *rapid.T) {
	_, err := w.s.PruneOldest(w.ctx, rapid.IntRange(1, 2).Draw(t, "limit"))
	w.must(err)
}

func (w *world) forget(t *rapid.T) {
	_, err := w.s.Forget(w.ctx, w.clock.Add(-time.Hour), 1)
	w.must(err)
}

// told is all that a store tells when it is asked.
type told struct {
	Identity     store.Identity
	Canary       string
	Sources      []hook.Source
	SourceNames  map[int64]string
	Hooks        []hook.EventHook
	HookIDs      map[int64]string
	Revision     int64
	Events       []hook.Event
	FilterErrors map[hook.Seq][]store.FilterError
	Deliveries   []hook.Delivery
	ByState      map[hook.State][]hook.Key // listed
	Rejected     []store.Rejected
	Stats        store.Stats
}

func (w *world) tell() (d told) {
	w.Helper()
	d.Identity, d.FilterErrors = w.s.Identity(), make(map[hook.Seq][]store.FilterError)
	canary, err := w.s.Canary(w.ctx)
	w.must(err)
	d.Canary = string(canary)
	d.Sources, err = w.s.Sources(w.ctx)
	w.must(err)
	d.SourceNames, err = w.s.SourceNames(w.ctx)
	w.must(err)
	d.Hooks, d.Revision, err = w.s.EventHooks(w.ctx)
	w.must(err)
	d.HookIDs, err = w.s.HookIDs(w.ctx)
	w.must(err)
	q := store.EventQuery{Limit: 100}
	for more := true; more; {
		var page []hook.Event
		page, q.Before, more, err = w.s.Events(w.ctx, q)
		w.must(err)
		for _, listed := range page {
			e, err := w.s.Event(w.ctx, listed.Seq)
			w.must(err)
			found, err := w.s.FindEvents(w.ctx, e.UUID)
			w.must(err)
			if !slices.ContainsFunc(found, func(f hook.Event) bool { return f.Seq == e.Seq }) {
				w.Errorf("event %d is not found by its uuid %q", e.Seq, e.UUID)
			}
			d.Events = append(d.Events, e)
			failures, err := w.s.FilterErrors(w.ctx, e.Seq)
			w.must(err)
			if len(failures) > 0 {
				d.FilterErrors[e.Seq] = failures
			}
		}
	}
	for _, key := range w.list() {
		one, err := w.s.Delivery(w.ctx, key, w.clock)
		w.must(err)
		d.Deliveries = append(d.Deliveries, one)
	}
	d.ByState = make(map[hook.State][]hook.Key)
	for state := hook.Waiting; state <= hook.Cancelled; state++ {
		d.ByState[state] = w.list(state)
	}
	list, err := w.s.RejectedList(w.ctx, 0, 0, 1000)
	w.must(err)
	for _, listed := range list {
		r, err := w.s.Rejected(w.ctx, listed.ID)
		w.must(err)
		d.Rejected = append(d.Rejected, r)
	}
	d.Stats, err = w.s.Stats(w.ctx)
	w.must(err)
	// That nothing was counted is the same as zero.
	maps.DeleteFunc(d.Stats.Sources, func(_ int64, c hook.SourceCount) bool { return c == hook.SourceCount{} })
	maps.DeleteFunc(d.Stats.Hooks, func(_ int64, c hook.HookCount) bool { return c == hook.HookCount{} })
	d.Stats.Bytes = 0
	return d
}

// list lists deliveries.
func (w *world) list(states ...hook.State) (keys []hook.Key) {
	w.Helper()
	for q := (store.DeliveryQuery{States: states, Limit: 100}); ; {
		page, next, err := w.s.Deliveries(w.ctx, q, w.clock)
		w.must(err)
		for _, listed := range page {
			keys = append(keys, listed.Key)
		}
		if q.Before = next; next == nil {
			return keys
		}
	}
}

// knows sends every event again, once, and tells which are known.
func (w *world) knows() (out []any) {
	w.Helper()
	_, revision, err := w.s.EventHooks(w.ctx)
	w.must(err)
	g := &store.Group{Received: w.clock, Revision: revision}
	sent := make(map[string]bool)
	for _, e := range w.events {
		if name := fmt.Sprint(e.Source, e.UUID); !sent[name] {
			sent[name] = true
			again := &store.Event{Event: e.Event}
			again.Seq = 0
			g.Events = append(g.Events, again)
		}
	}
	_, err = w.s.Commit(w.ctx, g)
	w.must(err)
	for _, e := range g.Events {
		if e.Duplicate {
			out = append(out, fmt.Sprintf("%q of %d is %d", e.UUID, e.Source, e.Seq))
		}
	}
	return out
}

// goOn does what every store does after it was opened again, and tells what came
// of it: what is known, what is due, and which numbers are next. In a database
// there may be gaps between those of events.
func (w *world) goOn(gaps bool) (known, out []any) {
	w.Helper()
	known = w.knows()
	source := hook.Source{Name: "next", Created: w.clock}
	w.must(w.s.CreateSource(w.ctx, &source))
	h := hook.EventHook{ID: "who-next", Status: hook.Active, Verified: true, Created: w.clock, Policy: hook.DefaultPolicy()}
	w.must(w.s.CreateEventHook(w.ctx, &h, func([]hook.EventHook) error { return nil }))
	out = append(out, source, h)
	_, revision, err := w.s.EventHooks(w.ctx)
	w.must(err)
	g := &store.Group{Received: w.clock, Revision: revision, Rejected: []*store.Rejected{{Source: source.Number, Raw: []byte("x")}}}
	g.Events = []*store.Event{{Event: hook.Event{Source: source.Number, UUID: "new", JSON: []byte("{}")}, Hooks: []int64{h.Number}}}
	_, err = w.s.Commit(w.ctx, g)
	w.must(err)
	number := g.Events[0].Seq
	for _, e := range w.events {
		if e.Seq >= number {
			w.Errorf("event %d comes after %d", number, e.Seq)
		}
	}
	if gaps {
		number = 0
	}
	out = append(out, number, g.Rejected[0].ID)
	r := &store.Replay{ID: "rpl-next", Hook: h.Number, Created: w.clock}
	w.must(w.s.CreateReplay(w.ctx, r))
	out = append(out, r.Number)
	for _, one := range append(w.hooks, h) {
		claims, next, err := w.s.Claim(w.ctx, one.Number, w.clock, 1000, 64<<20, time.Minute)
		w.must(err)
		due := make([]string, len(claims)) // in any order among those due at once
		for i, c := range claims {
			if c.Seq == g.Events[0].Seq {
				c.Seq = number
			}
			due[i] = fmt.Sprintln(c.Key.ID(w.s.Identity().Tag), c.Created, c.First, c.HeldAtFirst, c.Attempts, string(c.Event.JSON))
		}
		slices.Sort(due)
		out = append(out, due, next)
	}
	return known, out
}

func same(t rapid.TB, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return // which is quicker, and they should be
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-source +copy):\n%s", what, diff)
	}
}
