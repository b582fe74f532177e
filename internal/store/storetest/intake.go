package storetest

import (
	"errors"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var intakeTests = []test{
	{"an event comes back byte for byte", keepsBytes},
	{"any type and any time comes back", keepsFields},
	{"times are kept to the microsecond", keepsMicroseconds},
	{"numbers grow and are never used again", numbersGrow},
	{"an event is owed to the hooks it names", owesEvents},
	{"a group without events is kept too", emptyGroup},
	{"counters count", countsIntake},
	{"filter errors are kept", keepsFilterErrors},
	{"a group routed with other hooks is refused", refusesOldRevisions},
	{"a refused group can be committed later", commitsAfterRefusal},
}

func keepsBytes(k *kit) {
	source := k.source()
	all := [][]byte{
		[]byte(`{"uuid":"a"}`),
		[]byte(" {\r\n\t\"a\" : 1.0e5,\n\"a\":2 } "),
		[]byte("{\"name\":\"\xff\xfe\xc3(\xed\xa0\x80\"}"),
		[]byte("{\"nul\":\"\x00\"}\x00"),
		[]byte(`{"name":"łódź 😀 \u0000"}`),
		[]byte(`{}`),
		{},
	}
	var events []*store.Event
	for _, raw := range all {
		e := k.event(source)
		e.JSON = raw
		events = append(events, e)
	}
	k.commit(events...)
	for _, e := range events {
		k.sameEvent(e)
	}
	k.restart()
	for _, e := range events {
		k.sameEvent(e)
	}
}

func keepsFields(k *kit) {
	a, b := k.source(), k.source()
	first, second, third := k.event(a), k.event(b), k.event(b)
	first.Type, first.Published = "", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	second.Type, second.Published = "a type nobody knows\x00\xff", time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	third.Published = time.Unix(0, 0).UTC()
	k.commit(first, second, third)
	k.restart()
	for _, e := range []*store.Event{first, second, third} {
		k.sameEvent(e)
	}
}

func keepsMicroseconds(k *kit) {
	h := k.hook()
	e := k.event(k.source(), h.Number)
	g := k.group(e)
	g.Received = g.Received.Add(-time.Second + 123_456*time.Microsecond)
	e.Published = g.Received.Add(-777 * time.Microsecond)
	_, err := k.s.Commit(k.ctx, g)
	k.must(err)
	k.sameEvent(e)
	k.equal("created", k.delivery(hook.Key{Hook: h.Number, Seq: e.Seq}).Created, g.Received)

	due := k.now().Add(time.Hour + 654_321*time.Microsecond)
	k.settle(k.failed(k.one(h.Number), due))
	k.equal("due", k.delivery(hook.Key{Hook: h.Number, Seq: e.Seq}).Due, due)
}

func numbersGrow(k *kit) {
	source := k.source()
	var all []hook.Seq
	for _, n := range []int{1, 3, hook.BlockSlots, 1, hook.BlockSlots + 1, 2} {
		events := k.events(n, source)
		k.commit(events...)
		all = append(all, eventSeqs(events)...)
		if n == 3 {
			k.restart()
		}
	}
	k.check(increasing(all), "numbers do not grow in the order of commit: %v", all)
	k.check(all[0] > 0, "the first number is %d", all[0])
}

func owesEvents(k *kit) {
	source, a, b := k.source(), k.hook(), k.hook()
	none, one, both := k.event(source), k.event(source, a.Number), k.event(source, b.Number, a.Number)
	k.commit(none, one, both)

	for _, owed := range []struct {
		event *store.Event
		hooks []int64
	}{{none, nil}, {one, []int64{a.Number}}, {both, []int64{a.Number, b.Number}}} {
		got := k.list(store.DeliveryQuery{Event: owed.event.Seq}, 10)
		k.check(len(got) == len(owed.hooks), "event %d is owed to %d hooks, want %d", owed.event.Seq, len(got), len(owed.hooks))
		for _, number := range owed.hooks {
			key := hook.Key{Hook: number, Seq: owed.event.Seq}
			k.equal("the delivery", k.delivery(key), hook.Delivery{
				Key: key, UUID: owed.event.UUID, Type: owed.event.Type, Source: source,
				State: hook.Waiting, Created: owed.event.Received, Due: owed.event.Received,
			})
		}
	}
	_, err := k.s.Delivery(k.ctx, hook.Key{Hook: b.Number, Seq: one.Seq}, k.now())
	k.check(errors.Is(err, store.ErrNotFound), "a delivery that is not owed: %v, want ErrNotFound", err)
	k.counts(a.Number, hook.HookCount{Matched: 2})
	k.counts(b.Number, hook.HookCount{Matched: 1})
}

func emptyGroup(k *kit) {
	source := k.source()
	g := k.group()
	g.Counts = map[int64]hook.SourceCount{source: {Deliveries: 2}}
	claims, err := k.s.Commit(k.ctx, g)
	k.must(err)
	k.check(len(claims) == 0, "claims out of nothing: %v", claims)
	k.equal("counters", k.stats().Sources[source], hook.SourceCount{Deliveries: 2})
}

func countsIntake(k *kit) {
	a, b := k.source(), k.source()
	events := append(k.events(3, a), k.events(2, b)...)
	events = append(events, copies(events[:2])...)
	g := k.group(events...)
	g.Rejected = []*store.Rejected{{Source: b, Reason: hook.ReasonNotDelivery, Raw: []byte("x")}}
	g.Counts = map[int64]hook.SourceCount{
		a: {Deliveries: 1, Unauthorized: 5},
		b: {Deliveries: 2, TooLarge: 6, Unavailable: 7},
	}
	_, err := k.s.Commit(k.ctx, g)
	k.must(err)
	added := map[int64]hook.SourceCount{0: {Unauthorized: 1}, a: {Unauthorized: 1, Unavailable: 2}}
	k.must(k.s.Count(k.ctx, added))
	k.equal("the caller's map", added, map[int64]hook.SourceCount{0: {Unauthorized: 1}, a: {Unauthorized: 1, Unavailable: 2}})
	k.must(k.s.Count(k.ctx, nil))

	want := map[int64]hook.SourceCount{
		0: {Unauthorized: 1},
		a: {Deliveries: 1, Received: 3, Duplicates: 2, Unauthorized: 6, Unavailable: 2},
		b: {Deliveries: 2, Received: 2, Rejected: 1, TooLarge: 6, Unavailable: 7},
	}
	k.equal("counters", k.stats().Sources, want)
	k.restart()
	k.equal("counters after a restart", k.stats().Sources, want)
}

func keepsFilterErrors(k *kit) {
	source, a, b := k.source(), k.hook(), k.hook()
	e, fine := k.event(source, a.Number), k.event(source)
	e.FilterErrors = []store.FilterError{{Hook: a.Number, Detail: "no method size() on \xff\x00 null"}, {Hook: b.Number}}
	k.commit(e, fine)
	for range 2 {
		got, err := k.s.FilterErrors(k.ctx, e.Seq)
		k.must(err)
		k.equal("filter errors", got, e.FilterErrors)
		got, err = k.s.FilterErrors(k.ctx, fine.Seq)
		k.must(err)
		k.equal("filter errors of an event without", got, []store.FilterError(nil))
		k.counts(a.Number, hook.HookCount{Matched: 1, FilterErrors: 1})
		k.counts(b.Number, hook.HookCount{FilterErrors: 1})
		k.restart()
	}
	again := copies([]*store.Event{e})[0]
	again.FilterErrors = e.FilterErrors
	k.commit(again)
	k.counts(b.Number, hook.HookCount{FilterErrors: 1})
}

// refusesOldRevisions makes every kind of change to the hooks, and has a group
// refused that was routed before it.
func refusesOldRevisions(k *kit) {
	source, h := k.source(), k.hook()
	other := k.newHook()
	changes := map[string]func() error{
		"create": func() error { return k.s.CreateEventHook(k.ctx, &other, anyone) },
		"update": func() error {
			_, err := k.s.UpdateEventHook(k.ctx, h.ID, k.now(), func(h *hook.EventHook, _ []hook.EventHook) error {
				h.Types = []string{"user.session.end"}
				return nil
			})
			return err
		},
		"delete": func() error {
			return k.s.DeleteEventHook(k.ctx, h.ID, k.now(), func(hook.EventHook) error { return nil })
		},
	}
	for _, name := range []string{"create", "update", "delete"} {
		e := k.event(source, h.Number)
		old := k.group(e)
		old.Counts = map[int64]hook.SourceCount{source: {Deliveries: 1}}
		old.Rejected = []*store.Rejected{{Source: source, Raw: []byte("x")}}
		k.must(changes[name]())
		before := k.dump()
		for range 2 {
			_, err := k.s.Commit(k.ctx, old)
			k.check(errors.Is(err, store.ErrRevision), "commit after %s: %v, want ErrRevision", name, err)
			k.equal("the store after a refused group", k.dump(), before)
			k.restart()
		}
		// Holds are no revision, and a change that was refused is none either.
		g := k.group(k.event(source))
		_, err := k.s.Hold(k.ctx, h.Number, hook.ReasonGone, k.now(), time.Time{})
		k.check(err == nil || name == "delete" && errors.Is(err, store.ErrNotFound), "Hold: %v", err)
		_, err = k.s.UpdateEventHook(k.ctx, other.ID, k.now(), func(*hook.EventHook, []hook.EventHook) error { return errRefused })
		k.check(err == errRefused, "UpdateEventHook: %v", err)
		_, err = k.s.Commit(k.ctx, g)
		k.must(err)
	}
}

var errRefused = errors.New("refused by the test")

func commitsAfterRefusal(k *kit) {
	source, h := k.source(), k.hook()
	first := k.event(source, h.Number)
	second := copies([]*store.Event{first})[0]
	g := k.group(first, second)
	k.hook()
	_, err := k.s.Commit(k.ctx, g)
	k.check(errors.Is(err, store.ErrRevision), "Commit: %v, want ErrRevision", err)

	_, g.Revision, err = k.s.EventHooks(k.ctx)
	k.must(err)
	_, err = k.s.Commit(k.ctx, g)
	k.must(err)
	k.check(!first.Duplicate && second.Duplicate && second.Seq == first.Seq,
		"the first is a duplicate: %v, the second: %v of %d, want of %d", first.Duplicate, second.Duplicate, second.Seq, first.Seq)
	k.sameEvent(first)
	k.counts(h.Number, hook.HookCount{Matched: 1})
}
