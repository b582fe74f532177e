package storetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// model is what a store must look like from outside, kept in the plainest way.
type model struct {
	events     map[hook.Seq]*store.Event
	keys       map[dedupeKey]*dedupeEntry
	deliveries map[hook.Key]*owing
	deleted    map[int64]bool // hooks
	sources    map[int64]hook.SourceCount
	hooks      map[int64]hook.HookCount // Cancelled is left at 0, see cancelled
	adrift     map[int64]int            // of deleted hooks: deliveries being sent when it happened
	rejected   []store.Rejected
	origins    map[int64]hook.Key // what replays send again, less the Seq
}

type dedupeKey struct {
	source int64
	uuid   string
}

type dedupeEntry struct {
	seq      hook.Seq
	received time.Time
	gone     bool // the event is
	unsure   bool // whether the key is there still
}

// owing is a delivery. Its State is Waiting until it is final; whether it is
// being sent or was cancelled follows from its lease and its hook.
type owing struct {
	hook.Delivery
	event *store.Event
	epoch int64 // of its last lease, 0 when that was settled
	until time.Time
	first time.Time
	held  time.Duration
}

func newModel() *model {
	return &model{
		events:     make(map[hook.Seq]*store.Event),
		keys:       make(map[dedupeKey]*dedupeEntry),
		deliveries: make(map[hook.Key]*owing),
		deleted:    make(map[int64]bool),
		sources:    make(map[int64]hook.SourceCount),
		hooks:      make(map[int64]hook.HookCount),
		adrift:     make(map[int64]int),
		origins:    make(map[int64]hook.Key),
	}
}

func (m *model) countSource(number int64, add hook.SourceCount) {
	c := m.sources[number]
	c.Add(add)
	m.sources[number] = c
}

func (m *model) countHook(number int64, change func(*hook.HookCount)) {
	c := m.hooks[number]
	change(&c)
	m.hooks[number] = c
}

// owe adds a delivery.
func (m *model) owe(e *store.Event, number, replay int64, created time.Time) *owing {
	d := &owing{event: e, Delivery: hook.Delivery{
		Key:  hook.Key{Hook: number, Seq: e.Seq, Replay: replay},
		UUID: e.UUID, Type: e.Type, Source: e.Source, Created: created, Due: created,
	}}
	if origin, ok := m.origins[replay]; ok {
		origin.Seq = e.Seq
		d.ReplayOf = &origin
	}
	m.deliveries[d.Key] = d
	m.countHook(number, func(c *hook.HookCount) { c.Matched++ })
	return d
}

func (d *owing) leased(now time.Time) bool { return d.epoch != 0 && d.until.After(now) }

// waits reports whether d could be claimed once it is due.
func (m *model) waits(d *owing, now time.Time) bool {
	return d.State == hook.Waiting && !d.leased(now) && !m.deleted[d.Hook]
}

// shown is d as a reader sees it.
func (m *model) shown(d *owing, now time.Time) hook.Delivery {
	view := d.Delivery
	switch {
	case view.State != hook.Waiting:
	case d.leased(now):
		view.State, view.Reason = hook.Sending, ""
	case m.deleted[d.Hook]:
		view.State, view.Reason = hook.Cancelled, hook.ReasonHookDeleted
	}
	if view.State != hook.Waiting {
		view.Due = time.Time{}
	}
	return view
}

// of returns the deliveries that select names, those owed longest first.
func (m *model) of(wanted func(d *owing) bool) (list []*owing) {
	for _, d := range m.deliveries {
		if wanted(d) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *owing) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.Replay, b.Replay))
	})
	return list
}

// settle does what an outcome says to a delivery whose lease it holds.
func (m *model) settle(d *owing, o store.Outcome) {
	d.epoch = 0
	if o.State == hook.Waiting && o.Attempt == nil && o.Due.IsZero() {
		return
	}
	d.State, d.Reason, d.Response = o.State, o.Reason, nil
	if o.State == hook.Waiting {
		d.Due = o.Due
	}
	if o.Response != nil && o.State != hook.Delivered {
		r := *o.Response
		limit := hook.MaxWaitingBody
		if o.State == hook.Dead {
			limit = hook.MaxDeadBody
		}
		r.Body = r.Body[:min(len(r.Body), limit)]
		d.Response = &r
	}
	m.countHook(d.Hook, func(c *hook.HookCount) {
		switch o.State {
		case hook.Delivered:
			c.Delivered++
		case hook.Dead:
			c.Dead++
		}
		if o.Attempt != nil {
			c.Attempts++
		}
	})
	if o.Attempt == nil {
		return
	}
	if d.AttemptCount == 0 {
		d.first, d.held = o.Attempt.At, o.HeldAtFirst
	}
	d.AttemptCount++
	d.Attempts = append(slices.Clone(d.Attempts), *o.Attempt)
}

// expire makes a delivery dead.
func (m *model) expire(d *owing, reason hook.Reason) {
	d.State, d.Reason, d.epoch = hook.Dead, reason, 0
	m.countHook(d.Hook, func(c *hook.HookCount) { c.Dead++ })
}

// owed reports whether an event must stay because of its deliveries; unsure,
// whether it may, as a deleted hook's lease on it was never settled.
func (m *model) owed(seq hook.Seq, now time.Time) (owed, unsure bool) {
	for _, d := range m.deliveries {
		if d.Seq != seq || d.State != hook.Waiting {
			continue
		}
		if !m.deleted[d.Hook] || d.leased(now) {
			return true, true
		}
		unsure = unsure || d.epoch != 0
	}
	return false, unsure
}

// blockOwed is the same of all the events that may share a block with one: such
// an event may stay as long as one of them is owed.
func (m *model) blockOwed(seq hook.Seq, now time.Time) bool {
	for other := range m.events {
		if other.Block() == seq.Block() {
			if _, unsure := m.owed(other, now); unsure {
				return true
			}
		}
	}
	return false
}

// remove takes an event away, and leaves its dedupe key.
func (m *model) remove(seq hook.Seq) {
	e := m.events[seq]
	m.keys[dedupeKey{e.Source, e.UUID}].gone = true
	delete(m.events, seq)
	for key := range m.deliveries {
		if key.Seq == seq {
			delete(m.deliveries, key)
		}
	}
}

// cancelled is how many deliveries of a hook count as cancelled, at least and
// at most: a store that has no clock cannot count a lease that ended unsettled.
func (m *model) cancelled(number int64, now time.Time) (least, most int64) {
	if !m.deleted[number] {
		return 0, 0
	}
	c := m.hooks[number]
	for _, d := range m.deliveries {
		if d.Hook == number && d.State == hook.Waiting && d.leased(now) {
			most--
		}
	}
	return c.Waiting() - int64(m.adrift[number]), c.Waiting() + most
}

// kept is what a store keeps of a delivery's attempts.
func kept(attempts []hook.Attempt) []hook.Attempt {
	if len(attempts) <= hook.MaxAttemptsKept {
		return attempts
	}
	last := attempts[len(attempts)-hook.MaxAttemptsKept+hook.FirstAttemptsKept:]
	return append(attempts[:hook.FirstAttemptsKept:hook.FirstAttemptsKept], last...)
}
