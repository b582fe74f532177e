package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Write writes the report for people: a table for each number of connections,
// then the notes. Rates are whole numbers, ratios have two digits, durations
// are Go's.
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

func (r *Result) write(w io.Writer) {
	row := func(name, relay, gateway, ratio string) {
		fmt.Fprintf(w, "%-28s  %12s  %12s  %14s\n", name, relay, gateway, ratio)
	}
	row(strconv.Itoa(r.Connections)+" connections", relayName, gatewayName, "gateway/relay")
	names := []struct {
		name string
		show func(float64) string
	}{
		{"acknowledged events/s", whole}, {"delivered events/s", whole},
		{"ack p50", duration}, {"ack p99", duration},
		{"event to delivery p50", duration}, {"event to delivery p99", duration},
		{"CPU seconds per 1,000 events", func(v float64) string { return known(v, "%.3f", 1) }},
		{"peak memory, MiB", func(v float64) string { return known(v, "%.1f", 1<<20) }},
		{"load and sink, CPU s/1,000", func(v float64) string { return known(v, "%.3f", 1) }},
		{"used by other processes", func(v float64) string { return known(v, "%.0f%%", 0.01) }},
	}
	relay, gateway, ratio := r.Relay.all(), r.Gateway.all(), r.Ratio.all()
	for i, line := range names {
		row(line.name, line.show(*relay[i]), line.show(*gateway[i]), known(*ratio[i], "%.2f", 1))
	}
	for _, line := range []struct {
		name           string
		relay, gateway int64
	}{
		{"lost events", r.Relay.Lost, r.Gateway.Lost},
		{"repeated events", r.Relay.Repeated, r.Gateway.Repeated},
		{"unexpected events", r.Relay.Unexpected, r.Gateway.Unexpected},
		{"refused (503)", r.Relay.Refused, r.Gateway.Refused},
	} {
		row(line.name, strconv.FormatInt(line.relay, 10), strconv.FormatInt(line.gateway, 10), "-")
	}
}

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// known shows v in units of unit, or a dash where it was not measured.
func known(v float64, format string, unit float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v/unit)
}

// duration shows three digits.
func duration(s float64) string {
	d, step := time.Duration(s*float64(time.Second)), time.Nanosecond
	for d/step >= 1000 {
		step *= 10
	}
	return d.Round(step).String()
}
