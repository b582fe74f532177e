package bench

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

const (
	// shortestRetention is the shortest that serve takes: 1 h.
	shortestRetention = time.Hour
	// upkeepEvery is how often the gateway prunes.
	upkeepEvery = time.Minute
	// agedGroup is how many events one commit of what will be pruned takes in:
	// about as many as under a load of 64 connections, since small blocks cost
	// pruning more.
	agedGroup = hook.BlockSlots / 2
	// spare is for how much longer than the load events go on getting too old.
	spare = 30 * time.Second
	// trial is how many events are stored to see how long one takes.
	trial = 64 * agedGroup
)

// Pruning says whether retention keeps up with intake: as many events become too
// old as come in.
type Pruning struct {
	// FirstBytes and LastBytes are the most that the store used on disk in the
	// first and in the last minute.
	FirstBytes float64 `json:"firstBytes"`
	LastBytes  float64 `json:"lastBytes"`
	// Overdue is for how many seconds of intake events were left that should have
	// been gone. Up to a minute's are waiting for their turn.
	Overdue float64 `json:"overdueSeconds"`
}

func (p *Pruning) all() []*float64 { return []*float64{&p.FirstBytes, &p.LastBytes, &p.Overdue} }

// pruner starts a gateway that prunes under load.
type pruner struct {
	*Options
	rate float64 // events/s that become too old
	into *Pruning
}

// start is a starter: it fills a new store with events that become too old while
// the load lasts, as fast as new ones are expected.
func (p *pruner) start(ctx context.Context, urls []string, orgHost string) (_ *subject, err error) {
	st, err := p.newStock(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	if err := p.age(ctx, st); err != nil {
		return nil, errors.Join(err, st.remove())
	}
	s, err := p.startOn(ctx, st.site, urls, orgHost, "--retention", shortestRetention.String())
	if s == nil {
		return nil, errors.Join(err, st.remove())
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	var sizes []size
	if err == nil {
		watch.Go(func() { sizes = watchSize(watching, s.api) })
	}
	s.close = func() error {
		stop()
		watch.Wait()
		p.into.FirstBytes, p.into.LastBytes = ends(sizes, upkeepEvery)
		err := p.overdue(context.WithoutCancel(ctx), st.site)
		return errors.Join(err, st.remove())
	}
	return s, err
}

// age stores events that become too old from its return on, until the load has
// ended.
func (p *pruner) age(ctx context.Context, st *stock) error {
	span := p.WarmUp + p.Duration + spare
	events := int(p.rate * span.Seconds())
	if p.Events > 0 {
		events = min(events, int(2*p.Events))
	}
	store := func(events int, from time.Time, step time.Duration) error {
		_, err := st.fill(ctx, p.Options, filling{events: events, from: from, step: step, group: agedGroup}, commonSource, "", hook.Delivered)
		return err
	}
	began := time.Now()
	if err := store(min(events, trial), began.Add(-shortestRetention), 0); err != nil {
		return err
	}
	// Half as long again, as a busy machine does not keep its pace.
	lasts := time.Since(began) * time.Duration(events) / trial * 3 / 2
	due := time.NewTimer(lasts)
	defer due.Stop()
	if err := store(events, time.Now().Add(lasts-shortestRetention), span/time.Duration(max(1, events))); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-due.C:
		return nil
	}
}

// overdue counts, by pruning it, what the gateway should have pruned.
func (p *pruner) overdue(ctx context.Context, place *site) error {
	before := time.Now().Add(-shortestRetention)
	s, err := place.open(ctx)
	if err != nil {
		return err
	}
	events := 0
	for more := true; more && err == nil; {
		var n int
		n, more, err = s.Prune(ctx, before, 1000)
		events += n
	}
	p.into.Overdue = float64(events) / max(1, p.rate)
	return errors.Join(err, s.Close())
}

// size is how many bytes the store used at one time.
type size struct {
	at    time.Time
	bytes float64
}

// watchSize asks once a second, until ctx ends.
func watchSize(ctx context.Context, api adminAPI) (sizes []size) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var stats struct{ Store struct{ Bytes float64 } }
		if err := api.call(ctx, http.MethodGet, "/v1/stats", nil, &stats); err == nil {
			sizes = append(sizes, size{time.Now(), stats.Store.Bytes})
		}
		select {
		case <-ctx.Done():
			return sizes
		case <-tick.C:
		}
	}
}

// ends returns the most of the first span of time and of the last.
func ends(sizes []size, span time.Duration) (first, last float64) {
	for _, s := range sizes {
		if s.at.Sub(sizes[0].at) < span {
			first = max(first, s.bytes)
		}
		if sizes[len(sizes)-1].at.Sub(s.at) < span {
			last = max(last, s.bytes)
		}
	}
	return first, last
}
