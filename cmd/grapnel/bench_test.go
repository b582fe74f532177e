package main

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/bench"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
)

// TestBench runs whole benchmarks with the real binary, small: no figure is
// judged but the counts.
func TestBench(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "grapnel")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("plain", func(t *testing.T) { benchPlain(t, binary) })
	t.Run("filled", func(t *testing.T) { benchFilled(t, binary) })
	t.Run("pruning", func(t *testing.T) { benchPruning(t, binary) })
	t.Run("PostgreSQL", func(t *testing.T) { benchPostgreSQL(t, binary) })
}

// runBench runs a small benchmark, and sees to it that nothing is left of it.
func runBench(t *testing.T, binary string, flags ...string) bench.Report {
	t.Helper()
	t.Parallel() // no figure is judged
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), binary, append([]string{"bench", "--connections", "3", "--events", "200",
		"--warm-up", "1m", "--duration", "1m", // the events end them long before
		"--rounds", "1", "--dir", dir, "--output", "json"}, flags...)...)
	command.Stderr = t.Output()
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v (%v)", left, err)
	}
	return report
}

func benchPlain(t *testing.T, binary string) {
	report := runBench(t, binary, "--fan-out", "1,3,0")
	if len(report.Results) != 3 {
		t.Fatalf("%d results, want 3", len(report.Results))
	}
	for _, r := range report.Results {
		want := bench.Counts{Acknowledged: 400, Delivered: 400 * int64(r.FanOut)} // warm-up and load
		if r.Relay.Counts != want || r.Gateway.Counts != want {
			t.Errorf("%v: relay %+v, gateway %+v; want %+v", r.Load, r.Relay.Counts, r.Gateway.Counts, want)
		}
	}
}

func benchFilled(t *testing.T, binary string) {
	report := runBench(t, binary, "--stored", "3000", "--waiting", "100")
	r, f := report.Results[0], report.Filled
	if want := (bench.Counts{Acknowledged: 400, Delivered: 400}); r.Filled == nil || r.Filled.Counts != want || r.FilledRatio.DeliveredPerSecond == 0 {
		t.Errorf("filled %+v, want %+v", r.Filled, want)
	}
	if f == nil || f.DiskPerEvent <= 0 || f.JSONPerEvent < f.DiskPerEvent {
		t.Fatalf("%+v", f)
	}
	if f.FewStart.Delivered < f.FewStart.Ready || f.FilledStart.Ready <= 0 || f.FilledStart.Attempted <= 0 {
		t.Errorf("starts %+v and %+v", f.FewStart, f.FilledStart)
	}
	for _, p := range f.Pages {
		if p.Few.P50 <= 0 || p.Filled.P99 < p.Filled.P50 || p.Ratio <= 0 {
			t.Errorf("%+v", p)
		}
	}
	if len(f.Pages) == 0 {
		t.Error("no pages were read")
	}
}

func benchPostgreSQL(t *testing.T, binary string) {
	if testing.Short() {
		t.Skip("internal/bench tests what is PostgreSQL's in it")
	}
	u, err := url.Parse(postgrestest.Shared(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("postgres") // who may make databases
	report := runBench(t, binary, "--store", u.String(), "--stored", "3000", "--waiting", "100")
	r, want := report.Results[0], bench.Counts{Acknowledged: 400, Delivered: 400}
	if r.Gateway.Counts != want || r.Filled == nil || r.Filled.Counts != want {
		t.Errorf("%+v and %+v, want %+v", r.Gateway.Counts, r.Filled, want)
	}
	if runtime.GOOS == "linux" && (r.Gateway.DatabaseCPUPer1000 <= 0 || r.Gateway.DatabaseCPUPer1000 >= r.Gateway.CPUPer1000) {
		t.Errorf("of %v s of CPU the database took %v", r.Gateway.CPUPer1000, r.Gateway.DatabaseCPUPer1000)
	}
	if f := report.Filled; f.DiskPerEvent <= 0 || f.FilledStart.Attempted <= 0 || len(f.Pages) == 0 {
		t.Errorf("%+v", f)
	}
}

func benchPruning(t *testing.T, binary string) {
	r := runBench(t, binary, "--prune").Results[0]
	if want := (bench.Counts{Acknowledged: 400, Delivered: 400}); r.Filled == nil || r.Filled.Counts != want {
		t.Errorf("pruning %+v, want %+v", r.Filled, want)
	}
	if p := r.Pruning; p == nil || p.FirstBytes <= 0 || p.LastBytes <= 0 {
		t.Errorf("%+v", p)
	}
}
