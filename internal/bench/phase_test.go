package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain lets the test binary be the relay, as cmd/grapnel does.
func TestMain(m *testing.M) {
	if len(os.Args) >= 3 && os.Args[1] == "relay" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := ServeRelay(ctx, os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func testOptions(t *testing.T) *Options {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Options{
		Executable:     executable,
		RelayArguments: func(address string, to []string) []string { return append([]string{"relay", address}, to...) },
		Duration:       time.Minute, WarmUp: time.Minute, Events: 300, Rounds: 1,
		Connections: []int{3}, FanOut: []int{1}, Dir: t.TempDir(), Progress: func(string) {},
	}
}

func TestPhaseMeasuresARelay(t *testing.T) {
	o := testOptions(t)
	f, err := o.phase(t.Context(), o.startRelay, Load{3, 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Counts{Acknowledged: 600, Delivered: 600}); f.Counts != want {
		t.Errorf("counts %+v, want %+v", f.Counts, want)
	}
	for i, v := range f.all()[:7] {
		if *v <= 0 {
			t.Errorf("measure %d is %v", i, *v)
		}
	}
	if f.AckP50 > f.AckP99 || f.DeliveryP50 > f.DeliveryP99 {
		t.Errorf("percentiles out of order: %+v", f.Measures)
	}
	if runtime.GOOS == "linux" && f.PeakMemory < 1<<20 {
		t.Errorf("a peak of %v bytes", f.PeakMemory)
	}
}

// between puts a sink of its own between the relay and the phase's, so that
// nothing gets there; it hands every body to accept.
func between(t *testing.T, o *Options, accept func(relay *subject)) (starter, *subject) {
	var seen subject
	return func(ctx context.Context, urls []string, orgHost string) (*subject, error) {
		ready := make(chan struct{})
		var once sync.Once
		s, err := startSink(ctx, func(int, []byte) {
			once.Do(func() {
				<-ready
				accept(&seen)
			})
		})
		if err != nil {
			return nil, err
		}
		t.Cleanup(s.stop)
		relay, err := o.startRelay(ctx, s.urls(len(urls)), orgHost)
		if err == nil {
			seen = *relay
		}
		close(ready)
		return relay, err
	}, &seen
}

func TestPhaseEndsWithItsContextAndLeavesNoProcess(t *testing.T) {
	o := testOptions(t)
	ctx, cancel := context.WithCancel(t.Context())
	start, relay := between(t, o, func(*subject) { cancel() })
	_, err := o.phase(ctx, start, Load{3, 1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	if relay.cmd.ProcessState == nil {
		t.Error("the relay has not been waited for")
	}
}

func TestPhaseSaysHowTheProcessEnded(t *testing.T) {
	o := testOptions(t)
	start, _ := between(t, o, func(relay *subject) {
		if err := relay.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	_, err := o.phase(t.Context(), start, Load{3, 1})
	if err == nil || !strings.Contains(err.Error(), "the relay ended with signal: killed") {
		t.Errorf("error %v, want it to say that the relay was killed", err)
	}
}

// TestPhaseDoesNotWaitForADeadProcess: the one event is acknowledged, and what
// would have brought it is gone.
func TestPhaseDoesNotWaitForADeadProcess(t *testing.T) {
	o := testOptions(t)
	o.Events = 1
	start, _ := between(t, o, func(relay *subject) {
		if err := relay.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	_, err := o.phase(t.Context(), start, Load{1, 1})
	if err == nil || time.Since(began) >= drainPatience {
		t.Errorf("error %v after %v, want one before the drain gives up", err, time.Since(began))
	}
}

func TestPhaseShowsWhatAFailedStartSaid(t *testing.T) {
	o := testOptions(t)
	o.RelayArguments = func(string, []string) []string { return []string{"relay", "not an address", "http://127.0.0.1/"} }
	_, err := o.phase(t.Context(), o.startRelay, Load{3, 1})
	if err == nil || !strings.Contains(err.Error(), "the relay cannot listen") {
		t.Errorf("error %v, want the relay's own", err)
	}
}

func TestGatewayThatDoesNotStartLeavesNoDirectory(t *testing.T) {
	o := testOptions(t)
	o.Executable = filepath.Join(o.Dir, "missing")
	if _, err := o.phase(t.Context(), o.startGateway, Load{3, 1}); err == nil {
		t.Error("a missing executable was started")
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left %v (%v)", entries, err)
	}
}

func TestDrainGivesUpOnWhatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(newEventID(1), 10, 1)
		for range 2 {
			index, _ := l.take(10)
			l.sent[index], l.acked[index] = 1, 2
		}
		start := time.Now()
		time.AfterFunc(drainPatience-time.Second, func() { l.arrive(0, eventBody(l.id, 1)) })
		if err := drain(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		waited := time.Since(start)
		if want := 2*drainPatience - time.Second; waited < want || waited > want+time.Second {
			t.Errorf("waited %v, want %v after the last arrival", waited, drainPatience)
		}
		if c := l.counts(); c.Lost != 1 {
			t.Errorf("%d lost, want 1", c.Lost)
		}
	})
}

func TestRestWaitsUntilTheProcessIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []time.Duration{0, 90, 150, 155, 999}
		got, err := rest(t.Context(), func() (usage, error) {
			u := usage{cpu: steps[0] * time.Millisecond}
			steps = steps[1:]
			return u, nil
		})
		if err != nil || got.cpu != 155*time.Millisecond {
			t.Errorf("got %v, %v; want 155ms", got.cpu, err)
		}
	})
}

func TestTailKeepsTheEnd(t *testing.T) {
	var k tail
	k.Write([]byte("first"))
	k.Write(bytes.Repeat([]byte("x"), 2*tailLength))
	k.Write([]byte("last"))
	if s := k.String(); len(s) != tailLength || !strings.HasSuffix(s, "xlast") {
		t.Errorf("%d bytes, ending in %q", len(s), s[len(s)-5:])
	}
}
