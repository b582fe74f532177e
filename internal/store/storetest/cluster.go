package storetest

import (
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

// How several processes get on is tested where there can be several.
var clusterTests = []test{
	{"who is alone is a member at once, and has every duty", leadsAlone},
}

func leadsAlone(k *kit) {
	k.s.Watch(func(h store.Hint) { k.t.Errorf("a hint of what nobody else has done: %+v", h) })
	for range 2 {
		for range 2 {
			before := time.Now()
			m, err := k.s.Beat(k.ctx)
			k.must(err)
			k.check(m.Self > 0 && slices.Equal(m.All, []int64{m.Self}) && m.Joined, "alone: %+v", m)
			k.check(m.Until.After(before.Add(store.BeatEvery)), "counted as gone at %v, before the next beat after %v", m.Until, before)
			held, err := k.s.Lead(k.ctx, "a duty", time.Minute)
			k.must(err)
			k.check(held, "another has the duty")
		}
		k.s.Wake(k.hook().Number)
		k.restart()
	}
}
