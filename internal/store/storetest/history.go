package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"pgregory.net/rapid"
)

// histories runs random sequences of what a gateway does with a store, and
// compares the store to a model all the while.
func histories(t *testing.T, fresh func(t testing.TB) Fixture) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{kit: newKit(rt, fresh(t)), m: newModel()}
		defer h.kit.close()
		h.senders = []int64{h.kit.source(), h.kit.source()}
		h.createHook(rt)
		h.createHook(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"commit":       h.commit,
			"commit stale": h.commitStale,
			"claim":        h.claim,
			"settle":       h.settle,
			"settle more":  h.settle,
			"renew":        h.renew,
			"retry":        h.retry,
			"expire":       h.expire,
			"replay":       h.replay,
			"create hook":  h.createHook,
			"delete hook":  h.deleteHook,
			"time passes":  h.pass,
			"prune":        h.prune,
			"prune oldest": h.pruneOldest,
			"forget":       h.forget,
			"restart":      func(*rapid.T) { h.kit.restart() },
			"":             h.compare,
		})
	})
}

// history is a store and its model, and what its callers hold.
type history struct {
	*kit
	m       *model
	senders []int64
	alive   []hook.EventHook
	claims  []store.Claim // taken and not settled, or settled and kept to be stale
	newest  hook.Seq
}

func (h *history) createHook(t *rapid.T) {
	if len(h.alive) >= 3 {
		return
	}
	h.alive = append(h.alive, h.kit.hook())
}

func (h *history) deleteHook(t *rapid.T) {
	if len(h.alive) < 2 {
		return
	}
	i := rapid.IntRange(0, len(h.alive)-1).Draw(t, "hook")
	h.kit.deleteHook(h.alive[i])
	number := h.alive[i].Number
	h.m.deleted[number] = true
	for _, d := range h.m.deliveries {
		if d.Hook != number || d.State != hook.Waiting {
			continue
		}
		if d.leased(h.now()) {
			h.m.adrift[number]++
		} else {
			d.epoch = 0
		}
	}
	h.alive = slices.Delete(h.alive, i, i+1)
}

func (h *history) anyHook(t *rapid.T) int64 {
	return rapid.SampledFrom(h.alive).Draw(t, "hook").Number
}

func (h *history) pass(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, lease / 2, lease, time.Hour, 0}).Draw(t, "time")
	if d == 0 {
		d = max(time.Minute, h.fixture.Grain)
	}
	h.fixture.Advance(d)
}

// newGroup draws events, some of which were there before.
func (h *history) newGroup(t *rapid.T) *store.Group {
	size := rapid.SampledFrom([]int{1, 1, 2, 3, 5, 64, 90}).Draw(t, "events")
	var events []*store.Event
	for range size {
		e := h.kit.event(rapid.SampledFrom(h.senders).Draw(t, "source"))
		if rapid.IntRange(0, 9).Draw(t, "known uuid") < 3 {
			e.UUID = rapid.SampledFrom([]string{"", "a", "7c9e6679-7425-40de-944b-e07fc1f90ae7", instant(1), instant(2), instant(3)}).Draw(t, "uuid")
		}
		e.Type = rapid.SampledFrom([]string{"type.a", "type.b"}).Draw(t, "type")
		if size < 10 && rapid.IntRange(0, 9).Draw(t, "large") == 0 {
			e.JSON = noise(uint64(h.made), 150<<10)
		}
		for _, to := range h.alive {
			if rapid.Bool().Draw(t, "owed") {
				e.Hooks = append(e.Hooks, to.Number)
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "filter fails") == 0 {
			e.FilterErrors = []store.FilterError{{Hook: h.alive[0].Number, Detail: "x"}}
		}
		events = append(events, e)
	}
	g := h.kit.group(events...)
	if rapid.Bool().Draw(t, "rejected") {
		g.Rejected = []*store.Rejected{{Source: h.senders[0], Reason: hook.ReasonNotDelivery, Raw: []byte("raw")}}
	}
	g.Counts = map[int64]hook.SourceCount{h.senders[1]: {Deliveries: 1}}
	return g
}

func (h *history) commitStale(t *rapid.T) {
	g := h.newGroup(t)
	g.Revision += int64(rapid.SampledFrom([]int{-1, 1}).Draw(t, "other revision"))
	claims, err := h.s.Commit(h.ctx, g)
	h.check(errors.Is(err, store.ErrRevision) && len(claims) == 0, "Commit: %v, want ErrRevision", err)
}

func (h *history) commit(t *rapid.T) {
	g := h.newGroup(t)
	type promise struct {
		hook  int64
		event *store.Event
	}
	var taken []promise
	take := rapid.IntRange(0, 2).Draw(t, "take one in")
	offers := 0
	g.LeaseFor = lease
	if take > 0 {
		g.Lease = func(number int64, e *store.Event) bool {
			if offers++; offers%take == 0 {
				taken = append(taken, promise{number, e})
				return true
			}
			return false
		}
	}
	claims, err := h.s.Commit(h.ctx, g)
	h.must(err)
	for number, add := range g.Counts {
		h.m.countSource(number, add)
	}
	for _, r := range g.Rejected {
		h.m.rejected = append(h.m.rejected, *r)
		h.m.countSource(r.Source, hook.SourceCount{Rejected: 1})
	}
	for _, e := range g.Events {
		h.took(g, e)
	}
	var keys, want []hook.Key
	for _, p := range taken {
		if !p.event.Duplicate {
			want = append(want, hook.Key{Hook: p.hook, Seq: p.event.Seq})
		}
	}
	for _, c := range claims {
		keys = append(keys, c.Key)
		h.held(c)
	}
	h.equal("claims of the commit", keys, want)
}

// took brings one event of a committed group to the model.
func (h *history) took(g *store.Group, e *store.Event) {
	key := dedupeKey{e.Source, e.UUID}
	entry, known := h.m.keys[key]
	if known && entry.unsure {
		known = e.Duplicate
	}
	h.check(e.Duplicate == known, "%q is a duplicate: %v, want %v", e.UUID, e.Duplicate, known)
	if known {
		h.check(e.Seq == entry.seq, "%q is a duplicate of %d, want %d", e.UUID, e.Seq, entry.seq)
		h.m.countSource(e.Source, hook.SourceCount{Duplicates: 1})
		return
	}
	h.check(e.Seq > h.newest, "number %d after %d", e.Seq, h.newest)
	h.newest = e.Seq
	h.m.events[e.Seq] = e
	h.m.keys[key] = &dedupeEntry{seq: e.Seq, received: g.Received}
	h.m.countSource(e.Source, hook.SourceCount{Received: 1})
	for _, number := range e.Hooks {
		h.m.owe(e, number, 0, g.Received)
	}
	for _, f := range e.FilterErrors {
		h.m.countHook(f.Hook, func(c *hook.HookCount) { c.FilterErrors++ })
	}
}

// held checks a claim and brings it to the model.
func (h *history) held(c store.Claim) {
	d := h.m.deliveries[c.Key]
	if d == nil {
		h.t.Fatalf("claimed %v, which is not there", c.Key)
	}
	want := store.Claim{
		Key: c.Key, Epoch: c.Epoch, Until: c.Until, Event: &d.event.Event,
		Created: d.Created, Attempts: d.AttemptCount, First: d.first, HeldAtFirst: d.held,
	}
	h.equal("the claim", c, want)
	for _, other := range h.claims {
		h.check(other.Epoch != c.Epoch, "the epoch %d again", c.Epoch)
	}
	d.epoch, d.until = c.Epoch, c.Until
	h.claims = append(h.claims, c)
}

func (h *history) claim(t *rapid.T) {
	number, now := h.anyHook(t), h.now()
	limit := rapid.SampledFrom([]int{1, 2, 5, 100}).Draw(t, "limit")
	maxBytes := rapid.SampledFrom([]int{0, 200, 200 << 10, 64 << 20}).Draw(t, "max bytes")
	waiting := h.m.of(func(d *owing) bool { return d.Hook == number && h.m.waits(d, now) })
	due, _ := slices.BinarySearchFunc(waiting, now.Add(1), func(d *owing, t time.Time) int { return d.Due.Compare(t) })
	var nextEnd time.Time
	for _, d := range h.m.deliveries {
		if d.Hook == number && d.State == hook.Waiting && d.leased(now) && (nextEnd.IsZero() || d.until.Before(nextEnd)) {
			nextEnd = d.until
		}
	}
	claims, next, err := h.s.Claim(h.ctx, number, now, limit, maxBytes, lease)
	h.must(err)
	if maxBytes == 64<<20 {
		h.check(len(claims) == min(limit, due), "%d claims, want %d", len(claims), min(limit, due))
	}
	h.check(len(claims) <= min(limit, due) && (due == 0 || len(claims) > 0), "%d claims of %d due, limit %d", len(claims), due, limit)
	size := 0
	for i, c := range claims {
		d := h.m.deliveries[c.Key]
		h.check(d != nil && h.m.waits(d, now) && d.Due.Equal(waiting[i].Due), "claim %d is %v, want one due at %v", i, c.Key, waiting[i].Due)
		size += len(c.Event.JSON)
		h.held(c)
	}
	h.check(size <= maxBytes || len(claims) == 1, "%d bytes in %d claims, want %d", size, len(claims), maxBytes)
	switch {
	case len(claims) < due:
		h.check(!next.IsZero() && !next.After(now), "next is %v, want it due", next)
	case due < len(waiting) && (nextEnd.IsZero() || waiting[due].Due.Before(nextEnd)):
		h.equal("next", next, waiting[due].Due)
	default:
		h.equal("next", next, nextEnd)
	}
}

// settle draws outcomes for some claims, held and stale ones alike.
func (h *history) settle(t *rapid.T) {
	if len(h.claims) == 0 {
		return
	}
	var outcomes []store.Outcome
	now := h.now()
	for range rapid.IntRange(1, 12).Draw(t, "outcomes") {
		c := rapid.SampledFrom(h.claims).Draw(t, "claim")
		o := store.Outcome{Key: c.Key, Epoch: c.Epoch, Reason: hook.ReasonStatus, HeldAtFirst: c.HeldAtFirst}
		if rapid.IntRange(0, 4).Draw(t, "attempted") > 0 {
			o.Attempt = &hook.Attempt{At: now, Duration: time.Duration(len(outcomes)) * time.Microsecond, Status: 500}
			o.HeldAtFirst = time.Duration(rapid.IntRange(0, 5).Draw(t, "held")) * time.Second
		}
		switch rapid.IntRange(0, 3).Draw(t, "outcome") {
		case 0:
			o.State, o.Reason = hook.Delivered, ""
		case 1:
			o.State = hook.Dead
			o.Response = &hook.Response{Status: 500, Body: noise(1, 20<<10)}
		case 2:
			o.State, o.Due = hook.Waiting, now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, lease, time.Hour}).Draw(t, "wait"))
			o.Response = &hook.Response{Status: 502, Body: noise(2, 2<<10)}
		case 3:
			o = givenBack(c)
		}
		outcomes = append(outcomes, o)
	}
	lost, err := h.s.Settle(h.ctx, outcomes)
	h.must(err)
	count := make(map[hook.Key]int)
	for _, key := range lost {
		count[key]++
	}
	for key, took := range byKey(outcomes) {
		h.settled(key, took, count[key], now)
		delete(count, key)
	}
	h.check(len(count) == 0, "lost for no reason: %v", count)
}

func byKey(outcomes []store.Outcome) map[hook.Key][]store.Outcome {
	keys := make(map[hook.Key][]store.Outcome)
	for _, o := range outcomes {
		keys[o.Key] = append(keys[o.Key], o)
	}
	return keys
}

// settled brings the outcomes of one delivery to the model: of those that hold
// its lease the first, unless the lease has ended, when it may be lost.
func (h *history) settled(key hook.Key, outcomes []store.Outcome, lost int, now time.Time) {
	d := h.m.deliveries[key]
	holder := slices.IndexFunc(outcomes, func(o store.Outcome) bool { return d != nil && d.epoch == o.Epoch })
	taken := len(outcomes) - lost
	switch {
	case holder < 0:
		h.check(taken == 0, "a stale outcome of %v is kept", key)
		return
	case d.leased(now):
		h.check(taken == 1, "%d outcomes of %v are kept, want 1", taken, key)
	default:
		h.check(taken <= 1, "%d outcomes of %v are kept, want at most 1", taken, key)
	}
	if taken == 1 {
		if h.m.deleted[key.Hook] {
			h.m.adrift[key.Hook]--
		}
		h.m.settle(d, outcomes[holder])
	}
}

func (h *history) renew(t *rapid.T) {
	if len(h.claims) == 0 {
		return
	}
	now := h.now()
	held := []store.Claim{rapid.SampledFrom(h.claims).Draw(t, "claim"), rapid.SampledFrom(h.claims).Draw(t, "claim")}
	until, lost, err := h.s.Renew(h.ctx, held, now, 2*lease)
	h.must(err)
	var want []hook.Key
	for _, c := range held {
		if d := h.m.deliveries[c.Key]; d != nil && d.epoch == c.Epoch && d.leased(now) {
			d.until = until
		} else {
			want = append(want, c.Key)
		}
	}
	h.equal("lost", lost, want)
}

func (h *history) anyKey(t *rapid.T) (hook.Key, bool) {
	all := h.m.of(func(*owing) bool { return true })
	if len(all) == 0 {
		return hook.Key{}, false
	}
	return rapid.SampledFrom(all).Draw(t, "delivery").Key, true
}

func (h *history) retry(t *rapid.T) {
	key, ok := h.anyKey(t)
	if !ok {
		return
	}
	now, d := h.now(), h.m.deliveries[key]
	changed, err := h.s.Retry(h.ctx, key, now)
	h.must(err)
	h.check(changed == h.m.waits(d, now), "Retry of a %v delivery: changed %v", h.m.shown(d, now).State, changed)
	if changed {
		after := h.delivery(key).Due
		h.check(!after.After(now), "due at %v after Retry at %v", after, now)
		d.Due = after
	}
}

func (h *history) expire(t *rapid.T) {
	number, now := h.anyHook(t), h.now()
	before := now.Add(-rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 24 * time.Hour}).Draw(t, "age"))
	limit := rapid.IntRange(1, 20).Draw(t, "limit")
	old := h.m.of(func(d *owing) bool { return d.Hook == number && h.m.waits(d, now) && d.Created.Before(before) })
	n, more, err := h.s.Expire(h.ctx, number, before, now, hook.ReasonExpired, limit)
	h.must(err)
	h.check(n <= limit && n <= len(old) && (more || n == len(old)), "expired %d of %d, limit %d, more %v", n, len(old), limit, more)
	for _, d := range old {
		if got := h.delivery(d.Key); got.State == hook.Dead {
			h.m.expire(d, hook.ReasonExpired)
			n--
		}
	}
	h.check(n == 0, "%d more were expired than are dead", n)
}

func (h *history) replay(t *rapid.T) {
	known := seqs(h.listEvents(store.EventQuery{}, 50), func(e hook.Event) hook.Seq { return e.Seq })
	var numbers []hook.Seq
	for range rapid.IntRange(1, 5).Draw(t, "events") {
		numbers = append(numbers, hook.Seq(rapid.Int64Range(0, int64(h.newest)+2).Draw(t, "event")))
		if len(known) > 0 {
			numbers = append(numbers, rapid.SampledFrom(known).Draw(t, "known event"))
		}
	}
	k, now := h.kit, h.now()
	r := &store.Replay{ID: "r", Hook: h.anyHook(t), Created: now}
	if rapid.Bool().Draw(t, "of deliveries") {
		r.OriginHook = h.anyHook(t)
	}
	k.must(k.s.CreateReplay(k.ctx, r))
	if r.OriginHook != 0 {
		h.m.origins[r.Number] = hook.Key{Hook: r.OriginHook, Replay: r.OriginReplay}
	}
	added, err := k.s.AddToReplay(k.ctx, r, numbers, now)
	k.must(err)
	slices.Sort(numbers)
	for _, seq := range slices.Compact(slices.Clone(numbers)) {
		if e := h.m.events[seq]; e != nil {
			h.m.owe(e, r.Hook, r.Number, now)
			added--
		}
	}
	k.check(added == 0, "%d more were added than are there", added)
	added, err = k.s.AddToReplay(k.ctx, r, numbers, now)
	k.must(err)
	k.check(added == 0, "%d were added twice", added)
}

func (h *history) prune(t *rapid.T) {
	now := h.now()
	before := now.Add(-rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 24 * time.Hour}).Draw(t, "age"))
	removed := h.kit.prune(before, rapid.IntRange(1, 5).Draw(t, "limit"))
	h.removed(removed, func(e *store.Event) bool { return e.Received.Before(before) },
		func(e *store.Event) bool { return h.wholly(e.Received, before) }, true)
	h.m.rejected = slices.DeleteFunc(h.m.rejected, func(r store.Rejected) bool { return r.Received.Before(before) })
}

func (h *history) pruneOldest(t *rapid.T) {
	removed, err := h.s.PruneOldest(h.ctx, rapid.IntRange(1, 3).Draw(t, "limit"))
	h.must(err)
	left, err := h.s.RejectedList(h.ctx, 0, 0, 1000)
	h.must(err)
	rejected := len(h.m.rejected) - len(left)
	h.m.rejected = h.m.rejected[rejected:]
	any := func(*store.Event) bool { return true }
	h.removed(removed-rejected, any, any, removed == 0)
}

// wholly reports whether all that came within the same grain as t came before.
func (h *history) wholly(t, before time.Time) bool {
	if h.fixture.Grain == 0 {
		return t.Before(before)
	}
	return !t.Truncate(h.fixture.Grain).Add(h.fixture.Grain).After(before)
}

// removed finds out which events are gone and checks that they could go: the
// oldest of those that may first, and, when all was asked for, every one that
// must.
func (h *history) removed(count int, may, must func(*store.Event) bool, all bool) {
	now := h.now()
	var gone []hook.Seq
	oldestLeft := hook.Seq(1 << 62)
	for seq, e := range h.m.events {
		_, err := h.s.Event(h.ctx, seq)
		if errors.Is(err, store.ErrNotFound) {
			owed, _ := h.m.owed(seq, now)
			h.check(may(e) && !owed, "event %d is gone; old enough: %v, owed: %v", seq, may(e), owed)
			gone = append(gone, seq)
			continue
		}
		h.must(err)
		if must(e) && !h.m.blockOwed(seq, now) {
			h.check(!all, "event %d is left", seq)
			oldestLeft = min(oldestLeft, seq)
		}
	}
	h.check(len(gone) == count, "%d events are gone, said were %d", len(gone), count)
	for _, seq := range gone {
		h.check(all || seq < oldestLeft, "event %d is gone and %d is left", seq, oldestLeft)
	}
	for _, seq := range gone {
		h.m.remove(seq)
	}
}

func (h *history) forget(t *rapid.T) {
	before := h.now().Add(-rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "age"))
	h.kit.forget(before, rapid.IntRange(1, 5).Draw(t, "limit"))
	for key, entry := range h.m.keys {
		switch {
		case !entry.gone || !entry.received.Before(before):
		case h.fixture.Grain == 0:
			delete(h.m.keys, key)
		default:
			entry.unsure = true // others of its grain may be there still
		}
	}
}
