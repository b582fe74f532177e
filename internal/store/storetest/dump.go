package storetest

import (
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// dump is all that can be asked of a store. Two dumps that are equal are of
// stores that nobody can tell apart, but for leases.
type dump struct {
	Identity     store.Identity
	Canary       []byte
	Sources      []hook.Source
	Hooks        []hook.EventHook
	Revision     int64
	HookIDs      map[int64]string
	Events       []hook.Event
	FilterErrors map[hook.Seq][]store.FilterError
	Deliveries   []hook.Delivery
	Rejected     []store.Rejected
	Stats        store.Stats
}

func (k *kit) dump() dump {
	k.t.Helper()
	d := dump{Identity: k.s.Identity(), FilterErrors: make(map[hook.Seq][]store.FilterError)}
	var err error
	d.Canary, err = k.s.Canary(k.ctx)
	k.must(err)
	d.Sources, err = k.s.Sources(k.ctx)
	k.must(err)
	d.Hooks, d.Revision, err = k.s.EventHooks(k.ctx)
	k.must(err)
	d.HookIDs, err = k.s.HookIDs(k.ctx)
	k.must(err)
	for _, listed := range k.listEvents(store.EventQuery{}, 1000) {
		e, err := k.s.Event(k.ctx, listed.Seq)
		k.must(err)
		d.Events = append(d.Events, e)
		failures, err := k.s.FilterErrors(k.ctx, e.Seq)
		k.must(err)
		if len(failures) > 0 {
			d.FilterErrors[e.Seq] = failures
		}
	}
	for _, listed := range k.list(store.DeliveryQuery{}, 1000) {
		d.Deliveries = append(d.Deliveries, k.delivery(listed.Key))
	}
	list, err := k.s.RejectedList(k.ctx, 0, 0, 1000)
	k.must(err)
	for _, listed := range list {
		r, err := k.s.Rejected(k.ctx, listed.ID)
		k.must(err)
		d.Rejected = append(d.Rejected, r)
	}
	d.Stats = k.stats()
	d.Stats.Bytes = 0
	return d
}
