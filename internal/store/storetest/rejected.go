package storetest

import (
	"errors"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var rejectedTests = []test{
	{"what is no event is kept as it came", keepsRejected},
	{"rejected bodies are listed newest first, by source and in pages", listsRejected},
	{"a rejected body that is not there", missesRejected},
	{"rejected bodies grow old", prunesRejected},
}

func (k *kit) reject(source int64, raw string) *store.Rejected {
	k.t.Helper()
	r := &store.Rejected{Source: source, Reason: hook.ReasonNotDelivery, Detail: "not JSON: \xff", Raw: []byte(raw)}
	g := k.group()
	g.Rejected = []*store.Rejected{r}
	_, err := k.s.Commit(k.ctx, g)
	k.must(err)
	return r
}

func keepsRejected(k *kit) {
	source := k.source()
	var kept []*store.Rejected
	for _, raw := range []string{"{", "\xff\x00\xfe", "", string(noise(9, 2<<20))} {
		kept = append(kept, k.reject(source, raw))
	}
	for range 2 {
		for _, want := range kept {
			got, err := k.s.Rejected(k.ctx, want.ID)
			k.must(err)
			k.check(string(got.Raw) == string(want.Raw), "%d bytes came back as %d others", len(want.Raw), len(got.Raw))
			k.check(got.Size == len(want.Raw), "size %d of %d bytes", got.Size, len(want.Raw))
			without := *want
			got.Raw, without.Raw = nil, nil
			k.equal("rejected", got, without)
		}
		k.restart()
	}
	k.equal("counters", k.stats().Sources[source], hook.SourceCount{Rejected: 4})
	k.check(len(k.listEvents(store.EventQuery{}, 10)) == 0, "a rejected body is listed as an event")
}

func listsRejected(k *kit) {
	sources := []int64{k.source(), k.source()}
	var all []*store.Rejected
	for i := range 7 {
		all = append(all, k.reject(sources[i%2], "x"))
	}
	for _, source := range []int64{0, sources[0], sources[1], sources[1] + 1000} {
		var want, got []int64
		for i := len(all) - 1; i >= 0; i-- {
			if source == 0 || all[i].Source == source {
				want = append(want, all[i].ID)
			}
		}
		for before := int64(0); ; {
			page, err := k.s.RejectedList(k.ctx, source, before, 2)
			k.must(err)
			k.check(len(page) <= 2, "a page of %d, limit 2", len(page))
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				k.check(r.Raw == nil && r.Size == 1 && r.Reason == hook.ReasonNotDelivery, "listed as %+v", r)
				got = append(got, r.ID)
			}
			before = got[len(got)-1]
		}
		k.equal("listed", got, want)
	}
}

func missesRejected(k *kit) {
	r := k.reject(k.source(), "x")
	for _, id := range []int64{0, -1, r.ID + 1} {
		_, err := k.s.Rejected(k.ctx, id)
		k.check(errors.Is(err, store.ErrNotFound), "Rejected(%d): %v, want ErrNotFound", id, err)
	}
}

func prunesRejected(k *kit) {
	source := k.source()
	for range 5 {
		k.reject(source, "old")
	}
	k.fixture.Advance(time.Hour)
	edge := k.now()
	young := k.reject(source, "young")
	k.prune(edge, 2)
	list, err := k.s.RejectedList(k.ctx, 0, 0, 100)
	k.must(err)
	k.check(len(list) == 1 && list[0].ID == young.ID, "left: %+v", list)
	k.prune(k.now().Add(time.Hour), 100)
	k.restart()
	again := k.reject(source, "next")
	k.check(again.ID > young.ID, "the number %d is used again: %d", young.ID, again.ID)
}
