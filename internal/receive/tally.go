package receive

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// tally counts what was refused, and keeps the counts once a second: a flood
// of refused calls must not become a flood of writes. Nor must one of
// verifications, which anyone can ask for: it holds those back that follow
// another within a second.
type tally struct {
	keep       func(ctx context.Context, counts map[int64]hook.SourceCount) error
	challenged func(ctx context.Context, source string, c hook.Challenge)
	refused    func(source int64, c hook.SourceCount) // hears of what was counted
	log        *slog.Logger
	failing    bool // whether the last counts could not be kept; run's own

	mu     sync.Mutex
	counts map[int64]hook.SourceCount
	told   map[string]time.Time      // when challenged was last told of a source
	held   map[string]hook.Challenge // the latest of each source it was not told of
	news   chan struct{}
}

const tallyEvery = time.Second

func newTally(opts Options) *tally {
	return &tally{
		keep: opts.Count, challenged: opts.Challenged, log: opts.Log,
		counts: make(map[int64]hook.SourceCount),
		told:   make(map[string]time.Time), held: make(map[string]hook.Challenge),
		news: make(chan struct{}, 1),
	}
}

// challenge returns whether a source's verification is to be told of now. If
// not, it is later, unless another follows.
func (t *tally) challenge(source string, c hook.Challenge) (now bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.told[source]; !ok || c.At.Sub(last) >= tallyEvery {
		t.told[source] = c.At
		delete(t.held, source)
		return true
	}
	t.held[source] = c
	t.notify()
	return false
}

// notify wakes run.
func (t *tally) notify() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

func (t *tally) add(source int64, add hook.SourceCount) {
	t.mu.Lock()
	count := t.counts[source]
	count.Add(add)
	t.counts[source] = count
	t.mu.Unlock()
	t.notify()
}

// run keeps the counts until ctx ends, and then once more.
func (t *tally) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			t.flush()
			t.tell(time.Time{})
			return
		case <-t.news:
		}
		t.flush()
		select {
		case <-ctx.Done():
		case now := <-time.After(tallyEvery):
			t.tell(now)
		}
	}
}

// tell tells of the challenges that were held back.
func (t *tally) tell(now time.Time) {
	t.mu.Lock()
	held := t.held
	t.held = make(map[string]hook.Challenge)
	for source := range held {
		t.told[source] = now
	}
	t.mu.Unlock()
	for source, c := range held {
		t.challenged(context.Background(), source, c)
	}
}

// flush keeps the counts. What cannot be kept is tried again a second later.
func (t *tally) flush() {
	t.mu.Lock()
	counts := t.counts
	t.counts = make(map[int64]hook.SourceCount)
	t.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	err := t.keep(context.Background(), counts)
	if err == nil {
		t.failing = false
		for source, c := range counts {
			t.refused(source, c)
		}
		return
	}
	if !t.failing {
		t.log.Error("counters could not be stored; trying again every second", "error", err)
		t.failing = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for source, add := range counts {
		count := t.counts[source]
		count.Add(add)
		t.counts[source] = count
	}
	t.notify()
}
