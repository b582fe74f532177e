package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Write writes the report for people: a table for each load, then the notes.
// Rates are whole numbers, ratios have two digits, durations are Go's.
func (r *Report) Write(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d CPUs, %s, store: %s\nrounds: %d of %s each, medians; one event of about 1.3 KB a request\n",
		r.CPUs, r.System, r.Store, r.Rounds, r.Duration)
	for i := range r.Results {
		text.WriteByte('\n')
		r.Results[i].write(&text)
	}
	if len(r.Notes) > 0 {
		text.WriteByte('\n')
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&text, "note: %s\n", note)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// lines are the measures in the order in which they are shown, each from a
// fan-out on: without deliveries there is nothing to say of them, and with one
// destination a delivery is an event.
var lines = []struct {
	name   string
	fanOut int
	of     func(*Measures) *float64
	show   func(float64) string
}{
	{"acknowledged events/s", 0, func(m *Measures) *float64 { return &m.AcknowledgedPerSecond }, whole},
	{"delivered events/s", 1, func(m *Measures) *float64 { return &m.DeliveredPerSecond }, whole},
	{"deliveries/s", 2, func(m *Measures) *float64 { return &m.DeliveriesPerSecond }, whole},
	{"ack p50", 0, func(m *Measures) *float64 { return &m.AckP50 }, duration},
	{"ack p99", 0, func(m *Measures) *float64 { return &m.AckP99 }, duration},
	{"event to delivery p50", 1, func(m *Measures) *float64 { return &m.DeliveryP50 }, duration},
	{"event to delivery p99", 1, func(m *Measures) *float64 { return &m.DeliveryP99 }, duration},
	{"CPU seconds per 1,000 events", 0, func(m *Measures) *float64 { return &m.CPUPer1000 }, known("%.3f", 1)},
	{"CPU s per 1,000 deliveries", 2, func(m *Measures) *float64 { return &m.CPUPer1000Deliveries }, known("%.3f", 1)},
	{"peak memory, MiB", 0, func(m *Measures) *float64 { return &m.PeakMemory }, known("%.1f", 1<<20)},
	{"load and sink, CPU s/1,000", 0, func(m *Measures) *float64 { return &m.LoadCPUPer1000 }, known("%.3f", 1)},
	{"used by other processes", 0, func(m *Measures) *float64 { return &m.Others }, known("%.0f%%", 0.01)},
}

func (r *Result) write(w io.Writer) {
	row := func(name, relay, gateway, ratio string) {
		fmt.Fprintf(w, "%-30s  %12s  %12s  %15s\n", name, relay, gateway, ratio)
	}
	row(r.Load.String(), r.yardstick(), gatewayName, gatewayName+"/"+r.yardstick())
	for _, line := range lines {
		if r.FanOut >= line.fanOut {
			row(line.name, line.show(*line.of(&r.Relay.Measures)), line.show(*line.of(&r.Gateway.Measures)), known("%.2f", 1)(*line.of(&r.Ratio)))
		}
	}
	for _, line := range []struct {
		name           string
		fanOut         int
		relay, gateway int64
	}{
		{"lost", 1, r.Relay.Lost, r.Gateway.Lost},
		{"repeated", 1, r.Relay.Repeated, r.Gateway.Repeated},
		{"unexpected", 0, r.Relay.Unexpected, r.Gateway.Unexpected},
		{"refused (503)", 0, r.Relay.Refused, r.Gateway.Refused},
	} {
		if r.FanOut >= line.fanOut {
			row(line.name, strconv.FormatInt(line.relay, 10), strconv.FormatInt(line.gateway, 10), "-")
		}
	}
}

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// known shows values in units of unit, with a dash where one was not measured.
func known(format string, unit float64) func(float64) string {
	return func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf(format, v/unit)
	}
}

// duration shows three digits.
func duration(s float64) string {
	d, step := time.Duration(s*float64(time.Second)), time.Nanosecond
	for d/step >= 1000 {
		step *= 10
	}
	return d.Round(step).String()
}
