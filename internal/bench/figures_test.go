package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(i + 1)
	}
	for _, c := range []struct {
		sorted []int64
		p      int
		want   int64
	}{
		{nil, 50, 0},
		{[]int64{7}, 1, 7},
		{[]int64{7}, 100, 7},
		{[]int64{1, 2}, 50, 1},
		{[]int64{1, 2}, 51, 2},
		{[]int64{1, 2, 3}, 50, 2},
		{[]int64{1, 2, 3}, 99, 3},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred[:99], 99, 99},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("p%d of %d values: %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		before := len(c.values)
		if got := median(c.values); got != c.want || len(c.values) != before {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// TestFigures works out by hand four events after one of the warm-up: one is
// refused, one is delivered though not acknowledged, one is lost.
func TestFigures(t *testing.T) {
	l := newLedger(newEventID(1), 10, 1)
	ms := int64(time.Millisecond)
	for _, e := range []struct{ sent, acked, arrived int64 }{
		{1, 2, 3},
		{1000, 1010, 1100},
		{1000, 0, 0},
		{1500, 0, 2000},
		{1800, 2000, 0},
		{1900, 1930, 5000},
	} {
		i, _ := l.take(10)
		l.sent[i], l.acked[i] = e.sent*ms, e.acked*ms
		l.arrived[i].Store(e.arrived * ms)
	}
	got := l.figures(1)
	want := Measures{
		AcknowledgedPerSecond: 3, DeliveredPerSecond: 0.75, DeliveriesPerSecond: 0.75,
		AckP50: 0.030, AckP99: 0.200, DeliveryP50: 0.5, DeliveryP99: 3.1,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if lost := l.counts().Lost; lost != 1 {
		t.Errorf("%d lost, want 1", lost)
	}
	if got := l.figures(6); got != (Measures{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestRoundsAreCondensed(t *testing.T) {
	figures := func(rate, memory float64, lost int64) Figures {
		return Figures{Measures: Measures{DeliveredPerSecond: rate, PeakMemory: memory}, Counts: Counts{Delivered: 10, Lost: lost}}
	}
	r := Result{Load: Load{64, 1}, Each: []Round{
		{Relay: figures(100, 5, 0), Gateway: figures(50, 7, 1)},
		{Relay: figures(200, 4, 0), Gateway: figures(60, 9, 0)},
		{Relay: figures(110, 3, 0), Gateway: figures(44, 8, 2)},
	}}
	r.condense()
	if r.Relay.DeliveredPerSecond != 110 || r.Gateway.DeliveredPerSecond != 50 {
		t.Errorf("medians %v and %v, want 110 and 50", r.Relay.DeliveredPerSecond, r.Gateway.DeliveredPerSecond)
	}
	// The ratios are 0.5, 0.3 and 0.4: not the ratio of the medians.
	if math.Abs(r.Ratio.DeliveredPerSecond-0.4) > 1e-9 {
		t.Errorf("ratio %v, want 0.4", r.Ratio.DeliveredPerSecond)
	}
	if r.Relay.PeakMemory != 5 || r.Gateway.PeakMemory != 9 {
		t.Errorf("peaks %v and %v, want the largest", r.Relay.PeakMemory, r.Gateway.PeakMemory)
	}
	if r.Gateway.Lost != 3 || r.Gateway.Delivered != 30 {
		t.Errorf("counts %+v, want sums", r.Gateway.Counts)
	}
	if notes := r.doubts(100); len(notes) != 1 {
		t.Errorf("notes %q, want one on the relay's spread", notes)
	}
	if notes := r.doubts(138); len(notes) != 2 || !strings.Contains(notes[0], "not to be quoted") {
		t.Errorf("notes %q, want one on the rate that was expected too", notes)
	}
	if notes := (&Result{Load: Load{64, 10}, Relay: r.Relay, Each: r.Each}).doubts(138); len(notes) != 1 {
		t.Errorf("notes %q: the rate expected at a fan-out of 1 was held against one of 10", notes)
	}
	r.Each[1].Gateway.Others = 0.3
	if notes := r.doubts(100); len(notes) != 2 || !strings.Contains(notes[1], "30 %") {
		t.Errorf("notes %q, want one on the others' share too", notes)
	}
	if (&Report{Results: []Result{r}}).Err() == nil {
		t.Error("3 lost events are no error")
	}
	if err := (&Report{Results: []Result{{Relay: r.Gateway, Gateway: r.Relay}}}).Err(); err != nil {
		t.Errorf("the relay's losses are the gateway's: %v", err)
	}
}
