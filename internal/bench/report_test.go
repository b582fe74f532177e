package bench

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestReportIsWrittenForPeople(t *testing.T) {
	relay := Figures{
		Measures{18612.4, 18577.5, 18577.5, 0.0033512, 0.0142, 0.012, 0.0415, 0.0571, 0, 0.0571, 25 << 20, 0, 0.021, 0.034},
		Counts{Acknowledged: 186124, Delivered: 186124},
	}
	gateway := Figures{
		Measures{8123, 8100, 8100, 0.0061, 0.0312345, 0.0199999, 1.25, 0, 0, 0, 0, 612, 0.022, 0},
		Counts{Acknowledged: 81230, Delivered: 81230, Repeated: 2, Refused: 1},
	}
	report := Report{
		CPUs: 2, System: "linux/amd64", Go: "go1.26", Store: "sqlite in a new directory in /data",
		Duration: "10s", Rounds: 3, Notes: []string{"one", "two"},
		Results: []Result{
			{Load: Load{16, 1}, Relay: relay, Gateway: gateway, Ratio: gateway.over(relay.Measures)},
			{Load: Load{64, 10}, Relay: relay},
			{Load: Load{64, 0}, Relay: relay, Gateway: Figures{Measures: Measures{CPUPer1000: 0.3, DatabaseCPUPer1000: 0.2}}},
		},
	}
	third := condense([]Figures{gateway})
	against := third.over(gateway.Measures)
	report.Third = "5M stored"
	report.Results[0].Filled, report.Results[0].FilledRatio = &third, &against
	report.Results[0].Pruning = &Pruning{FirstBytes: 100 << 20, LastBytes: 101 << 20, Overdue: 12.4}
	report.Filled = &Filled{
		Stored: 5_000_000, Waiting: 10, JSONPerEvent: 1940, DiskPerEvent: 260,
		FewStart: Start{Ready: 0.031, Delivered: 0.05}, FilledStart: Start{0.5, 0.6, 0.7},
		Pages: []Page{{"events, newest", Latency{0.001, 0.002}, Latency{0.0015, 0.01}, 1.5}},
	}
	var text strings.Builder
	if err := report.Write(&text); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Connections: []int{1, 1000}, FanOut: []int{0, 100}, Duration: 10 * time.Second, WarmUp: 0, Rounds: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no connections":       func(o *Options) { o.Connections = nil },
		"zero connections":     func(o *Options) { o.Connections = []int{0} },
		"too many connections": func(o *Options) { o.Connections = []int{1001} },
		"no fan-out":           func(o *Options) { o.FanOut = nil },
		"too many hooks":       func(o *Options) { o.FanOut = []int{101} },
		"nothing to expect of": func(o *Options) { o.Expect = 100 },
		"pruning and stored":   func(o *Options) { o.Prune, o.Stored = true, 1 },
		"days on PostgreSQL":   func(o *Options) { o.Prune, o.Store = true, "postgres://localhost/a" },
		"too many stored":      func(o *Options) { o.Stored = maxStored + 1 },
		"fewer than none":      func(o *Options) { o.Waiting = -1 },
		"too short":            func(o *Options) { o.Duration = time.Millisecond },
		"too long":             func(o *Options) { o.Duration = time.Hour },
		"a negative warm-up":   func(o *Options) { o.WarmUp = -1 },
		"too many events":      func(o *Options) { o.Events = maxEvents },
		"no rounds":            func(o *Options) { o.Rounds = 0 },
	} {
		o := good
		spoil(&o)
		if o.Check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
