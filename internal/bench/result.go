package bench

import (
	"fmt"
	"math"
)

// Load is what is done to a process: over how many connections events are sent
// to it, and to how many destinations it owes each.
type Load struct {
	Connections int `json:"connections"`
	FanOut      int `json:"fanOut"`
}

// String names the load for people.
func (l Load) String() string {
	switch l.FanOut {
	case 0:
		return fmt.Sprintf("%d connections, intake alone", l.Connections)
	case 1:
		return fmt.Sprintf("%d connections", l.Connections)
	}
	return fmt.Sprintf("%d connections, fan-out %d", l.Connections, l.FanOut)
}

// yardstick names what a relay to that many destinations is.
func (l Load) yardstick() string {
	if l.FanOut == 0 {
		return "handler"
	}
	return relayName
}

// rate is the figure that a run under this load is about, in events/s.
func (l Load) rate(m *Measures) float64 {
	if l.FanOut == 0 {
		return m.AcknowledgedPerSecond
	}
	return m.DeliveredPerSecond
}

// Result is what was measured under one load. Its measures are medians over the
// rounds, each taken by itself, apart from the peak memory, which is the
// largest; the ratio is the median of the rounds' ratios; counts are sums.
type Result struct {
	Load
	Relay   Figures  `json:"relay"`
	Gateway Figures  `json:"gateway"`
	Ratio   Measures `json:"ratio"` // gateway/relay
	// Filled is the gateway on a store that was filled before, or that prunes;
	// the others begin with an empty store. Nil if that was not asked for.
	Filled      *Figures  `json:"filled,omitempty"`
	FilledRatio *Measures `json:"filledRatio,omitempty"` // filled/gateway
	Pruning     *Pruning  `json:"pruning,omitempty"`
	Each        []Round   `json:"each"`
}

// Round is all sides, measured one right after the other.
type Round struct {
	Relay   Figures  `json:"relay"`
	Gateway Figures  `json:"gateway"`
	Filled  *Figures `json:"filled,omitempty"`
	Pruning *Pruning `json:"pruning,omitempty"`
}

func (r *Result) condense() {
	var relay, gateway, filled []Figures
	var pruning []*Pruning
	for _, round := range r.Each {
		relay, gateway = append(relay, round.Relay), append(gateway, round.Gateway)
		if round.Filled != nil {
			filled = append(filled, *round.Filled)
		}
		if round.Pruning != nil {
			pruning = append(pruning, round.Pruning)
		}
	}
	r.Relay, r.Gateway = condense(relay), condense(gateway)
	r.Ratio = ratio(gateway, relay)
	if filled != nil {
		all, against := condense(filled), ratio(filled, gateway)
		r.Filled, r.FilledRatio = &all, &against
	}
	if pruning != nil {
		r.Pruning = new(Pruning)
		mediansOf(r.Pruning, pruning)
	}
}

// condense makes the figures of several rounds one.
func condense(rounds []Figures) (f Figures) {
	measures, peak := make([]*Measures, len(rounds)), 0.0
	for i := range rounds {
		measures[i] = &rounds[i].Measures
		f.add(rounds[i].Counts)
		peak = max(peak, rounds[i].PeakMemory)
	}
	mediansOf(&f.Measures, measures)
	f.PeakMemory = peak
	return f
}

// ratio is the median of the rounds' ratios.
func ratio(subject, yardstick []Figures) (m Measures) {
	ratios := make([]*Measures, len(subject))
	for i := range subject {
		of := subject[i].over(yardstick[i].Measures)
		ratios[i] = &of
	}
	mediansOf(&m, ratios)
	return m
}

const (
	// steady is how far apart, as a part of the median, the relay's rounds may lie
	// before a note says so; idle is the part of the machine that others may use.
	steady = 0.15
	idle   = 0.05
	// quotable is the part of its expected rate that the relay must reach.
	quotable = 0.8
)

// doubts says what speaks against relying on r. expect is the rate that the
// relay is known to reach at a fan-out of 1, 0 if that is not known.
func (r *Result) doubts(expect int) []string {
	var notes []string
	doubt := func(format string, args ...any) {
		notes = append(notes, r.Load.String()+": "+fmt.Sprintf(format, args...))
	}
	low, high, busy := math.Inf(1), 0.0, 0.0
	for _, round := range r.Each {
		rate := r.rate(&round.Relay.Measures)
		low, high = min(low, rate), max(high, rate)
		busy = max(busy, round.Relay.Others, round.Gateway.Others)
		if round.Filled != nil {
			busy = max(busy, round.Filled.Others)
		}
	}
	reached := r.rate(&r.Relay.Measures)
	if r.FanOut == 1 && reached < quotable*float64(expect) {
		doubt("not to be quoted: the relay reached %.0f events/s, less than %.1f of the %d expected", reached, quotable, expect)
	}
	if spread := (high - low) / reached; spread > steady {
		doubt("the relay's rounds lie %.0f %% apart (%.0f to %.0f events/s): measure again when the machine is idle", spread*100, low, high)
	}
	if busy > idle {
		doubt("other processes used up to %.0f %% of the machine: measure again when it is idle", busy*100)
	}
	if n := r.Relay.Lost; n > 0 {
		doubt("the relay lost %d deliveries; its figures are too good", n)
	}
	return notes
}
