package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Sources of a stock, each with one event hook of its own.
const (
	commonSource  = "common"  // of almost all events stored
	rareSource    = "rare"    // of needles of them
	waitingSource = "waiting" // of those whose destination is down
	probeSource   = "probe"   // of the event that a start is measured with
)

// Ages of what a stock holds.
const (
	storedSince  = 30 * 24 * time.Hour
	waitingSince = 24 * time.Hour
)

// stock is a site whose store is filled before anything is measured there.
type stock struct {
	*site
	stored, waiting int
	filled
	disk    int64 // bytes that the stored events take, with their deliveries
	secret  string
	sink    *sink
	account atomic.Pointer[ledger] // of what reaches the sink now
	down    *deadEnd
}

// newStock makes a site with so many events whose deliveries are settled, and so
// many whose deliveries wait for a destination that is down, all due by now.
func (o *Options) newStock(ctx context.Context, stored, waiting int) (_ *stock, err error) {
	s := &stock{stored: stored, waiting: waiting, secret: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	if s.sink, err = startSink(ctx, s.arrive); err != nil {
		return nil, err
	}
	if s.down, err = startDeadEnd(ctx); err != nil {
		return nil, err
	}
	if s.site, err = o.newSite(ctx); err != nil {
		return nil, err
	}
	if err := s.setUp(ctx, o); err != nil {
		return nil, err
	}
	before, err := s.size(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	settled := filling{events: stored, from: began.Add(-storedSince), step: (storedSince - waitingSince) / time.Duration(max(1, stored))}
	if s.filled, err = s.fill(ctx, o, settled, commonSource, rareSource, hook.Delivered); err != nil {
		return nil, err
	}
	after, err := s.size(ctx)
	if err != nil {
		return nil, err
	}
	s.disk = after - before
	owed := filling{events: waiting, from: began.Add(-waitingSince), step: (waitingSince - time.Minute) / time.Duration(max(1, waiting))}
	_, err = s.fill(ctx, o, owed, waitingSource, "", hook.Waiting)
	return s, err
}

// setUp has a gateway make the sources and hooks.
func (s *stock) setUp(ctx context.Context, o *Options) error {
	g, err := o.serve(ctx, s.site)
	if err != nil {
		return err
	}
	return g.during(ctx, func(ctx context.Context) error {
		if err := g.untilReady(ctx); err != nil {
			return err
		}
		for source, url := range map[string]string{
			commonSource: s.sink.urls(1)[0], rareSource: s.sink.urls(1)[0],
			waitingSource: s.down.url(), probeSource: s.sink.urls(1)[0],
		} {
			if _, err := g.api.setUp(ctx, source, s.secret, []string{url}, hook.DefaultPolicy().Concurrency); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill fills the store and closes it, so that what it takes on disk can be told.
func (s *stock) fill(ctx context.Context, o *Options, f filling, common, rare string, state hook.State) (_ filled, err error) {
	opened, err := s.open(ctx)
	if err != nil {
		return filled{}, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	if f.common, err = findLot(ctx, opened, common, state); err != nil {
		return filled{}, err
	}
	if rare != "" {
		if f.rare, err = findLot(ctx, opened, rare, hook.Dead); err != nil {
			return filled{}, err
		}
	}
	f.undated = s.server != nil
	said := time.Now()
	f.done = func(n int) {
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			o.Progress(fmt.Sprintf("filling a store: %d of %d events", n, f.events))
		}
	}
	return fill(ctx, opened, f)
}

// findLot looks up the numbers of a source and of its hook.
func findLot(ctx context.Context, s store.Store, name string, state hook.State) (lot, error) {
	l := lot{state: state}
	sources, err := s.Sources(ctx)
	if err != nil {
		return l, err
	}
	for i := range sources {
		if sources[i].Name == name {
			l.source = sources[i].Number
		}
	}
	hooks, _, err := s.EventHooks(ctx)
	if err != nil {
		return l, err
	}
	for i := range hooks {
		if hooks[i].Name == name+"-0" {
			l.hook = hooks[i].Number
		}
	}
	if l.source == 0 || l.hook == 0 {
		return l, fmt.Errorf("the store has no source and hook %q", name)
	}
	return l, nil
}

// arrive hands what reaches the sink to whoever measures now.
func (s *stock) arrive(destination int, body []byte) {
	if l := s.account.Load(); l != nil {
		l.arrive(destination, body)
	}
}

// remove removes all there is of s so far.
func (s *stock) remove() error {
	if s.sink != nil {
		s.sink.stop()
	}
	if s.down != nil {
		s.down.stop()
	}
	if s.site == nil {
		return nil
	}
	return s.site.remove()
}
