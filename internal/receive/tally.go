package receive

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// tally counts what was refused, and keeps the counts once a second: a flood
// of refused calls must not become a flood of writes.
type tally struct {
	keep func(ctx context.Context, counts map[int64]hook.SourceCount) error
	log  *slog.Logger

	mu     sync.Mutex
	counts map[int64]hook.SourceCount
	news   chan struct{}
}

const tallyEvery = time.Second

func newTally(keep func(context.Context, map[int64]hook.SourceCount) error, log *slog.Logger) *tally {
	return &tally{keep: keep, log: log, counts: make(map[int64]hook.SourceCount), news: make(chan struct{}, 1)}
}

func (t *tally) add(source int64, add hook.SourceCount) {
	t.mu.Lock()
	count := t.counts[source]
	count.Add(add)
	t.counts[source] = count
	t.mu.Unlock()
	t.remind()
}

// remind makes run keep the counts at its next turn.
func (t *tally) remind() {
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
	if err := t.keep(context.Background(), counts); err != nil {
		t.log.Error("counters could not be stored", "error", err)
		t.mu.Lock()
		for source, add := range counts {
			count := t.counts[source]
			count.Add(add)
			t.counts[source] = count
		}
		t.mu.Unlock()
		t.remind()
	}
}
