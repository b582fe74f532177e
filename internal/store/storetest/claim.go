package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var claimTests = []test{
	{"a claim carries what an attempt needs", claimCarries},
	{"those due longest come first, fresh or retried", claimsInOrder},
	{"no more than limit", claimsUpToLimit},
	{"no more bytes than allowed, but always one", claimsUpToBytes},
	{"nothing of other hooks, and nothing where there is nothing", claimsOfOneHook},
	{"next is when the next of those left is due", tellsNext},
	{"next counts what is leased as due when its lease ends", tellsNextLeaseEnd},
	{"one delivery goes to one of many callers", claimsOnce},
	{"a claim that fails leases nothing", claimFails},
}

func claimCarries(k *kit) {
	source, h := k.source(), k.hook()
	e := k.event(source, h.Number)
	k.commit(e)
	before := k.fixture.Now()
	c := k.one(h.Number)
	k.untilIsRight(c.Until, before, lease)
	want := store.Claim{
		Key: hook.Key{Hook: h.Number, Seq: e.Seq}, Epoch: c.Epoch, Until: c.Until,
		Event: &e.Event, Created: e.Received,
	}
	k.equal("a fresh claim", c, want)

	failed := k.failed(c, k.now())
	failed.HeldAtFirst = 90 * time.Second
	k.settle(failed)
	k.fixture.Advance(time.Second)
	again := k.one(h.Number)
	want.Epoch, want.Until = again.Epoch, again.Until
	want.Attempts, want.First, want.HeldAtFirst = 1, failed.Attempt.At, failed.HeldAtFirst
	k.equal("the claim of a retry", again, want)
	k.check(again.Epoch != c.Epoch, "the epoch %d again", c.Epoch)
}

// claimsInOrder has retries and fresh deliveries, of events and of a replay,
// become due in turn, none of them in the order of their numbers.
func claimsInOrder(k *kit) {
	source, h := k.source(), k.hook()
	old := k.events(3, source, h.Number)
	k.commit(old...)
	claims, _ := k.claim(h.Number, 3)
	start := k.now()
	k.settle(
		k.failed(claims[0], start.Add(50*time.Second)),
		k.failed(claims[1], start.Add(30*time.Second)),
		k.delivered(claims[2]),
	)
	k.fixture.Advance(20 * time.Second)
	at20 := k.event(source, h.Number)
	k.commit(at20)
	k.fixture.Advance(20 * time.Second)
	replay := k.replay(h.Number, old[2])
	k.fixture.Advance(20 * time.Second)
	at60 := k.event(source, h.Number)
	k.commit(at60)

	want := []hook.Key{
		{Hook: h.Number, Seq: at20.Seq},
		{Hook: h.Number, Seq: old[1].Seq},
		{Hook: h.Number, Seq: old[2].Seq, Replay: replay.Number},
		{Hook: h.Number, Seq: old[0].Seq},
		{Hook: h.Number, Seq: at60.Seq},
	}
	var got []hook.Key
	for range want {
		claims, _ := k.claim(h.Number, 1)
		for _, c := range claims {
			got = append(got, c.Key)
		}
	}
	k.equal("one by one", got, want)
	k.fixture.Advance(lease)
	got = nil
	claims, _ = k.claim(h.Number, 10)
	for _, c := range claims {
		got = append(got, c.Key)
	}
	k.equal("all at once", got, want)
}

func claimsUpToLimit(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(150, source, h.Number)...)
	var got []hook.Seq
	for _, want := range []int{1, 63, 2, 80, 4, 0} {
		claims, next := k.claim(h.Number, max(want, 5*(1-min(want, 1))))
		k.check(len(claims) == want, "%d claims, want %d", len(claims), want)
		if len(got)+len(claims) < 150 {
			k.check(!next.IsZero() && !next.After(k.now()), "next is %v although more is due", next)
		}
		got = append(got, claimSeqs(claims)...)
	}
	k.check(increasing(got) && len(got) == 150, "claimed %v", got)
}

func claimsUpToBytes(k *kit) {
	source, h := k.source(), k.hook()
	sizes := []int{100, 500, 300, 300, 5000, 10}
	var events []*store.Event
	for i, size := range sizes {
		e := k.event(source, h.Number)
		e.JSON = noise(uint64(i), size)
		events = append(events, e)
	}
	k.commit(events...)
	for _, want := range [][]*store.Event{events[:2], events[2:4], events[4:5], events[5:]} {
		claims, next, err := k.s.Claim(k.ctx, h.Number, k.now(), 10, 700, lease)
		k.must(err)
		k.equal("claims", claimSeqs(claims), eventSeqs(want))
		if want[0] != events[5] {
			k.check(!next.IsZero() && !next.After(k.now()), "next is %v although more is due", next)
		}
	}
	k.fixture.Advance(lease)
	claims, _, err := k.s.Claim(k.ctx, h.Number, k.now(), 10, 0, lease)
	k.must(err)
	k.equal("with room for no bytes", claimSeqs(claims), eventSeqs(events[:1]))
}

func claimsOfOneHook(k *kit) {
	source, a, b, idle := k.source(), k.hook(), k.hook(), k.hook()
	forA, forB := k.event(source, a.Number), k.event(source, b.Number)
	k.commit(forA, forB)
	for number, want := range map[int64][]hook.Seq{
		a.Number: {forA.Seq}, b.Number: {forB.Seq}, idle.Number: nil, idle.Number + 1000: nil,
	} {
		claims, _ := k.claim(number, 10)
		k.equal("claims", claimSeqs(claims), want)
		for _, c := range claims {
			k.settle(k.delivered(c))
		}
		claims, next := k.claim(number, 10)
		k.check(len(claims) == 0 && next.IsZero(), "where nothing waits: %d claims, next %v", len(claims), next)
	}
}

func tellsNext(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(3, source, h.Number)...)
	claims, _ := k.claim(h.Number, 3)
	start := k.now()
	due := []time.Time{start.Add(30 * time.Minute), start.Add(10 * time.Minute), start.Add(20 * time.Minute)}
	for i, c := range claims {
		k.settle(k.failed(c, due[i]))
	}
	got, next := k.claim(h.Number, 3)
	k.check(len(got) == 0, "claimed before due: %v", got)
	k.equal("next", next, due[1])
	k.fixture.Advance(10*time.Minute - 2*time.Millisecond)
	if now := k.now(); now.Before(due[1]) {
		got, _, err := k.s.Claim(k.ctx, h.Number, now, 3, 1<<20, lease)
		k.must(err)
		k.check(len(got) == 0, "claimed before due: %v", got)
	}
	k.fixture.Advance(2 * time.Millisecond)
	c := k.one(h.Number)
	k.check(c.Key == claims[1].Key, "claimed %v, want %v", c.Key, claims[1].Key)
	k.settle(k.delivered(c))
	_, next = k.claim(h.Number, 3)
	k.equal("next", next, due[2])
	k.restart()
	got, next = k.claim(h.Number, 1)
	k.check(len(got) == 1 && got[0].Key == claims[2].Key, "claimed %v", got)
	k.equal("next, which has been due for long", next.After(k.now()), false)
}

func tellsNextLeaseEnd(k *kit) {
	source, h := k.source(), k.hook()
	e := k.event(source, h.Number)
	k.commit(e)
	held := k.one(h.Number)
	none, next := k.claim(h.Number, 1)
	k.check(len(none) == 0, "claimed twice: %v", none)
	k.equal("next, with one leased", next, held.Until)

	// A lease that ends before the next retry is due, and the other way round.
	k.settle(k.failed(held, k.now().Add(lease/2)))
	k.commit(k.event(source, h.Number))
	other := k.one(h.Number)
	_, next = k.claim(h.Number, 1)
	k.check(next.Before(other.Until), "next is %v, want the retry before %v", next, other.Until)
	k.settle(givenBack(other))
	k.fixture.Advance(lease / 2)
	claims, _, err := k.s.Claim(k.ctx, h.Number, k.now(), 2, 1<<20, lease/4)
	k.must(err)
	k.check(len(claims) == 2, "%d claims, want 2", len(claims))
	k.settle(k.failed(claims[0], k.now().Add(lease)))
	_, next = k.claim(h.Number, 1)
	k.equal("next, with a retry after the lease's end", next, claims[1].Until)
	k.settle(k.delivered(claims[1]))
	_, next = k.claim(h.Number, 1)
	k.check(next.After(claims[1].Until), "next is %v after the lease was settled", next)
}

func claimsOnce(k *kit) {
	const n, callers = 400, 8
	source, h := k.source(), k.hook()
	k.commit(k.events(n, source, h.Number)...)
	now := k.now()
	var mu sync.Mutex
	times := make(map[hook.Key]int)
	epochs := make(map[int64]bool)
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			for {
				claims, _, err := k.s.Claim(k.ctx, h.Number, now, 1+caller, 1<<20, time.Hour)
				if err != nil {
					k.t.Errorf("Claim: %v", err)
				}
				if len(claims) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claims {
					times[c.Key]++
					epochs[c.Epoch] = true
				}
				mu.Unlock()
				lost, err := k.s.Settle(k.ctx, []store.Outcome{k.delivered(claims[0])})
				if err != nil || len(lost) > 0 {
					k.t.Errorf("Settle lost %v: %v", lost, err)
				}
			}
		})
	}
	wait.Wait()
	k.check(len(times) == n, "%d deliveries were claimed, want %d", len(times), n)
	for key, count := range times {
		k.check(count == 1, "%v was claimed %d times", key, count)
	}
	k.check(len(epochs) == n, "%d epochs for %d leases", len(epochs), n)
}

func claimFails(k *kit) {
	source, h := k.source(), k.hook()
	k.commit(k.events(3, source, h.Number)...)
	ended, cancel := context.WithCancel(k.ctx)
	cancel()
	if claims, _, err := k.s.Claim(ended, h.Number, k.now(), 2, 1<<20, lease); err == nil {
		k.check(len(claims) == 2, "%d claims, want 2", len(claims))
		k.settle(givenBack(claims[0]), givenBack(claims[1]))
	}
	claims, _ := k.claim(h.Number, 10)
	k.check(len(claims) == 3, "%d claims, want 3", len(claims))
}
