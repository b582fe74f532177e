package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// fewEvents is what the store holds that a filled one is compared with where an
// empty one would leave nothing to compare.
const fewEvents = 10_000

// Filled is what was measured of a store that was filled beforehand, apart from
// what it does under load.
type Filled struct {
	Stored  int `json:"stored"`  // events whose deliveries are settled
	Waiting int `json:"waiting"` // events that wait for a destination that is down
	// JSONPerEvent is the size of an event as Okta sent it, DiskPerEvent what it
	// takes in the store with its delivery; 0 without stored events.
	JSONPerEvent float64 `json:"jsonBytesPerEvent,omitzero"`
	DiskPerEvent float64 `json:"diskBytesPerEvent,omitzero"`
	// Starts are medians, of a store with few events and of the filled one.
	FewStart    Start  `json:"fewStart"`
	FilledStart Start  `json:"filledStart"`
	Pages       []Page `json:"pages,omitzero"`
}

// stocks are the two stores that are compared.
type stocks struct{ few, many *stock }

// fillStocks fills both, if the options ask for it; else it returns nil.
func (o *Options) fillStocks(ctx context.Context) (_ *stocks, err error) {
	if o.Stored+o.Waiting == 0 {
		return nil, nil
	}
	s := new(stocks)
	if s.few, err = o.newStock(ctx, min(o.Stored, fewEvents), 0); err != nil {
		return nil, err
	}
	if s.many, err = o.newStock(ctx, o.Stored, o.Waiting); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// third is the third side of a round, after the others: its name, and what starts
// it, nil if there is none.
func (o *Options) third(filled *stocks, each *Round) (string, starter) {
	switch {
	case filled != nil:
		return o.thirdName(), func(ctx context.Context, urls []string, orgHost string) (*subject, error) {
			return o.startOn(ctx, filled.many.site, urls, orgHost)
		}
	case o.Prune:
		each.Pruning = new(Pruning)
		p := pruner{Options: o, rate: each.Gateway.AcknowledgedPerSecond, into: each.Pruning}
		return o.thirdName(), p.start
	}
	return "", nil
}

// thirdName names the third side.
func (o *Options) thirdName() string {
	switch {
	case o.Prune:
		return "pruning"
	case o.Stored+o.Waiting == 0:
		return ""
	case o.Waiting == 0:
		return fmt.Sprintf("%s stored", short(o.Stored))
	case o.Stored == 0:
		return fmt.Sprintf("%s waiting", short(o.Waiting))
	}
	return fmt.Sprintf("%s + %s", short(o.Stored), short(o.Waiting))
}

// short writes a number for a heading.
func short(n int) string {
	switch {
	case n >= 1_000_000 && n%100_000 == 0:
		return strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) + "M"
	case n >= 1000 && n%100 == 0:
		return strconv.FormatFloat(float64(n)/1e3, 'f', -1, 64) + "k"
	}
	return strconv.Itoa(n)
}

func (s *stocks) remove() error {
	var err error
	for _, one := range []*stock{s.few, s.many} {
		if one != nil {
			err = errors.Join(err, one.remove())
		}
	}
	return err
}

// compare measures what does not need a load.
func (o *Options) compare(ctx context.Context, s *stocks) (*Filled, error) {
	f := &Filled{Stored: o.Stored, Waiting: o.Waiting}
	if o.Stored > 0 {
		f.JSONPerEvent = float64(s.many.bytes) / float64(o.Stored)
		f.DiskPerEvent = float64(s.many.disk) / float64(o.Stored)
	}
	var few, many []*Start
	for round := range o.Rounds {
		for _, side := range []struct {
			stock *stock
			into  *[]*Start
		}{{s.few, &few}, {s.many, &many}} {
			start, err := o.start(ctx, side.stock)
			if err != nil {
				return nil, err
			}
			*side.into = append(*side.into, &start)
			o.Progress(fmt.Sprintf("round %d of %d, start with %d events stored and %d waiting: %.2f s",
				round+1, o.Rounds, side.stock.stored, side.stock.waiting, start.Delivered))
		}
	}
	mediansOf(&f.FewStart, few)
	mediansOf(&f.FilledStart, many)
	if o.Stored == 0 {
		return f, nil
	}
	o.Progress("reading pages")
	var err error
	f.Pages, err = o.readPages(ctx, s.few, s.many)
	return f, err
}
