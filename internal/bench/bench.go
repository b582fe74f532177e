package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"
)

// Options say what to measure. The zero value of a field has no meaning unless
// its comment gives it one.
type Options struct {
	// Executable is the grapnel binary; the gateway is `Executable serve`.
	Executable string
	// RelayArguments are Executable's that make it call ServeRelay.
	RelayArguments func(address, to string) []string
	// Connections are the numbers of connections to measure with, each 1 to 1,000.
	Connections []int
	// Duration is how long a load lasts, WarmUp the one before it; 5 minutes each at most.
	Duration, WarmUp time.Duration
	// Events ends a load, and a warm-up, after so many events when that comes before its
	// duration; 0 for no such limit. At most 5,000,000 events go into a phase.
	Events int64
	// Rounds is how often all of it is measured, 1 to 100.
	Rounds int
	// Store is the gateway's, as `serve --store` takes it; it must be free for
	// use, and what the benchmark puts there stays. Empty: SQLite in a new
	// directory in Dir, one for each phase, which is removed.
	Store string
	// Dir is where that directory is made.
	Dir string
	// Progress is told, in a line without a newline, what has been measured.
	Progress func(line string)
}

// Check returns what is wrong with o, in words for a command line.
func (o *Options) Check() error {
	if len(o.Connections) == 0 || len(o.Connections) > 10 {
		return errors.New("give 1 to 10 numbers of connections")
	}
	for _, n := range o.Connections {
		if n < 1 || n > 1000 {
			return fmt.Errorf("%d connections: must be 1 to 1000", n)
		}
	}
	if o.Duration < 100*time.Millisecond || o.Duration > 5*time.Minute {
		return fmt.Errorf("a duration of %v: must be 100ms to 5m", o.Duration)
	}
	if o.WarmUp < 0 || o.WarmUp > 5*time.Minute {
		return fmt.Errorf("a warm-up of %v: must be 0s to 5m", o.WarmUp)
	}
	if o.Events < 0 || o.Events > maxEvents/2 {
		return fmt.Errorf("%d events: must be 0 (no limit) to %d", o.Events, maxEvents/2)
	}
	if o.Rounds < 1 || o.Rounds > 100 {
		return fmt.Errorf("%d rounds: must be 1 to 100", o.Rounds)
	}
	return nil
}

// Report is the outcome of a benchmark.
type Report struct {
	CPUs     int      `json:"cpus"`
	System   string   `json:"system"` // GOOS/GOARCH
	Go       string   `json:"go"`
	Store    string   `json:"store"`
	Duration string   `json:"duration"`
	Rounds   int      `json:"rounds"`
	Results  []Result `json:"results"`
	// Notes say what speaks against relying on the figures.
	Notes []string `json:"notes,omitzero"`
}

// Result is what was measured with one number of connections. Its measures are
// medians over the rounds, each taken by itself, apart from the peak memory,
// which is the largest; the ratio is the median of the rounds' ratios; counts
// are sums.
type Result struct {
	Connections int      `json:"connections"`
	Relay       Figures  `json:"relay"`
	Gateway     Figures  `json:"gateway"`
	Ratio       Measures `json:"ratio"` // gateway/relay
	Each        []Round  `json:"each"`
}

// Round is the relay and then the gateway, measured one right after the other.
type Round struct {
	Relay   Figures `json:"relay"`
	Gateway Figures `json:"gateway"`
}

// Run measures relay and gateway in turn. It returns early, with an error and
// no process left behind, when ctx ends or a process under test fails.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	report := &Report{
		CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Store: o.Store, Duration: o.Duration.String(), Rounds: o.Rounds,
	}
	if o.Store == "" {
		report.Store = "sqlite in a new directory in " + o.Dir
		if inMemory(o.Dir) {
			report.Notes = append(report.Notes, o.Dir+" is in memory, where fsync costs nothing: "+
				"the gateway's figures are too good; name a directory on a disk with --dir")
		}
	}
	for _, n := range o.Connections {
		report.Results = append(report.Results, Result{Connections: n})
	}
	for round := range o.Rounds {
		for i := range report.Results {
			r := &report.Results[i]
			var both Round
			for _, side := range []struct {
				name  string
				start starter
				into  *Figures
			}{{relayName, o.startRelay, &both.Relay}, {gatewayName, o.startGateway, &both.Gateway}} {
				var err error
				if *side.into, err = o.phase(ctx, side.start, r.Connections); err != nil {
					return nil, err
				}
				o.Progress(fmt.Sprintf("round %d of %d, %d connections, %s: %.0f events/s delivered",
					round+1, o.Rounds, r.Connections, side.name, side.into.DeliveredPerSecond))
			}
			r.Each = append(r.Each, both)
		}
	}
	for i := range report.Results {
		report.Results[i].condense()
		report.Notes = append(report.Notes, report.Results[i].doubts()...)
	}
	return report, nil
}

func (r *Result) condense() {
	var relay, gateway, ratio []Measures
	var relayPeak, gatewayPeak float64
	for _, round := range r.Each {
		relay = append(relay, round.Relay.Measures)
		gateway = append(gateway, round.Gateway.Measures)
		ratio = append(ratio, round.Gateway.over(round.Relay.Measures))
		r.Relay.add(round.Relay.Counts)
		r.Gateway.add(round.Gateway.Counts)
		relayPeak = max(relayPeak, round.Relay.PeakMemory)
		gatewayPeak = max(gatewayPeak, round.Gateway.PeakMemory)
	}
	r.Relay.Measures, r.Gateway.Measures, r.Ratio = medians(relay), medians(gateway), medians(ratio)
	r.Relay.PeakMemory, r.Gateway.PeakMemory = relayPeak, gatewayPeak
}

// steady is how far apart, as a part of the median, the relay's rounds may lie
// before a note says so; idle is the part of the machine that others may use.
const (
	steady = 0.15
	idle   = 0.05
)

// doubts says what speaks against relying on r.
func (r *Result) doubts() []string {
	var notes []string
	low, high, busy := math.Inf(1), 0.0, 0.0
	for _, round := range r.Each {
		low, high = min(low, round.Relay.DeliveredPerSecond), max(high, round.Relay.DeliveredPerSecond)
		busy = max(busy, round.Relay.Others, round.Gateway.Others)
	}
	if spread := (high - low) / r.Relay.DeliveredPerSecond; spread > steady {
		notes = append(notes, fmt.Sprintf("%d connections: the relay's rounds lie %.0f %% apart (%.0f to %.0f events/s): "+
			"measure again when the machine is idle", r.Connections, spread*100, low, high))
	}
	if busy > idle {
		notes = append(notes, fmt.Sprintf("%d connections: other processes used up to %.0f %% of the machine: "+
			"measure again when it is idle", r.Connections, busy*100))
	}
	if n := r.Relay.Lost; n > 0 {
		notes = append(notes, fmt.Sprintf("%d connections: the relay lost %d events; its figures are too good", r.Connections, n))
	}
	return notes
}

// Err returns what the gateway must never do and did, else nil.
func (r *Report) Err() error {
	var lost, unexpected int64
	for _, result := range r.Results {
		lost += result.Gateway.Lost
		unexpected += result.Gateway.Unexpected
	}
	switch {
	case lost > 0:
		return fmt.Errorf("the gateway acknowledged %d events that it did not deliver within the time given", lost)
	case unexpected > 0:
		return fmt.Errorf("the gateway delivered %d events that were never sent to it", unexpected)
	}
	return nil
}
