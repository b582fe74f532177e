package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
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
		r.Results[i].write(&text, r.Third)
	}
	if r.Filled != nil {
		text.WriteByte('\n')
		r.Filled.write(&text, r.Third)
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
// destination a delivery is an event. A line that shows nothing for the gateway
// is left out.
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
	{"CPU seconds per 1,000 events", 0, func(m *Measures) *float64 { return &m.CPUPer1000 }, known(in("%.3f", 1))},
	{"of that the database", 0, func(m *Measures) *float64 { return &m.DatabaseCPUPer1000 }, some(in("%.3f", 1))},
	{"CPU s per 1,000 deliveries", 2, func(m *Measures) *float64 { return &m.CPUPer1000Deliveries }, known(in("%.3f", 1))},
	{"peak memory, MiB", 0, func(m *Measures) *float64 { return &m.PeakMemory }, known(in("%.1f", 1<<20))},
	{"disk per event, bytes", 0, func(m *Measures) *float64 { return &m.DiskPerEvent }, known(in("%.0f", 1))},
	{"load and sink, CPU s/1,000", 0, func(m *Measures) *float64 { return &m.LoadCPUPer1000 }, known(in("%.3f", 1))},
	{"used by other processes", 0, func(m *Measures) *float64 { return &m.Others }, known(in("%.0f%%", 0.01))},
}

// table writes rows of a name and columns of at least their headings' width.
type table struct {
	w      io.Writer
	widths []int
}

func newTable(w io.Writer, name string, headings ...string) *table {
	t := &table{w: w}
	for _, h := range headings {
		t.widths = append(t.widths, max(12, len(h)))
	}
	t.row(name, headings...)
	return t
}

func (t *table) row(name string, cells ...string) {
	fmt.Fprintf(t.w, "%-30s", name)
	for i, cell := range cells {
		fmt.Fprintf(t.w, "  %*s", t.widths[i], cell)
	}
	fmt.Fprintln(t.w)
}

func (r *Result) write(w io.Writer, third string) {
	headings := []string{r.yardstick(), gatewayName, gatewayName + "/" + r.yardstick()}
	if r.Filled != nil {
		headings = append(headings, third, third+"/"+gatewayName)
	}
	t := newTable(w, r.Load.String(), headings...)
	for _, line := range lines {
		gateway := line.show(*line.of(&r.Gateway.Measures))
		if r.FanOut < line.fanOut || gateway == "" {
			continue
		}
		cells := []string{cmp.Or(line.show(*line.of(&r.Relay.Measures)), "-"), gateway, times(*line.of(&r.Ratio))}
		if r.Filled != nil {
			cells = append(cells, line.show(*line.of(&r.Filled.Measures)), times(*line.of(r.FilledRatio)))
		}
		t.row(line.name, cells...)
	}
	for _, line := range counts {
		if r.FanOut < line.fanOut {
			continue
		}
		cells := []string{number(line.of(&r.Relay.Counts)), number(line.of(&r.Gateway.Counts)), "-"}
		if r.Filled != nil {
			cells = append(cells, number(line.of(&r.Filled.Counts)), "-")
		}
		t.row(line.name, cells...)
	}
	if p := r.Pruning; p != nil {
		fmt.Fprintf(w, "pruning: the store used at most %.0f MiB in the first minute, %.0f MiB in the last; %.0f s of intake overdue at the end\n",
			p.FirstBytes/(1<<20), p.LastBytes/(1<<20), p.Overdue)
	}
}

// counts are the counts in the order in which they are shown, from a fan-out on.
var counts = []struct {
	name   string
	fanOut int
	of     func(*Counts) int64
}{
	{"lost", 1, func(c *Counts) int64 { return c.Lost }},
	{"repeated", 1, func(c *Counts) int64 { return c.Repeated }},
	{"unexpected", 0, func(c *Counts) int64 { return c.Unexpected }},
	{"refused (503)", 0, func(c *Counts) int64 { return c.Refused }},
}

// write writes what a filled store does without a load beside one with little in it.
func (f *Filled) write(w io.Writer, third string) {
	if f.DiskPerEvent > 0 {
		fmt.Fprintf(w, "stored events: %.0f bytes of JSON each on average, %.0f on disk with its delivery (%.2f)\n\n",
			f.JSONPerEvent, f.DiskPerEvent, f.DiskPerEvent/f.JSONPerEvent)
	}
	few := short(min(f.Stored, fewEvents)) + " stored"
	t := newTable(w, "start", few, third, "ratio")
	names := []string{"until ready", "until an event is delivered", "until what waits is attempted"}
	for i, v := range f.FewStart.all() {
		filled := *f.FilledStart.all()[i]
		if filled != 0 {
			t.row(names[i], known(duration)(*v), duration(filled), times(filled / *v))
		}
	}
	if len(f.Pages) == 0 {
		return
	}
	fmt.Fprintln(w)
	t = newTable(w, fmt.Sprintf("pages of %d, p50 and p99", pageItems), few, "p99", third, "p99", "ratio of p50")
	for _, p := range f.Pages {
		t.row(p.Name, duration(p.Few.P50), duration(p.Few.P99), duration(p.Filled.P50), duration(p.Filled.P99), times(p.Ratio))
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// times shows a ratio.
func times(v float64) string { return known(in("%.2f", 1))(v) }

// in shows values in units of unit.
func in(format string, unit float64) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(format, v/unit) }
}

// some shows nothing where there was nothing to measure.
func some(show func(float64) string) func(float64) string {
	return func(v float64) string {
		if v == 0 {
			return ""
		}
		return show(v)
	}
}

// known shows a dash where there was nothing to measure.
func known(show func(float64) string) func(float64) string {
	return func(v float64) string {
		if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
			return "-"
		}
		return show(v)
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
