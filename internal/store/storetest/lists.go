package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var eventListTests = []test{
	{"every selection, in pages of any size", listsEvents},
	{"by uuid", listsEventsByUUID},
	{"a clock that was set back", listsEventsSetBack},
	{"an event that is not there", missesEvents},
}

var deliveryListTests = []test{
	{"every selection, in pages of any size", listsDeliveries},
	{"listed without attempts, as alone otherwise", listsLikeAlone},
	{"a page that is empty ends the listing", listsNothing},
}

// varied fills the store with events of several sources, types and times, owed
// to several hooks and by replays, and with deliveries in every state.
func (k *kit) varied() (events []*store.Event) {
	k.t.Helper()
	sources := []int64{k.source(), k.source()}
	hooks := []int64{k.hook().Number, k.hook().Number}
	doomed := k.hook()
	for round, n := range []int{3, 70, 1, 2, 5} {
		group := k.events(n, 0)
		for i, e := range group {
			e.Source = sources[i%2]
			e.Type = fmt.Sprintf("type.%d", i%3)
			for j, number := range append(hooks, doomed.Number) {
				if (i+j+round)%3 != 0 {
					e.Hooks = append(e.Hooks, number)
				}
			}
		}
		k.commit(group...)
		events = append(events, group...)
		k.fixture.Advance(time.Minute)
	}
	k.replay(hooks[0], events[0], events[40], events[75])
	second := &store.Replay{ID: "of deliveries", Hook: hooks[1], Created: k.now(), OriginHook: hooks[0]}
	k.must(k.s.CreateReplay(k.ctx, second))
	k.addTo(second, 3, events[0], events[1], events[70])
	for i, number := range append(hooks, doomed.Number) {
		claims, _ := k.claim(number, 25)
		for j, c := range claims {
			switch (i + j) % 5 {
			case 0:
				k.settle(k.dead(c))
			case 1:
				k.settle(k.failed(c, k.now().Add(time.Hour)))
			case 2:
				k.settle(givenBack(c))
			case 3:
				k.settle(k.delivered(c))
			case 4: // stays leased, but for the hook that is deleted below
				if number == doomed.Number {
					k.settle(givenBack(c))
				}
			}
		}
	}
	k.deleteHook(doomed)
	return events
}

func listsEvents(k *kit) {
	events := k.varied()
	var all []hook.Event
	for _, e := range slices.Backward(events) {
		listed := e.Event
		listed.JSON = nil
		all = append(all, listed)
	}
	old, young := events[3].Received, events[len(events)-1].Received
	combinations := 0
	for _, source := range []int64{0, events[0].Source, events[1].Source, 1000} {
		for _, kind := range []string{"", "type.1", "type.9"} {
			for _, since := range []time.Time{{}, old, old.Add(time.Microsecond), young} {
				for _, until := range []time.Time{{}, old, young, young.Add(time.Microsecond)} {
					for _, limit := range []int{1, 7, 1000} {
						q := store.EventQuery{Source: source, Type: kind, Since: since, Until: until}
						got := k.listEvents(q, limit)
						for i := range got {
							got[i].JSON = nil
						}
						want := slices.DeleteFunc(slices.Clone(all), func(e hook.Event) bool {
							return source != 0 && e.Source != source || kind != "" && e.Type != kind ||
								e.Received.Before(since) || !until.IsZero() && !e.Received.Before(until)
						})
						k.equal(fmt.Sprintf("events of %+v, in pages of %d", q, limit), got, want)
						combinations++
					}
				}
			}
		}
	}
	k.check(combinations == 576, "%d combinations", combinations)
}

func listsEventsByUUID(k *kit) {
	var same []*store.Event
	first := k.event(k.source())
	for range 4 {
		e := copies([]*store.Event{first})[0]
		e.Source = k.source()
		e.Type = fmt.Sprintf("type.%d", len(same)%2)
		k.commit(e, k.event(e.Source))
		k.fixture.Advance(time.Minute)
		same = append(same, e)
	}
	list := func(q store.EventQuery, limit int) []hook.Seq {
		k.t.Helper()
		q.UUID = first.UUID
		return seqs(k.listEvents(q, limit), func(e hook.Event) hook.Seq { return e.Seq })
	}
	backward := []hook.Seq{same[3].Seq, same[2].Seq, same[1].Seq, same[0].Seq}
	for limit := range 5 {
		k.equal("by uuid", list(store.EventQuery{}, limit+1), backward)
	}
	k.equal("by uuid and source", list(store.EventQuery{Source: same[2].Source}, 1), []hook.Seq{same[2].Seq})
	k.equal("by uuid and type", list(store.EventQuery{Type: "type.1"}, 1), []hook.Seq{same[3].Seq, same[1].Seq})
	k.equal("by uuid and time", list(store.EventQuery{Since: same[1].Received, Until: same[3].Received}, 1), []hook.Seq{same[2].Seq, same[1].Seq})
	k.equal("by uuid, from one on", list(store.EventQuery{Before: same[2].Seq}, 5), []hook.Seq{same[1].Seq, same[0].Seq})
}

// listsEventsSetBack takes in events while the clock is set back by half an
// hour: the times of receipt do not grow as the numbers do.
func listsEventsSetBack(k *kit) {
	source := k.source()
	start := k.now()
	var want []hook.Seq
	since, until := start.Add(-20*time.Minute), start.Add(5*time.Minute)
	for _, minutes := range []int{0, 10, -20, -10, -21, 4} {
		g := k.group(k.event(source))
		g.Received = start.Add(time.Duration(minutes) * time.Minute)
		_, err := k.s.Commit(k.ctx, g)
		k.must(err)
		if !g.Received.Before(since) && g.Received.Before(until) {
			want = append([]hook.Seq{g.Events[0].Seq}, want...)
		}
	}
	k.check(len(want) == 4, "the test is wrong")
	got := seqs(k.listEvents(store.EventQuery{Since: since, Until: until}, 2), func(e hook.Event) hook.Seq { return e.Seq })
	k.equal("events", got, want)
	before, old := start, 3
	if k.fixture.Grain > 0 {
		k.age(0)
		before, old = k.now(), 6
	}
	k.check(k.prune(before, 1) == old, "not the %d that came before %v were pruned", old, before)
}

func missesEvents(k *kit) {
	e := k.event(k.source())
	k.commit(e)
	for _, seq := range []hook.Seq{-1, -hook.BlockSlots, 0, 1, e.Seq - 1, e.Seq + 1, e.Seq + hook.BlockSlots, 1 << 62} {
		_, err := k.s.Event(k.ctx, seq)
		k.check(errors.Is(err, store.ErrNotFound), "Event(%d): %v, want ErrNotFound", seq, err)
		failures, err := k.s.FilterErrors(k.ctx, seq)
		k.must(err)
		k.check(len(failures) == 0, "filter errors of event %d: %v", seq, failures)
	}
}

func selects(q store.DeliveryQuery, d hook.Delivery) bool {
	return (q.Hook == 0 || d.Hook == q.Hook) &&
		(q.Event == 0 || d.Seq == q.Event) &&
		(q.Source == 0 || d.Source == q.Source) &&
		(q.Type == "" || d.Type == q.Type) &&
		(len(q.States) == 0 || slices.Contains(q.States, d.State)) &&
		!d.Created.Before(q.Since) && (q.Until.IsZero() || d.Created.Before(q.Until))
}

// sameDeliveries checks that got is want in any order that has the newest
// event first.
func (k *kit) sameDeliveries(what string, got, want []hook.Delivery) {
	k.t.Helper()
	for i := 1; i < len(got); i++ {
		if got[i].Seq > got[i-1].Seq {
			k.t.Errorf("%s: event %d is listed after %d", what, got[i].Seq, got[i-1].Seq)
			return
		}
	}
	order := func(a, b hook.Delivery) int {
		return slices.Compare([]int64{int64(b.Seq), b.Hook, b.Replay}, []int64{int64(a.Seq), a.Hook, a.Replay})
	}
	got, want = slices.Clone(got), slices.Clone(want)
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	k.equal(what, got, want)
}

func listsDeliveries(k *kit) {
	events := k.varied()
	var all []hook.Delivery
	owed := 6 // by the replays
	for _, e := range events {
		owed += len(e.Hooks)
	}
	all = k.list(store.DeliveryQuery{}, 1000)
	k.check(len(all) == owed, "%d deliveries are listed, want %d", len(all), owed)
	states := make(map[hook.State]int)
	for _, d := range all {
		states[d.State]++
	}
	k.check(len(states) == 5, "the test is wrong, it has the states %v", states)

	old, young := events[3].Received, events[len(events)-1].Received
	combinations := 0
	for _, number := range []int64{0, events[1].Hooks[0], 1000} {
		for _, event := range []hook.Seq{0, events[40].Seq, events[0].Seq, events[75].Seq + 1000} {
			for _, source := range []int64{0, events[1].Source} {
				for _, kind := range []string{"", "type.1"} {
					for _, states := range [][]hook.State{nil, {hook.Dead}, {hook.Waiting, hook.Sending}, {hook.Cancelled}, {hook.Delivered, hook.Dead}} {
						for _, since := range []time.Time{{}, young} {
							for _, until := range []time.Time{{}, old.Add(time.Microsecond)} {
								q := store.DeliveryQuery{Hook: number, Event: event, Source: source, Type: kind, States: states, Since: since, Until: until}
								want := slices.DeleteFunc(slices.Clone(all), func(d hook.Delivery) bool { return !selects(q, d) })
								limit := []int{1, 7, 50, 1000}[combinations%4]
								k.sameDeliveries(fmt.Sprintf("%+v in pages of %d", q, limit), k.list(q, limit), want)
								combinations++
							}
						}
					}
				}
			}
		}
	}
	k.check(combinations == 960, "%d combinations", combinations)
	for _, limit := range []int{1, 2, 3, 5, 63, 64, 65} {
		for _, states := range [][]hook.State{nil, {hook.Dead}, {hook.Dead, hook.Cancelled}} {
			q := store.DeliveryQuery{States: states}
			want := slices.DeleteFunc(slices.Clone(all), func(d hook.Delivery) bool { return !selects(q, d) })
			k.sameDeliveries(fmt.Sprintf("%v in pages of %d", states, limit), k.list(q, limit), want)
		}
	}
}

func listsLikeAlone(k *kit) {
	k.varied()
	for _, states := range [][]hook.State{nil, {hook.Dead}} {
		for _, listed := range k.list(store.DeliveryQuery{States: states}, 1000) {
			k.check(listed.Attempts == nil && listed.Response == nil, "%v is listed with attempts", listed.Key)
			alone := k.delivery(listed.Key)
			k.check(len(alone.Attempts) == alone.AttemptCount, "%d attempts, counted %d", len(alone.Attempts), alone.AttemptCount)
			alone.Attempts, alone.Response = nil, nil
			k.equal("the delivery", listed, alone)
		}
	}
}

func listsNothing(k *kit) {
	for _, q := range []store.DeliveryQuery{{Limit: 10}, {Limit: 10, States: []hook.State{hook.Dead}}, {Limit: 10, Before: &hook.Key{Hook: 1, Seq: 64}}} {
		page, next, err := k.s.Deliveries(k.ctx, q, k.now())
		k.must(err)
		k.check(len(page) == 0 && next == nil, "%d deliveries of an empty store, next %v", len(page), next)
	}
	events, next, more, err := k.s.Events(k.ctx, store.EventQuery{Limit: 10})
	k.must(err)
	k.check(len(events) == 0 && !more, "%d events of an empty store, next %v", len(events), next)
}
