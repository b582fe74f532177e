package postgres

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
)

// composer makes of a group what commit_group takes, at first as if every event
// were new, and again when the database names duplicates.
type composer struct {
	group *store.Group
	first []int            // for each event, the first of the group with its uuid
	known map[int]hook.Seq // what the store has already, by its place in the group
	taken [][]bool         // for each event and hook, whether the caller takes it
	lease int64            // of the first lease
	keys  []groupKey       // sorted

	// What fill makes of it.
	blocks blockRows
	work   workRows
	leases int // how many
	filter filterRows
	claims []store.Claim
	tally  tally
}

// groupKey is the dedupe key of an event of the group.
type groupKey struct {
	key   [16]byte
	event int
}

// The rows of a group's tables, a slice for each column. Blocks are named by
// their place, from 1.
type (
	blockRows struct {
		events              []int16
		summaries, payloads [][]byte
	}
	workRows struct {
		blocks               []int32
		hooks, masks, leases []int64
	}
	filterRows struct {
		blocks, slots []int32
		hooks         []int64
		details       [][]byte
	}
)

// compose finds the copies in a group, and asks its caller what he takes. This
// happens once, however often the group has to be tried.
func compose(g *store.Group) *composer {
	c := &composer{
		group: g, first: make([]int, len(g.Events)), known: make(map[int]hook.Seq),
		taken: make([][]bool, len(g.Events)), lease: newLease(),
	}
	type name struct {
		source int64
		uuid   string
	}
	seen := make(map[name]int, len(g.Events))
	for i, e := range g.Events {
		n := name{e.Source, e.UUID}
		if before, copied := seen[n]; copied {
			c.first[i] = before
			continue
		}
		seen[n], c.first[i] = i, i
		c.keys = append(c.keys, groupKey{dedupeKey(e.UUID), i})
		if g.Lease == nil {
			continue
		}
		c.taken[i] = make([]bool, len(e.Hooks))
		for j, number := range e.Hooks {
			c.taken[i][j] = g.Lease(number, e)
		}
	}
	slices.SortFunc(c.keys, func(a, b groupKey) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), cmp.Compare(g.Events[a.event].Source, g.Events[b.event].Source))
	})
	return c
}

// fill makes the rows. The events that are new get numbers whose block is its
// place in the group.
func (c *composer) fill() {
	g := c.group
	c.blocks, c.work, c.filter, c.claims, c.tally = blockRows{}, workRows{}, filterRows{}, c.claims[:0], tally{}
	c.leases = 0
	for number, add := range g.Counts {
		c.tally.source(number, add)
	}
	for _, r := range g.Rejected {
		c.tally.source(r.Source, hook.SourceCount{Rejected: 1})
	}
	block := pack.Block{ID: 1}
	owed := owing{}
	for i, e := range g.Events {
		if c.copied(i) {
			c.tally.source(e.Source, hook.SourceCount{Duplicates: 1})
			continue
		}
		if block.Full(len(e.JSON)) {
			c.closeBlock(&block, &owed)
		}
		e.Received = g.Received
		block.Add(&e.Event)
		c.tally.source(e.Source, hook.SourceCount{Received: 1})
		for j, number := range e.Hooks {
			c.tally.hook(number, hook.HookCount{Matched: 1})
			taken := c.taken[i] != nil && c.taken[i][j]
			owed.add(number, e.Seq.Slot(), taken)
			if taken {
				c.claims = append(c.claims, store.Claim{
					Key: hook.Key{Hook: number, Seq: e.Seq}, Event: &e.Event,
					Created: g.Received, Until: g.Received.Add(g.LeaseFor),
				})
			}
		}
		for _, failure := range e.FilterErrors {
			c.tally.hook(failure.Hook, hook.HookCount{FilterErrors: 1})
			c.filter.add(e.Seq, failure)
		}
	}
	c.closeBlock(&block, &owed)
}

// copied reports whether an event is not new.
func (c *composer) copied(event int) bool {
	_, known := c.known[c.first[event]]
	return known || c.first[event] != event
}

// closeBlock makes the rows of a block, if it holds anything, and begins the next.
func (c *composer) closeBlock(b *pack.Block, owed *owing) {
	if len(b.Events) == 0 {
		return
	}
	summary, payload := b.Encode(c.group.Received)
	c.blocks.events = append(c.blocks.events, int16(len(b.Events)))
	c.blocks.summaries = append(c.blocks.summaries, summary)
	c.blocks.payloads = append(c.blocks.payloads, payload)
	for i := range owed.rows {
		row := &owed.rows[i]
		if row.left != 0 {
			c.work.add(b.ID, row.hook, row.left, 0)
		}
		if row.taken != 0 {
			row.lease = c.lease + int64(c.leases)
			c.leases++
			c.work.add(b.ID, row.hook, row.taken, row.lease)
		}
	}
	for i := owed.claims; i < len(c.claims); i++ {
		claim := &c.claims[i]
		claim.Epoch = epochOf(owed.of(claim.Hook).lease, false, claim.Seq.Slot())
	}
	owed.rows, owed.claims = owed.rows[:0], len(c.claims)
	*b = pack.Block{ID: b.ID + 1}
}

// owing is what a block owes, while it is being filled.
type owing struct {
	rows   []owedRow
	claims int // the block's begin here
}

type owedRow struct {
	hook, lease int64
	left, taken uint64
}

// of returns a hook's row. There are a few hooks, seldom hundreds.
func (o *owing) of(number int64) *owedRow {
	for i := range o.rows {
		if o.rows[i].hook == number {
			return &o.rows[i]
		}
	}
	o.rows = append(o.rows, owedRow{hook: number})
	return &o.rows[len(o.rows)-1]
}

func (o *owing) add(number int64, slot int, taken bool) {
	row := o.of(number)
	if taken {
		row.taken |= 1 << slot
	} else {
		row.left |= 1 << slot
	}
}

func (w *workRows) add(block, number int64, mask uint64, lease int64) {
	w.blocks = append(w.blocks, int32(block))
	w.hooks = append(w.hooks, number)
	w.masks = append(w.masks, int64(mask))
	w.leases = append(w.leases, lease)
}

func (f *filterRows) add(at hook.Seq, failure store.FilterError) {
	f.blocks = append(f.blocks, int32(at.Block()))
	f.slots = append(f.slots, int32(at.Slot()))
	f.hooks = append(f.hooks, failure.Hook)
	f.details = append(f.details, []byte(failure.Detail))
}
