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
	// Stored and Waiting are how many events the store of a third side holds before
	// it is measured, at most 100,000,000: with their deliveries settled, and
	// waiting for a destination that is down. 0 and 0: there is no third side.
	Stored, Waiting int
	// Prune has the third side prune while it is measured. Not with Stored or Waiting.
	Prune bool
	// Store is the URL of a PostgreSQL server's database, whose role may make
	// others: each gateway's store is a new one, which is dropped. Empty: SQLite.
	Store string
	// Dir is where each gateway gets a new directory, which is removed.
	Dir string
	// Progress is told, in a line without a newline, what has been measured.
	Progress func(line string)

	server *database // of Store, while Run runs
}

// maxStored bounds what a store is filled with.
const maxStored = 100_000_000

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
	if o.Stored < 0 || o.Waiting < 0 || max(o.Stored, o.Waiting) > maxStored {
		return fmt.Errorf("%d events stored and %d waiting: each must be 0 to %d", o.Stored, o.Waiting, maxStored)
	}
	if o.Prune && o.Stored+o.Waiting > 0 {
		return errors.New("pruning is measured on a store of its own: fill one in another run")
	}
	if o.Prune && o.Store != "" {
		return errors.New("on PostgreSQL events go by whole days, which no load lasts long enough for")
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
	CPUs     int    `json:"cpus"`
	System   string `json:"system"` // GOOS/GOARCH
	Go       string `json:"go"`
	Store    string `json:"store"`
	Duration string `json:"duration"`
	Rounds   int    `json:"rounds"`
	// Third names the third side, "" if there is none.
	Third   string   `json:"third,omitempty"`
	Results []Result `json:"results"`
	// Filled is nil if no store was filled beforehand.
	Filled *Filled `json:"filled,omitempty"`
	// Notes say what speaks against relying on the figures.
	Notes []string `json:"notes,omitzero"`
}

// Run measures all sides in turn. It returns early, with an error and no process
// left behind, when ctx ends or a process under test fails.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	report := &Report{
		CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Store: "sqlite in a new directory in " + o.Dir, Duration: o.Duration.String(), Rounds: o.Rounds,
		Third: o.thirdName(),
	}
	if o.Store != "" {
		if o.server, err = connect(ctx, o.Store); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, o.server.close()) }()
		report.Store = "PostgreSQL at " + o.server.url.Host
	}
	report.Notes = o.notes()
	for _, fanOut := range o.FanOut {
		for _, connections := range o.Connections {
			report.Results = append(report.Results, Result{Load: Load{connections, fanOut}})
		}
	}
	filled, err := o.fillStocks(ctx)
	if err != nil {
		return nil, err
	}
	if filled != nil {
		defer func() { err = errors.Join(err, filled.remove()) }()
	}
	for round := range o.Rounds {
		for i := range report.Results {
			if err := o.round(ctx, round, &report.Results[i], filled); err != nil {
				return nil, err
			}
		}
	}
	for i := range report.Results {
		report.Results[i].condense()
		report.Notes = append(report.Notes, report.Results[i].doubts(o.Expect)...)
	}
	if filled != nil {
		report.Filled, err = o.compare(ctx, filled)
	}
	return report, err
}

// notes says what speaks against relying on figures before there are any.
func (o *Options) notes() (notes []string) {
	if o.server != nil && o.server.postmaster == 0 {
		notes = append(notes, "the database server's processes cannot be seen from here: its CPU is not counted")
	}
	if o.server == nil && inMemory(o.Dir) {
		notes = append(notes, o.Dir+" is in memory, where fsync costs nothing: "+
			"the gateway's figures are too good; name a directory on a disk with --dir")
	}
	if o.Prune && o.Duration < 3*upkeepEvery {
		notes = append(notes, fmt.Sprintf("the gateway prunes once a minute, which a load of %v shows little of: "+
			"measure again with --duration 3m", o.Duration))
	}
	return notes
}

// round measures each side once.
func (o *Options) round(ctx context.Context, number int, r *Result, filled *stocks) error {
	var each Round
	measure := func(name string, start starter) (Figures, error) {
		f, err := o.phase(ctx, start, r.Load)
		if err == nil {
			o.Progress(fmt.Sprintf("round %d of %d, %v, %s: %.0f events/s", number+1, o.Rounds, r.Load, name, r.rate(&f.Measures)))
		}
		return f, err
	}
	var err error
	if each.Relay, err = measure(r.yardstick(), o.startRelay); err != nil {
		return err
	}
	if each.Gateway, err = measure(gatewayName, o.startGateway); err != nil {
		return err
	}
	if name, start := o.third(filled, &each); start != nil {
		f, err := measure(name, start)
		if err != nil {
			return err
		}
		each.Filled = &f
	}
	r.Each = append(r.Each, each)
	return nil
}

// Err returns what the gateway must never do and did, else nil.
func (r *Report) Err() error {
	var lost, unexpected int64
	for _, result := range r.Results {
		for _, side := range []*Figures{&result.Gateway, result.Filled} {
			if side != nil {
				lost += side.Lost
				unexpected += side.Unexpected
			}
		}
	}
	switch {
	case lost > 0:
		return fmt.Errorf("the gateway acknowledged events of which it did not make %d deliveries within the time given", lost)
	case unexpected > 0:
		return fmt.Errorf("the gateway made %d deliveries that it did not owe", unexpected)
	}
	return nil
}
