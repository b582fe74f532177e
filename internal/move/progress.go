package move

import (
	"context"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Phase is what a copy is at.
type Phase string

// The phases.
const (
	Copying   Phase = "copying"
	Verifying Phase = "verifying"
)

// Progress is how far a copy has come.
type Progress struct {
	Phase Phase
	Kind  store.Kind // of the items that are dealt with now
	// Items of Total of this kind are done. Total was right at the beginning.
	Items, Total int64
	// Events are how many events this phase has dealt with, and Elapsed is its
	// time, in this run.
	Events  int64
	Elapsed time.Duration
	// Left is about how long the phase still takes, 0 when nobody knows.
	Left time.Duration
}

// tellEvery is how often Progress is told, unless the Options say.
const tellEvery = 200 * time.Millisecond

// weights are about what items of a kind cost, in a unit of its own; 1 when they
// are not listed.
var weights = map[store.Kind]int64{
	store.KindBlock: 60, store.KindOwed: 3, store.KindDelivery: 3, store.KindRemoved: 3, store.KindRejected: 3,
}

func weight(kind store.Kind) int64 { return max(1, weights[kind]) }

// meter watches a copy.
type meter struct {
	tell    func(Progress)
	every   time.Duration
	total   map[store.Kind]int64
	done    map[store.Kind]int64
	now     Progress
	started time.Time
	told    time.Time
	work    int64 // done in this phase and run
	left    int64
}

func (o *Options) newMeter(ctx context.Context, after store.Mark) (m *meter, err error) {
	m = &meter{tell: o.Progress, every: o.every, done: make(map[store.Kind]int64)}
	if m.total, err = o.From.Count(ctx); err != nil {
		return nil, name(o.FromName, err)
	}
	m.begin(Copying)
	if after != (store.Mark{}) {
		if m.done, err = o.To.Count(ctx); err != nil {
			return nil, name(o.ToName, err)
		}
		for kind, n := range m.done {
			m.left -= n * weight(kind)
		}
	}
	return m, nil
}

// begin begins a phase.
func (m *meter) begin(p Phase) {
	clear(m.done)
	m.now, m.work, m.left = Progress{Phase: p}, 0, 0
	for kind, n := range m.total {
		m.left += n * weight(kind)
	}
	m.started, m.told = time.Now(), time.Time{}
}

// add notes that items are done.
func (m *meter) add(items ...store.Item) {
	for _, item := range items {
		m.now.Kind = item.Mark().Kind
		m.done[m.now.Kind]++
		m.work += weight(m.now.Kind)
		if block, ok := item.(*store.BlockItem); ok {
			m.now.Events += int64(block.Events)
		}
	}
	at := time.Now()
	if at.Sub(m.told) < m.every {
		return
	}
	m.told = at
	m.now.Elapsed = at.Sub(m.started)
	m.now.Items, m.now.Total = m.done[m.now.Kind], max(m.total[m.now.Kind], m.done[m.now.Kind])
	if left := m.left - m.work; left > 0 && m.work > 0 {
		m.now.Left = time.Duration(float64(m.now.Elapsed) / float64(m.work) * float64(left))
	} else {
		m.now.Left = 0
	}
	m.tell(m.now)
}
