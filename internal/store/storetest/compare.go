package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"pgregory.net/rapid"
)

// compare asks the store and the model the same questions.
func (h *history) compare(t *rapid.T) {
	now := h.now()
	stats := h.stats()
	h.equal("counters of sources", stats.Sources, h.m.sources)
	for number, want := range h.m.hooks {
		got := stats.Hooks[number]
		least, most := h.m.cancelled(number, now)
		h.check(least <= got.Cancelled && got.Cancelled <= most, "hook %d: %d cancelled, want %d to %d", number, got.Cancelled, least, most)
		got.Cancelled = 0
		h.equal(fmt.Sprintf("counters of hook %d", number), got, want)
	}
	h.compareDeliveries(t, now)
	h.compareEvents(t)
	list, err := h.s.RejectedList(h.ctx, 0, 0, 1000)
	h.must(err)
	want := slices.Clone(h.m.rejected)
	slices.Reverse(want)
	for i := range want {
		want[i].Raw = nil
	}
	h.equal("rejected", list, want)
}

func (h *history) compareDeliveries(t *rapid.T, now time.Time) {
	q := store.DeliveryQuery{
		Hook:   rapid.SampledFrom([]int64{0, 0, h.alive[0].Number}).Draw(t, "hook"),
		Source: rapid.SampledFrom([]int64{0, 0, h.senders[0]}).Draw(t, "source"),
		Type:   rapid.SampledFrom([]string{"", "", "type.a"}).Draw(t, "type"),
		States: rapid.SampledFrom([][]hook.State{
			nil, nil, {hook.Dead}, {hook.Waiting}, {hook.Sending, hook.Cancelled}, {hook.Delivered, hook.Dead},
		}).Draw(t, "states"),
		Since: rapid.SampledFrom([]time.Time{{}, {}, now.Add(-time.Hour)}).Draw(t, "since"),
		Until: rapid.SampledFrom([]time.Time{{}, {}, now.Add(-lease)}).Draw(t, "until"),
	}
	if key, ok := h.anyKey(t); ok {
		q.Event = rapid.SampledFrom([]hook.Seq{0, 0, 0, key.Seq}).Draw(t, "event")
		want := h.m.shown(h.m.deliveries[key], now)
		want.Attempts = kept(want.Attempts)
		h.equal("the delivery", h.delivery(key), want)
	}
	var want []hook.Delivery
	for _, d := range h.m.deliveries {
		view := h.m.shown(d, now)
		view.Attempts, view.Response = nil, nil
		if selects(q, view) {
			want = append(want, view)
		}
	}
	limit := rapid.SampledFrom([]int{7, 50, 1000}).Draw(t, "page")
	h.sameDeliveries(fmt.Sprintf("%+v in pages of %d", q, limit), h.list(q, limit), want)
}

func (h *history) compareEvents(t *rapid.T) {
	limit := rapid.SampledFrom([]int{7, 50, 1000}).Draw(t, "page")
	got := seqs(h.listEvents(store.EventQuery{}, limit), func(e hook.Event) hook.Seq { return e.Seq })
	var want []hook.Seq
	for seq := range h.m.events {
		want = append(want, seq)
	}
	slices.Sort(want)
	slices.Reverse(want)
	h.equal("events", got, want)
	if len(want) > 0 {
		e := h.m.events[rapid.SampledFrom(want).Draw(t, "event")]
		h.sameEvent(e)
		failures, err := h.s.FilterErrors(h.ctx, e.Seq)
		h.must(err)
		h.equal("filter errors", failures, e.FilterErrors)
	}
}
