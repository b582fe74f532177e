package deliver

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// settler keeps outcomes, many in one transaction. While the store fails it
// holds on to them and no further attempt begins: what could not be kept would
// be sent again.
type settler struct {
	store    Store
	log      *slog.Logger
	kept     func(store.Outcome) // hears of every outcome that is kept, or lost
	outcomes chan store.Outcome
	finished sync.WaitGroup
	stopping chan struct{}
	giveUp   <-chan struct{}               // closed when a store that fails is not waited for any more
	healthy  atomic.Pointer[chan struct{}] // nil while the store works; closed when it does again
}

// Bounds of one transaction, and of what waits for one.
const (
	maxSettle    = 1024
	settleQueue  = 4096
	maxRetryWait = 2 * time.Second

	// Nothing waits for a success to be kept, but a crash repeats what is not.
	// Other outcomes say when to try again.
	gatherSuccesses = 20 * time.Millisecond
	gatherOthers    = 5 * time.Millisecond
)

func newSettler(s Store, log *slog.Logger, kept func(store.Outcome), giveUp <-chan struct{}) *settler {
	return &settler{
		store: s, log: log, kept: kept, giveUp: giveUp,
		outcomes: make(chan store.Outcome, settleQueue), stopping: make(chan struct{}),
	}
}

func (s *settler) start() { s.finished.Go(s.run) }

// stop returns when everything that was handed over is kept, or given up.
func (s *settler) stop() {
	close(s.stopping)
	s.finished.Wait()
}

// settle hands an outcome over.
func (s *settler) settle(o store.Outcome) { s.outcomes <- o }

// ready waits until outcomes can be kept. It returns false when stop closes first.
func (s *settler) ready(stop <-chan struct{}) bool {
	for {
		wait := s.healthy.Load()
		if wait == nil {
			return true
		}
		select {
		case <-*wait:
		case <-stop:
			return false
		}
	}
}

func (s *settler) run() {
	timer := time.NewTimer(0)
	<-timer.C
	batch := make([]store.Outcome, 0, maxSettle)
	for {
		select {
		case o := <-s.outcomes:
			batch = append(batch[:0], o)
		case <-s.stopping:
			select {
			case o := <-s.outcomes:
				batch = append(batch[:0], o)
			default:
				return
			}
		}
		batch = s.gather(batch, timer)
		s.keep(batch)
	}
}

// gather adds what comes until it is time to keep the batch, or it is full.
func (s *settler) gather(batch []store.Outcome, timer *time.Timer) []store.Outcome {
	timer.Reset(gatherSuccesses)
	for successes := true; len(batch) < maxSettle; {
		if last := &batch[len(batch)-1]; successes && last.State != hook.Delivered {
			successes = false
			timer.Reset(gatherOthers)
		}
		select {
		case o := <-s.outcomes:
			batch = append(batch, o)
		case <-timer.C:
			return batch
		case <-s.stopping:
			select {
			case o := <-s.outcomes:
				batch = append(batch, o)
			default:
				return batch
			}
		}
	}
	return batch
}

// keep settles a batch, again and again while the store fails, until it is
// given up: what is not kept is delivered again after the next start.
func (s *settler) keep(batch []store.Outcome) {
	wait := 50 * time.Millisecond
	for {
		lost, err := s.store.Settle(context.Background(), batch)
		if err == nil {
			if len(lost) > 0 {
				s.log.Warn("leases ended before their deliveries; another node may repeat them", "deliveries", len(lost))
			}
			if failing := s.healthy.Swap(nil); failing != nil {
				close(*failing)
				s.log.Info("outcomes can be stored again; sending goes on")
			}
			for _, o := range batch {
				s.kept(o)
			}
			return
		}
		if s.healthy.Load() == nil {
			c := make(chan struct{})
			s.healthy.Store(&c)
			s.log.Error("outcomes cannot be stored; sending stops until they can", "outcomes", len(batch), "error", err)
		}
		select {
		case <-time.After(wait):
		case <-s.giveUp:
			s.keepOrDrop(batch)
			return
		}
		wait = min(2*wait, maxRetryWait)
	}
}

// keepOrDrop settles a batch if the store can, once.
func (s *settler) keepOrDrop(batch []store.Outcome) {
	if _, err := s.store.Settle(context.Background(), batch); err != nil {
		s.log.Error("outcomes were not stored; these deliveries will be repeated", "outcomes", len(batch), "error", err)
	}
}
