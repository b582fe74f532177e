package receive

import (
	"context"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// tally counts what was refused, and keeps the counts once a second: a flood
// of refused calls must not become a flood of writes.
type tally struct {
	keep func(ctx context.Context, counts map[int64]hook.SourceCount) error
	told func(source int64, c hook.SourceCount)

	mu     sync.Mutex
	counts map[int64]hook.SourceCount
	news   chan struct{}
}

const tallyEvery = time.Second

func newTally(keep func(context.Context, map[int64]hook.SourceCount) error, told func(int64, hook.SourceCount)) *tally {
	return &tally{keep: keep, told: told, counts: make(map[int64]hook.SourceCount), news: make(chan struct{}, 1)}
}

func (t *tally) add(source int64, add hook.SourceCount) {
	t.mu.Lock()
	count := t.counts[source]
	count.Add(add)
	t.counts[source] = count
	t.mu.Unlock()
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// run keeps the counts until ctx ends, and then once more.
func (t *tally) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			t.flush()
			return
		case <-t.news:
		}
		t.flush()
		select {
		case <-ctx.Done():
		case <-time.After(tallyEvery):
		}
	}
}

func (t *tally) flush() {
	t.mu.Lock()
	counts := t.counts
	t.counts = make(map[int64]hook.SourceCount)
	t.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	for source, c := range counts {
		t.told(source, c)
	}
	if t.keep(context.Background(), counts) != nil {
		// The store fails, which others say loudly: keep them for the next time.
		t.mu.Lock()
		for source, add := range counts {
			count := t.counts[source]
			count.Add(add)
			t.counts[source] = count
		}
		t.mu.Unlock()
	}
}
