package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"
)

const (
	// drainPatience is how long nothing may arrive before what is still owed
	// counts as lost; drainLimit bounds the whole wait.
	drainPatience = 30 * time.Second
	drainLimit    = 10 * time.Minute

	// restInterval is how often the process is asked whether it is at rest, that
	// is uses under a tenth of a CPU; restLimit bounds the wait.
	restInterval = 100 * time.Millisecond
	restLimit    = 3 * time.Second
)

// phase measures one process under one load: start, warm-up, load, drain, rest,
// stop.
func (o *Options) phase(ctx context.Context, start starter, load Load) (f Figures, err error) {
	l := newLedger(newEventID(uint16(rand.Uint32())), maxEvents, load.FanOut)
	sink, err := startSink(ctx, l.arrive)
	if err != nil {
		return f, err
	}
	defer sink.stop()
	// A source is known by its org's host: a store that is used again needs a new one.
	orgHost := fmt.Sprintf("%08x.okta.example", rand.Uint32())
	subject, failed := start(ctx, sink.urls(load.FanOut), orgHost)
	if subject == nil {
		return f, failed
	}
	defer func() { err = errors.Join(err, subject.close()) }()
	err = subject.during(ctx, func(ctx context.Context) error {
		if failed != nil {
			return failed
		}
		loader, err := newLoader(ctx, subject.target, orgHost, load.Connections, l)
		if err != nil {
			return err
		}
		defer loader.close()
		f.Measures, err = o.measure(ctx, l, loader, subject.used)
		if err != nil {
			return err
		}
		return subject.leave(ctx)
	})
	if err != nil {
		return f, err
	}
	// Only now: a process that is stopped ends what it has under way, and may
	// still repeat.
	sink.stop()
	f.Counts = l.counts()
	grown, err := subject.grown(ctx)
	if f.Acknowledged > 0 {
		f.DiskPerEvent = float64(grown) / float64(f.Acknowledged)
	}
	return f, err
}

// reading is what had been used of the machine at one moment.
type reading struct {
	at           time.Time
	theirs, ours usage   // of the process under test, and of load generator and sink
	machine      float64 // CPU seconds of all there is
}

// measure runs the warm-up and the load, each to its last delivery.
func (o *Options) measure(ctx context.Context, l *ledger, load *loader, used func() (usage, error)) (Measures, error) {
	before, err := o.run(ctx, l, load, o.WarmUp, used)
	if err != nil {
		return Measures{}, err
	}
	from, arrived := l.taken.Load(), l.first.Load()
	after, err := o.run(ctx, l, load, o.Duration, used)
	if err != nil {
		return Measures{}, err
	}
	m := l.figures(from)
	theirs, ours := after.theirs.cpu-before.theirs.cpu, after.ours.cpu-before.ours.cpu
	if n := l.acknowledged(from); n > 0 {
		m.DatabaseCPUPer1000 = (after.theirs.database - before.theirs.database).Seconds() * 1000 / float64(n)
		m.CPUPer1000 = theirs.Seconds() * 1000 / float64(n)
		m.LoadCPUPer1000 = ours.Seconds() * 1000 / float64(n)
	}
	if n := l.first.Load() - arrived; n > 0 {
		m.CPUPer1000Deliveries = theirs.Seconds() * 1000 / float64(n)
	}
	m.PeakMemory = float64(after.theirs.peak)
	others := after.machine - before.machine - (theirs + ours).Seconds()
	m.Others = max(0, others/after.at.Sub(before.at).Seconds()/float64(runtime.NumCPU()))
	return m, nil
}

func (o *Options) run(ctx context.Context, l *ledger, load *loader, duration time.Duration, used func() (usage, error)) (reading, error) {
	var r reading
	if err := load.run(ctx, duration, o.Events); err != nil {
		return r, err
	}
	if err := drain(ctx, l); err != nil {
		return r, err
	}
	var err error
	if r.theirs, err = rest(ctx, used); err == nil {
		r.ours, err = usageOf(os.Getpid())
	}
	if err == nil {
		r.machine, err = machineBusy()
	}
	r.at = time.Now()
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return r, err
}

// drain waits until every acknowledged event has arrived, or nothing more comes.
func drain(ctx context.Context, l *ledger) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit, progress, arrived := time.Now().Add(drainLimit), time.Now(), l.first.Load()
	for at, owed := l.owed(0); owed; at, owed = l.owed(at) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-tick.C:
			if n := l.first.Load(); n != arrived {
				progress, arrived = now, n
			}
			if now.After(limit) || now.Sub(progress) > drainPatience {
				return nil
			}
		}
	}
	return nil
}

// rest waits until the process has done what follows a delivery, and returns
// what it has used by then.
func rest(ctx context.Context, used func() (usage, error)) (usage, error) {
	last, err := used()
	tick := time.NewTicker(restInterval)
	defer tick.Stop()
	for limit := time.Now().Add(restLimit); err == nil && time.Now().Before(limit); {
		select {
		case <-ctx.Done():
			return usage{}, context.Cause(ctx)
		case <-tick.C:
		}
		before := last.cpu
		if last, err = used(); last.cpu-before <= restInterval/10 {
			break
		}
	}
	return last, err
}
