package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Options say what to measure. The zero value of a field has no meaning unless
// its comment gives it one.
type Options struct {
	// Executable is the grapnel binary; the gateway is `Executable serve`.
	Executable string
	// RelayArguments are Executable's that make it call ServeRelay.
	RelayArguments func(address string, to []string) []string
	// Connections are the numbers of connections to measure with, each 1 to 1,000.
	Connections []int
	// FanOut are the numbers of event hooks to measure with, each 0 to 100; with 0
	// nothing is delivered, and intake alone is measured.
	FanOut []int
	// Expect is how many events/s the relay is known to reach on this machine when
	// it is idle and every event goes to one destination; 0 if that is not known.
	Expect int
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
	if len(o.FanOut) == 0 || len(o.FanOut) > 10 {
		return errors.New("give 1 to 10 numbers of event hooks")
	}
	for _, n := range o.FanOut {
		if n < 0 || n > 100 {
			return fmt.Errorf("a fan-out of %d: must be 0 to 100", n)
		}
	}
	if o.Expect < 0 || o.Expect > 0 && !slices.Contains(o.FanOut, 1) {
		return errors.New("what the relay is expected to reach is compared at a fan-out of 1: measure that, too")
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
	for _, fanOut := range o.FanOut {
		for _, connections := range o.Connections {
			report.Results = append(report.Results, Result{Load: Load{connections, fanOut}})
		}
	}
	for round := range o.Rounds {
		for i := range report.Results {
			if err := o.round(ctx, round, &report.Results[i]); err != nil {
				return nil, err
			}
		}
	}
	for i := range report.Results {
		report.Results[i].condense()
		report.Notes = append(report.Notes, report.Results[i].doubts(o.Expect)...)
	}
	return report, nil
}

// round measures each side once.
func (o *Options) round(ctx context.Context, number int, r *Result) (err error) {
	var each Round
	for _, side := range []struct {
		name  string
		start starter
		into  *Figures
	}{{r.yardstick(), o.startRelay, &each.Relay}, {gatewayName, o.startGateway, &each.Gateway}} {
		if *side.into, err = o.phase(ctx, side.start, r.Load); err != nil {
			return err
		}
		o.Progress(fmt.Sprintf("round %d of %d, %v, %s: %.0f events/s", number+1, o.Rounds, r.Load, side.name, r.rate(&side.into.Measures)))
	}
	r.Each = append(r.Each, each)
	return nil
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
		return fmt.Errorf("the gateway acknowledged events of which it did not make %d deliveries within the time given", lost)
	case unexpected > 0:
		return fmt.Errorf("the gateway made %d deliveries that it did not owe", unexpected)
	}
	return nil
}
