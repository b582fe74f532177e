package bench

import (
	"math"
	"slices"
	"time"
)

// Measures are what one process did under one load, or the same divided by
// another's; the package comment defines each. CPU and memory are 0 where they
// cannot be measured (other than on Linux).
type Measures struct {
	AcknowledgedPerSecond float64 `json:"acknowledgedPerSecond"`
	DeliveredPerSecond    float64 `json:"deliveredPerSecond"`
	DeliveriesPerSecond   float64 `json:"deliveriesPerSecond"`
	AckP50                float64 `json:"ackP50Seconds"`
	AckP99                float64 `json:"ackP99Seconds"`
	DeliveryP50           float64 `json:"deliveryP50Seconds"`
	DeliveryP99           float64 `json:"deliveryP99Seconds"`
	CPUPer1000            float64 `json:"cpuSecondsPer1000,omitzero"`
	// DatabaseCPUPer1000 is the part of CPUPer1000 that the database server took.
	DatabaseCPUPer1000   float64 `json:"databaseCPUSecondsPer1000,omitzero"`
	CPUPer1000Deliveries float64 `json:"cpuSecondsPer1000Deliveries,omitzero"`
	PeakMemory           float64 `json:"peakMemoryBytes,omitzero"`
	// DiskPerEvent is by how many bytes the store grew for each event.
	DiskPerEvent float64 `json:"diskBytesPerEvent,omitzero"`
	// LoadCPUPer1000 is what load generator and sink took: that much of the
	// machine was not there for the process under test.
	LoadCPUPer1000 float64 `json:"loadCPUSecondsPer1000,omitzero"`
	// Others is the part of the machine, 0 to 1, that processes used which have
	// no part in the benchmark: it spoils the other figures.
	Others float64 `json:"othersShare,omitzero"`
}

func (m *Measures) all() []*float64 {
	return []*float64{
		&m.AcknowledgedPerSecond, &m.DeliveredPerSecond, &m.DeliveriesPerSecond, &m.AckP50, &m.AckP99,
		&m.DeliveryP50, &m.DeliveryP99, &m.CPUPer1000, &m.DatabaseCPUPer1000, &m.CPUPer1000Deliveries, &m.PeakMemory, &m.DiskPerEvent,
		&m.LoadCPUPer1000, &m.Others,
	}
}

// Counts are whole numbers of one or several phases: of events those that were
// acknowledged and refused, of deliveries the others.
type Counts struct {
	Acknowledged int64 `json:"acknowledged"`
	Delivered    int64 `json:"delivered"`
	Refused      int64 `json:"refused"`    // answered 503
	Lost         int64 `json:"lost"`       // answered 200, never arrived
	Repeated     int64 `json:"repeated"`   // arrivals after an event's first
	Unexpected   int64 `json:"unexpected"` // arrivals of what was never sent, or not there
}

func (c *Counts) add(other Counts) {
	c.Acknowledged += other.Acknowledged
	c.Delivered += other.Delivered
	c.Refused += other.Refused
	c.Lost += other.Lost
	c.Repeated += other.Repeated
	c.Unexpected += other.Unexpected
}

// Figures are what one process did under one load.
type Figures struct {
	Measures
	Counts
}

// figures computes the rates and latencies of the events from index from on. No
// loader may be running.
func (l *ledger) figures(from int64) Measures {
	var acks, deliveries []int64
	first, lastAck, lastArrival, delivered := int64(math.MaxInt64), int64(0), int64(0), 0
	for i := from; i < l.taken.Load(); i++ {
		first = min(first, l.sent[i])
		if at := l.acked[i]; at != 0 {
			acks = append(acks, at-l.sent[i])
			lastAck = max(lastAck, at)
		}
		of := l.deliveries(i)
		for d := range of {
			if at := of[d].Load(); at != 0 {
				deliveries = append(deliveries, at-l.sent[i])
				lastArrival = max(lastArrival, at)
			}
		}
		if l.fanOut > 0 && l.missing(i) == 0 {
			delivered++
		}
	}
	slices.Sort(acks)
	slices.Sort(deliveries)
	return Measures{
		AcknowledgedPerSecond: rate(len(acks), lastAck-first),
		DeliveredPerSecond:    rate(delivered, lastArrival-first),
		DeliveriesPerSecond:   rate(len(deliveries), lastArrival-first),
		AckP50:                seconds(percentile(acks, 50)),
		AckP99:                seconds(percentile(acks, 99)),
		DeliveryP50:           seconds(percentile(deliveries, 50)),
		DeliveryP99:           seconds(percentile(deliveries, 99)),
	}
}

// counts is complete only when nothing can arrive any more.
func (l *ledger) counts() Counts {
	c := Counts{
		Acknowledged: l.acknowledged(0),
		Delivered:    l.first.Load(), Refused: l.refused.Load(),
		Repeated: l.repeated.Load(), Unexpected: l.unexpected.Load(),
	}
	for i := range l.taken.Load() {
		if l.acked[i] != 0 {
			c.Lost += l.missing(i)
		}
	}
	return c
}

func rate(events int, nanoseconds int64) float64 {
	if events == 0 || nanoseconds <= 0 {
		return 0
	}
	return float64(events) / seconds(nanoseconds)
}

func seconds(nanoseconds int64) float64 { return time.Duration(nanoseconds).Seconds() }

// percentile is the smallest of the sorted values that at least p percent of
// them do not exceed (nearest rank); 0 of none. p is 1 to 100.
func percentile(sorted []int64, p int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// median is the middle value, or the mean of the two in the middle; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// measured is a set of measures.
type measured interface{ all() []*float64 }

// mediansOf sets each measure to the median of that measure in the rounds.
func mediansOf[M measured](into M, rounds []M) {
	for i, into := range into.all() {
		values := make([]float64, len(rounds))
		for j := range rounds {
			values[j] = *rounds[j].all()[i]
		}
		*into = median(values)
	}
}

// over divides each measure by the other's; 0 where the other's is 0.
func (m Measures) over(other Measures) Measures {
	var result Measures
	above, below := m.all(), other.all()
	for i, into := range result.all() {
		if *below[i] != 0 {
			*into = *above[i] / *below[i]
		}
	}
	// These two are about the measuring, not about the process.
	result.LoadCPUPer1000, result.Others = 0, 0
	return result
}
