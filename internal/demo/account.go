package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Account is where every event went, and whether the sums close.
type Account struct {
	after  time.Duration // since the start
	org    orgCounts
	source sourceCounters
	hooks  []hookAccount
	// wrong are sentences about what does not add up; notes about what is
	// unusual, and does.
	wrong, notes []string
}

type hookAccount struct {
	name                              string
	matched, delivered, waiting, dead int
	attempts                          int
	got                               int // different events that the destination took
	repeats                           int // times that it took one of them again
}

// quiet is how long a person waits without a word.
const quiet = 2 * time.Second

// Account adds everything up. The gateway's hooks are inactive from then on.
func (d *Demo) Account(ctx context.Context) (*Account, error) {
	if err := d.screen.clear(); err != nil {
		return nil, err
	}
	patience := time.AfterFunc(quiet, func() { _ = d.screen.say("Adding up every single event ...\n") })
	defer patience.Stop()
	b, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	a := b.account()
	a.after = time.Since(d.started)
	return a, nil
}

// Err says what does not add up, nil when the sums close.
func (a *Account) Err() error {
	switch len(a.wrong) {
	case 0:
		return nil
	case 1:
		return errors.New("the sums do not close: " + a.wrong[0])
	default:
		return fmt.Errorf("the sums do not close: %s; and %d more, see the table", a.wrong[0], len(a.wrong)-1)
	}
}

// account compares the books.
func (b *books) account() *Account {
	a := &Account{org: b.org.orgCounts, source: b.source}
	b.checkIntake(a)
	for i := range b.hooks {
		b.hooks[i].check(a, b)
	}
	return a
}

func (a *Account) mustf(holds bool, format string, args ...any) {
	if !holds {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

func (a *Account) notef(applies bool, format string, args ...any) {
	if applies {
		a.notes = append(a.notes, fmt.Sprintf(format, args...))
	}
}

// checkIntake holds the gateway's word on what came in against the org's. An
// attempt that was not answered may have come in or not.
func (b *books) checkIntake(a *Account) {
	s, o := &b.source, &b.org
	in := s.Received + s.Duplicates + s.Rejected
	a.mustf(in >= o.answered && in <= o.answered+o.unanswered,
		"%d events came in (%d received + %d duplicates + %d rejected), but the org sent %d",
		in, s.Received, s.Duplicates, s.Rejected, o.answered)
	a.mustf(s.Rejected == 0, "%d events were rejected", s.Rejected)
	a.mustf(s.Received == len(b.listed), "%d events were received, but %d are listed", s.Received, len(b.listed))
	lost, doubled, strange := 0, 0, 0
	for id, sent := range o.events {
		if sent.acknowledged && b.listed[id] == 0 {
			lost++
		}
	}
	for id, times := range b.listed {
		if times > 1 {
			doubled++
		}
		if _, sent := o.events[id]; !sent {
			strange++
		}
	}
	a.mustf(lost == 0, "%d events were acknowledged to the org and are not there", lost)
	a.mustf(doubled == 0, "%d events are there more than once", doubled)
	a.mustf(strange == 0, "%d events are there that the org never sent", strange)
	a.notef(o.refused > 0, "The gateway refused %d events in calls of the org's.", o.refused)
	a.notef(o.unanswered > 0, "The org had no answer to calls with %d events; they may have come in or not.", o.unanswered)
}

// check holds the gateway's word on one hook against the org's and the
// destination's.
func (h *hookBooks) check(a *Account, b *books) {
	c, l := &h.counters, &h.listed
	repeats := 0
	for _, times := range h.destination.got {
		repeats += int(times) - 1
	}
	a.hooks = append(a.hooks, hookAccount{
		name: h.name, matched: c.Matched, delivered: c.Delivered, waiting: l.waiting, dead: c.Dead, attempts: c.Attempts,
		got: len(h.destination.got), repeats: repeats,
	})
	a.mustf(c.Matched == c.Delivered+l.waiting+c.Dead+c.Cancelled,
		"%s: %d matched, but %d delivered + %d waiting + %d dead make %d", h.name,
		c.Matched, c.Delivered, l.waiting, c.Dead, c.Delivered+l.waiting+c.Dead+c.Cancelled)
	a.mustf(c.Delivered == l.delivered, "%s: %d counted as delivered, but %d are listed", h.name, c.Delivered, l.delivered)
	a.mustf(c.Dead == l.dead, "%s: %d counted as dead, but %d are listed", h.name, c.Dead, l.dead)
	a.mustf(c.Cancelled == l.cancelled, "%s: %d counted as cancelled, but %d are listed", h.name, c.Cancelled, l.cancelled)
	h.checkMatched(a, b)
	h.checkArrived(a)
	a.notef(l.replays > 0, "%s: %d of the matched were sent again on request.", h.name, l.replays)
	a.notef(c.Cancelled > 0, "%s: %d more matched, and were cancelled.", h.name, c.Cancelled)
	a.notef(h.changed, "%s: someone changed it while the demo ran, so what it had to match is not known.", h.name)
}

// checkMatched compares the events that have a delivery with those that should.
func (h *hookBooks) checkMatched(a *Account, b *books) {
	if h.changed {
		return
	}
	missing, unwanted, doubled := 0, 0, 0
	for id := range b.listed {
		if h.wants(b.org.events[id]) && h.listed.events[id].first == 0 {
			missing++
		}
	}
	for id, o := range h.listed.events {
		if b.listed[id] == 0 || !h.wants(b.org.events[id]) {
			unwanted++
		}
		if o.first > 1 {
			doubled++
		}
	}
	a.mustf(missing == 0, "%s: %d events have no delivery and should have one", h.name, missing)
	a.mustf(unwanted == 0, "%s: %d events have a delivery and should have none", h.name, unwanted)
	a.mustf(doubled == 0, "%s: %d events have more than one delivery", h.name, doubled)
}

// checkArrived compares what was delivered with what arrived. An event that
// arrived may count as waiting or dead, when the answer to the gateway was lost;
// one that did not arrive must not count as delivered.
func (h *hookBooks) checkArrived(a *Account) {
	lost, strange, unsure := 0, 0, 0
	for id, o := range h.listed.events {
		if o.delivered > int(h.destination.got[id]) {
			lost++
		}
	}
	for id := range h.destination.got {
		switch o := h.listed.events[id]; {
		case o == owed{}:
			strange++
		case o.delivered == 0:
			unsure++
		}
	}
	a.mustf(lost == 0, "%s: %d events count as delivered and did not arrive", h.name, lost)
	a.mustf(strange == 0, "%s: %d events arrived that were not for it", h.name, strange)
	a.notef(h.destination.strange > 0, "%s: %d calls arrived that were refused, as they are not like Okta's.", h.name, h.destination.strange)
	a.notef(unsure > 0, "%s: %d events arrived and still count as waiting or dead: the answer was lost.", h.name, unsure)
}
