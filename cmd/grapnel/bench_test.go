package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/bench"
)

// TestBench runs the whole benchmark with the real binary, small: no figure is
// judged but the counts.
func TestBench(t *testing.T) {
	binary, dir := filepath.Join(t.TempDir(), "grapnel"), t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := exec.CommandContext(t.Context(), binary, "bench", "--connections", "3", "--fan-out", "1,3,0", "--events", "200",
		"--rounds", "1", "--dir", dir, "--output", "json")
	command.Stderr = t.Output()
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(report.Results) != 3 {
		t.Fatalf("%d results, want 3", len(report.Results))
	}
	for _, r := range report.Results {
		want := bench.Counts{Acknowledged: 400, Delivered: 400 * int64(r.FanOut)} // warm-up and load
		if r.Relay.Counts != want || r.Gateway.Counts != want {
			t.Errorf("%v: relay %+v, gateway %+v; want %+v", r.Load, r.Relay.Counts, r.Gateway.Counts, want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}
