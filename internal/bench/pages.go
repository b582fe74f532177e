package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	// pageItems is how many items make a page: fewer than needles, so that a page
	// of what is rare can be filled.
	pageItems = 50
	// pageSamples is how often a page is read at most, in pageTime for both stores,
	// for every round.
	pageSamples = 40
	pageTime    = time.Second
	// pagePatience is how long one page may take; a page that takes longer counts
	// as having taken so long.
	pagePatience = 10 * time.Second
)

// Page is how long it takes to read one kind of page.
type Page struct {
	Name   string  `json:"name"`
	Few    Latency `json:"few"`    // in the store that holds little
	Filled Latency `json:"filled"` // in the one that was filled
	Ratio  float64 `json:"ratio"`  // of the medians, filled/few
}

// Latency is how long something took.
type Latency struct {
	P50 float64 `json:"p50Seconds"`
	P99 float64 `json:"p99Seconds"`
}

// shelf is a stock with its gateway running, to be read from.
type shelf struct {
	*stock
	api adminAPI
	// middle is when half of what is stored had come, deep are the cursors from
	// there on, by list.
	middle string
	deep   map[string]string
	// hook is the id of the rare source's.
	hook  string
	times []int64 // of the page being read now, in ns
}

// pages are the kinds of pages that are read: a list, and what it is asked for.
var pages = []struct {
	name, list string
	query      func(s *shelf) url.Values
}{
	{"events, newest", eventList, none},
	{"events, further down", eventList, from(eventList)},
	{"events, until a time", eventList, until},
	{"events, by a common type", eventList, with("type", "user.authentication.sso")},
	{"events, by a rare type", eventList, with("type", unmatched)},
	{"events, by a rare source", eventList, with("source", rareSource)},
	{"events, by uuid", eventList, uuid("uuid")},
	{"deliveries, newest", deliveryList, none},
	{"deliveries, further down", deliveryList, from(deliveryList)},
	{"deliveries, until a time", deliveryList, until},
	{"deliveries, by a common type", deliveryList, with("type", "user.authentication.sso")},
	{"deliveries, by a rare type", deliveryList, with("type", unmatched)},
	{"deliveries, by a rare source", deliveryList, with("source", rareSource)},
	{"deliveries, by a rare hook", deliveryList, func(s *shelf) url.Values { return url.Values{"hook": {s.hook}} }},
	{"deliveries, delivered", deliveryList, with("state", "delivered")},
	{"deliveries, dead", deliveryList, with("state", "dead")},
	{"deliveries, waiting", deliveryList, with("state", "waiting")},
	{"deliveries, by event", deliveryList, uuid("event")},
}

const (
	eventList    = "/v1/events"
	deliveryList = "/v1/deliveries"
)

func none(*shelf) url.Values { return url.Values{} }

func with(name, value string) func(*shelf) url.Values {
	return func(*shelf) url.Values { return url.Values{name: {value}} }
}

func from(list string) func(*shelf) url.Values {
	return func(s *shelf) url.Values { return url.Values{"after": {s.deep[list]}} }
}

func until(s *shelf) url.Values { return url.Values{"until": {s.middle}} }

func uuid(name string) func(*shelf) url.Values {
	return func(s *shelf) url.Values { return url.Values{name: {s.uuids[rand.IntN(len(s.uuids))]}} }
}

// readPages compares how long pages take in two stocks, whose gateways run side
// by side and are asked in turn.
func (o *Options) readPages(ctx context.Context, few, many *stock) (all []Page, err error) {
	err = o.open(ctx, few, func(ctx context.Context, few *shelf) error {
		return o.open(ctx, many, func(ctx context.Context, many *shelf) error {
			for _, p := range pages {
				samples, end := o.Rounds*pageSamples, time.Now().Add(time.Duration(o.Rounds)*pageTime)
				for len(few.times) < samples && time.Now().Before(end) || len(few.times) == 0 {
					for _, s := range []*shelf{few, many} {
						if err := s.read(ctx, p.list, p.query(s)); err != nil {
							return err
						}
					}
				}
				page := Page{Name: p.name, Few: few.latency(), Filled: many.latency()}
				page.Ratio = page.Filled.P50 / page.Few.P50
				all = append(all, page)
			}
			return nil
		})
	})
	return all, err
}

// open runs a gateway at a stock while do reads from it.
func (o *Options) open(ctx context.Context, st *stock, do func(context.Context, *shelf) error) error {
	g, err := o.serve(ctx, st.site)
	if err != nil {
		return err
	}
	return g.during(ctx, func(ctx context.Context) error {
		if err := g.untilReady(ctx); err != nil {
			return err
		}
		s := &shelf{stock: st, api: g.api, deep: make(map[string]string)}
		if err := s.prepare(ctx); err != nil {
			return err
		}
		return do(ctx, s)
	})
}

// prepare looks up what pages are asked for by.
func (s *shelf) prepare(ctx context.Context) error {
	var half listing
	if err := s.api.call(ctx, http.MethodGet, eventList+"?uuid="+s.uuids[len(s.uuids)/2], nil, &half); err != nil {
		return err
	}
	if len(half.Items) != 1 {
		return fmt.Errorf("%d events have the uuid of one that was stored", len(half.Items))
	}
	s.middle = half.Items[0].Received
	for _, list := range []string{eventList, deliveryList} {
		query := url.Values{"limit": {"1"}, "until": {s.middle}}
		for found := 0; found == 0; query.Set("after", s.deep[list]) {
			var page listing
			if err := s.api.call(ctx, http.MethodGet, list+"?"+query.Encode(), nil, &page); err != nil {
				return err
			}
			if found, s.deep[list] = len(page.Items), page.Next; page.Next == "" {
				return fmt.Errorf("%s ends before the middle of what is stored", list)
			}
		}
	}
	var hooks []struct{ ID, Name string }
	if err := s.api.call(ctx, http.MethodGet, "/api/v1/eventHooks", nil, &hooks); err != nil {
		return err
	}
	for _, h := range hooks {
		if h.Name == rareSource+"-0" {
			s.hook = h.ID
		}
	}
	return nil
}

// listing is what is read of an answer.
type listing struct {
	Items []struct{ ID, Received string }
	Next  string
}

// read reads a page as a person would see it: until it is full or the list ends.
func (s *shelf) read(ctx context.Context, list string, query url.Values) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	for left := pageItems; left > 0; {
		query.Set("limit", strconv.Itoa(left))
		var page listing
		if err := s.api.call(limited, http.MethodGet, list+"?"+query.Encode(), nil, &page); err != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
				break
			}
			return err
		}
		left -= len(page.Items)
		if page.Next == "" {
			break
		}
		query.Set("after", page.Next)
	}
	s.times = append(s.times, int64(time.Since(began)))
	return nil
}

// latency is that of the page read so far; the next is another.
func (s *shelf) latency() Latency {
	slices.Sort(s.times)
	l := Latency{P50: seconds(percentile(s.times, 50)), P99: seconds(percentile(s.times, 99))}
	s.times = s.times[:0]
	return l
}
