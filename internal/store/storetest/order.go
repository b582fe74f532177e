package storetest

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Whoever reads on from the greatest number that was listed misses nothing, in
// whatever order commits end.
var orderTests = []test{
	{"no listing passes a commit under way", listsNothingEarly},
	{"reading on misses nothing", readsOn},
}

// follower reads on from the greatest number it has seen.
type follower struct {
	*kit
	newest hook.Seq
	seen   []hook.Seq
}

// poll reads what was not seen yet.
func (f *follower) poll() {
	var found []hook.Seq
	for q := (store.EventQuery{Limit: 7}); ; {
		page, next, more, err := f.s.Events(f.ctx, q)
		if err != nil {
			f.t.Errorf("Events: %v", err)
			return
		}
		for _, e := range page {
			if e.Seq > f.newest {
				found = append(found, e.Seq)
			}
		}
		if !more || next <= f.newest {
			break
		}
		q.Before = next
	}
	if len(found) > 0 {
		f.newest = slices.Max(found)
	}
	f.seen = append(f.seen, found...)
}

// sees checks that just these events were seen, once each.
func (f *follower) sees(events []*store.Event) {
	f.t.Helper()
	want := eventSeqs(events)
	slices.Sort(want)
	slices.Sort(f.seen)
	f.equal("numbers seen", f.seen, want)
}

// listsNothingEarly holds one commit open while others finish.
func listsNothingEarly(k *kit) {
	source, h := k.source(), k.hook()
	first, slow := k.event(source, h.Number), k.event(source, h.Number)
	k.commit(first)
	events := []*store.Event{first, slow}
	var groups []*store.Group
	for range 4 {
		e := k.event(source, h.Number)
		events, groups = append(events, e), append(groups, k.group(e))
	}
	group := k.group(slow)
	commit := func(g *store.Group) {
		if _, err := k.s.Commit(k.ctx, g); err != nil {
			k.t.Errorf("Commit: %v", err)
		}
	}

	held := k.fixture.Hold(k.s, slow)
	var holding, others sync.WaitGroup
	holding.Go(func() { commit(group) })
	held.Ready()
	f := &follower{kit: k}
	for _, g := range groups {
		others.Go(func() { commit(g) })
		if held.Others {
			others.Wait()
		}
		f.poll()
	}
	held.Release()
	holding.Wait()
	others.Wait()
	f.poll()
	f.sees(events)
}

// readsOn has several commit and one follow.
func readsOn(k *kit) {
	const committers, groups = 4, 60
	source := k.source()
	_, revision := k.hooks()
	now := k.now()
	var events []*store.Event
	var wait sync.WaitGroup
	for committer := range committers {
		random := rand.New(rand.NewPCG(uint64(committer), 1))
		var work [][]*store.Event
		for range groups {
			work = append(work, k.events(1+random.IntN(3)*random.IntN(40), source))
			events = append(events, work[len(work)-1]...)
		}
		wait.Go(func() {
			for _, group := range work {
				if _, err := k.s.Commit(k.ctx, &store.Group{Received: now, Revision: revision, Events: group}); err != nil {
					k.t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	f := &follower{kit: k}
	for polls := 0; ; polls++ {
		select {
		case <-done:
			f.poll()
			f.sees(events)
			return
		default:
			f.poll()
		}
	}
}
