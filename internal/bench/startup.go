package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Start is how long a gateway takes to start, from the process's beginning on.
type Start struct {
	Ready float64 `json:"readySeconds"` // until /readyz answers
	// Delivered is until an event that is sent as soon as the gateway is ready
	// has reached its destination.
	Delivered float64 `json:"deliveredSeconds"`
	// Attempted is until the first attempt of a delivery that waited; 0 where
	// none did.
	Attempted float64 `json:"attemptedSeconds,omitzero"`
}

func (s *Start) all() []*float64 { return []*float64{&s.Ready, &s.Delivered, &s.Attempted} }

// start starts a gateway at a stock, and stops it again.
func (o *Options) start(ctx context.Context, st *stock) (s Start, err error) {
	st.down.forget()
	began := time.Now()
	g, err := o.serve(ctx, st.site)
	if err != nil {
		return s, err
	}
	err = g.during(ctx, func(ctx context.Context) error {
		if err := g.untilReady(ctx); err != nil {
			return err
		}
		s.Ready = time.Since(began).Seconds()
		l := newLedger(newEventID(uint16(rand.Uint32())), 1, 1)
		st.account.Store(l)
		loader, err := newLoader(ctx, g.target(probeSource, st.secret), probeSource+".okta.example", 1, l)
		if err != nil {
			return err
		}
		defer loader.close()
		if err := loader.run(ctx, time.Minute, 1); err != nil {
			return err
		}
		if err := drain(ctx, l); err != nil {
			return err
		}
		if l.first.Load() == 0 {
			return errors.New("the first event after its start was not delivered")
		}
		s.Delivered = time.Since(began).Seconds()
		if st.waiting > 0 {
			first, err := st.down.first(ctx)
			s.Attempted = first.Sub(began).Seconds()
			return err
		}
		return nil
	})
	return s, err
}
