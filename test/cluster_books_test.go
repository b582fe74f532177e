package test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// everyNode is the node of a disturbance that concerns all of them.
const everyNode = -1

// disturbance is something that was done to the cluster on purpose.
type disturbance struct {
	what     string
	node     int
	from, to time.Time // to is zero while it goes on
	freed    time.Duration
	repeats  int
}

func (d *disturbance) String() string {
	text := fmt.Sprintf("%s %s", d.from.Format("15:04:05"), d.what)
	if d.node != everyNode {
		text += fmt.Sprintf(" of node %d", d.node)
	}
	text += fmt.Sprintf(" for %.1f s", d.to.Sub(d.from).Seconds())
	if d.freed > 0 {
		text += fmt.Sprintf(", its deliveries made by others after %.1f s", d.freed.Seconds())
	}
	return fmt.Sprintf("%s: %d repeats", text, d.repeats)
}

// settleLag is how long before and after a disturbance a delivery may have been
// made for its outcome to have been lost by it: outcomes are kept in groups, a
// moment later, and this machine may be busy.
const settleLag = 3 * time.Second

// away is how far an attempt was from a disturbance; beyond settleLag when the
// disturbance does not concern it.
func (d *disturbance) away(s sighting) time.Duration {
	switch {
	case d.node != everyNode && d.node != s.node:
		return math.MaxInt64
	case s.at.Before(d.from):
		return d.from.Sub(s.at)
	case !d.to.IsZero() && s.at.After(d.to):
		return s.at.Sub(d.to)
	default:
		return 0
	}
}

// sighting is one arrival of a delivery.
type sighting struct {
	at   time.Time
	node int  // who made it
	open bool // it is not answered yet
	good bool // it was answered 200
}

// observer sees what the ledger does not: who makes which attempt, when, how
// many at once. Its fields belong to the ledger's lock.
type observer struct {
	books        *ledger
	disturbances []*disturbance
	seen         map[string][]sighting // by hook and uuid
	flying       map[string]int        // attempts under way, by hook
	limits       map[string]int        // how many there may be
	paced        []time.Time           // arrivals at the hook with a rate limit
	made         [nodes + 1]int        // attempts, by node
}

func newObserver(books *ledger) *observer {
	return &observer{books: books, seen: make(map[string][]sighting), flying: make(map[string]int), limits: make(map[string]int)}
}

// begin notes that a disturbance begins, and end that it is over.
func (o *observer) begin(what string, node int) *disturbance {
	d := &disturbance{what: what, node: node, from: time.Now()}
	o.books.change(func() { o.disturbances = append(o.disturbances, d) })
	return d
}

func (o *observer) end(d *disturbance) {
	o.books.change(func() { d.to = time.Now() })
}

// undisturbed reports whether nothing that concerns only this node goes on.
func (o *observer) undisturbed(node int) (well bool) {
	o.books.look(func() {
		well = !slices.ContainsFunc(o.disturbances, func(d *disturbance) bool { return d.node == node && d.to.IsZero() })
	})
	return well
}

// undisturbedSince reports whether a disturbance is the last that has begun.
func (o *observer) undisturbedSince(d *disturbance) (well bool) {
	o.books.look(func() { well = o.disturbances[len(o.disturbances)-1] == d })
	return well
}

// arrive notes the begin of an attempt and returns its number among those of
// this delivery.
func (o *observer) arrive(hook, uuid string, node int) (number int) {
	o.books.change(func() {
		key, s := hook+" "+uuid, sighting{at: time.Now(), node: node, open: true}
		before := o.seen[key]
		if i := slices.IndexFunc(before, func(s sighting) bool { return s.good || s.open }); i >= 0 {
			o.repeated(key, before[i:], s)
		}
		o.made[node]++
		number, o.seen[key] = len(before), append(before, s)
		o.flying[hook]++
		if o.flying[hook] > o.limits[hook] && !o.wakes(s) {
			o.books.blame("%s gets %d deliveries at once, the last from node %d", hook, o.flying[hook], node)
		}
		if hook == pacedHook {
			o.paced = append(o.paced, s.at)
		}
	})
	return number
}

// wakes reports whether an attempt may be one that a node began before it was
// paused: nobody can look at the clock and send in one step.
func (o *observer) wakes(s sighting) bool {
	return slices.ContainsFunc(o.disturbances, func(d *disturbance) bool {
		return d.what == pause && d.away(s) <= settleLag
	})
}

// answer notes the end of an attempt.
func (o *observer) answer(hook, uuid string, number int, good bool) {
	o.books.change(func() {
		s := &o.seen[hook+" "+uuid][number]
		s.open, s.good = false, good
		o.flying[hook]--
	})
}

// repeated explains an attempt of what was delivered before, or is just being, by
// the disturbance that was nearest to it or to what was before.
func (o *observer) repeated(key string, before []sighting, again sighting) {
	var by *disturbance
	nearest := settleLag
	for _, d := range o.disturbances {
		for _, s := range append(slices.Clip(before), again) {
			if away := d.away(s); away <= nearest && (s.good || s.open) {
				by, nearest = d, away
			}
		}
	}
	if by != nil {
		by.repeats++
		return
	}
	o.books.blame("%s comes again, from node %d, without a disturbance that explains it; before: %s", key, again.node, told(before, again.at))
}

func told(before []sighting, now time.Time) string {
	var all []string
	for _, s := range before {
		state := "not answered"
		switch {
		case s.good:
			state = "taken"
		case !s.open:
			state = "failed"
		}
		all = append(all, fmt.Sprintf("%v ago from node %d, %s", now.Sub(s.at).Round(time.Millisecond), s.node, state))
	}
	return strings.Join(all, "; ")
}

// madeAgain tells when somebody had made all of some deliveries again after a
// time; the zero time for not yet.
func (o *observer) madeAgain(keys []string, after time.Time) (last time.Time) {
	for _, key := range keys {
		i := slices.IndexFunc(o.seen[key], func(s sighting) bool { return s.good && s.at.After(after) })
		if i < 0 {
			return time.Time{}
		}
		if at := o.seen[key][i].at; at.After(last) {
			last = at
		}
	}
	return last
}

// fastest is the greatest number of paced deliveries in any window of a length.
func (o *observer) fastest(window time.Duration) (most int) {
	first := 0
	for last, at := range o.paced {
		for at.Sub(o.paced[first]) > window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}
