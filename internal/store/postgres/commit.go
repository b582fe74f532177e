package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxTries bounds how often a group is tried: every time but the last, another
// commit has brought in some of its events just before, or a day's partitions
// were missing.
const maxTries = 30

// daysAhead is for how many days to come partitions are made.
const daysAhead = 3

// Commit keeps a group; see store.Intake.
func (s *Store) Commit(ctx context.Context, g *store.Group) ([]store.Claim, error) {
	c := compose(g)
	var ids, rejected []int64
	sent := false
	err := s.writeNow(ctx, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		sent = true
		c.fill()
		for range maxTries {
			var answer committed
			err = s.tryCommit(ctx, conn, c, &answer)
			switch {
			case err == nil && answer.status == 0:
				ids, rejected = answer.ids, answer.rejected
				return nil
			case err == nil && answer.status == 1:
				return store.ErrRevision
			case err == nil:
				c.leaveOut(answer.dup, answer.dupSeq)
				c.fill()
			case code(err) == checkViolation:
				if _, err := conn.Exec(ctx, "SELECT make_days_ahead($1)", daysAhead); err != nil {
					return err
				}
			case code(err) != uniqueViolation && code(err) != deadlock:
				return err
			}
		}
		return fmt.Errorf("the same events are committed by too many at once: %w", err)
	})
	if err != nil {
		if sent && !answered(err) && c.leases > 0 {
			s.unknown.add(c.lease, c.leases)
		}
		return nil, err
	}
	c.number(ids, rejected)
	if n := len(ids); n > 0 && s.chunk.Swap(ids[n-1]>>chunkBits) != ids[n-1]>>chunkBits {
		s.cluster.digestSoon()
	}
	return c.claims, nil
}

// committed is what commit_group answers.
type committed struct {
	status        int32
	ids, rejected []int64
	dup, dupSeq   []int64
}

func (s *Store) tryCommit(ctx context.Context, conn *pgxpool.Conn, c *composer, answer *committed) error {
	g := c.group
	var keys [][16]byte
	var sources []int64
	var blocks, slots []int32
	for _, k := range c.keys {
		e := g.Events[k.event]
		keys, sources = append(keys, k.key), append(sources, e.Source)
		blocks, slots = append(blocks, int32(e.Seq.Block())), append(slots, int32(e.Seq.Slot()))
	}
	rejected := rejectedRows(g.Rejected)
	kinds, numbers, values := c.tally.rows()
	return conn.QueryRow(ctx, `SELECT * FROM commit_group($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
		$16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)`,
		s.tag, g.Revision, micros(g.Received),
		keys, sources, blocks, slots,
		c.blocks.events, c.blocks.summaries, c.blocks.payloads,
		c.work.blocks, c.work.hooks, c.work.masks, c.work.leases, g.LeaseFor.Microseconds(), s.node.Load(),
		c.filter.blocks, c.filter.slots, c.filter.hooks, c.filter.details,
		rejected.sources, rejected.reasons, rejected.details, rejected.sizes, rejected.raws,
		kinds, numbers, values,
	).Scan(&answer.status, &answer.ids, &answer.rejected, &answer.dup, &answer.dupSeq)
}

// leaveOut notes which events the store has already, by the places of their keys
// from 1.
func (c *composer) leaveOut(places, seqs []int64) {
	for i, place := range places {
		c.known[c.keys[place-1].event] = hook.Seq(seqs[i])
	}
	c.keys = slices.DeleteFunc(c.keys, func(k groupKey) bool { _, known := c.known[k.event]; return known })
}

type rejectedColumns struct {
	sources       []int64
	reasons       []string
	details, raws [][]byte
	sizes         []int32
}

func rejectedRows(list []*store.Rejected) (c rejectedColumns) {
	for _, r := range list {
		c.sources = append(c.sources, r.Source)
		c.reasons = append(c.reasons, string(r.Reason))
		c.details = append(c.details, []byte(r.Detail))
		c.sizes = append(c.sizes, int32(len(r.Raw)))
		c.raws = append(c.raws, pack.Compress(r.Raw))
	}
	return c
}

// number gives events, claims and what was rejected their numbers.
func (c *composer) number(ids, rejected []int64) {
	g := c.group
	real := func(placed hook.Seq) hook.Seq { return hook.MakeSeq(ids[placed.Block()-1], placed.Slot()) }
	for i, e := range g.Events {
		e.Received, e.Duplicate = g.Received, c.copied(i)
		first := c.first[i]
		switch seq, known := c.known[first]; {
		case known:
			e.Seq = seq
		case first == i:
			e.Seq = real(e.Seq)
		default:
			e.Seq = g.Events[first].Seq // which has its number already
		}
	}
	for i := range c.claims {
		c.claims[i].Seq = c.claims[i].Event.Seq
	}
	for i, r := range g.Rejected {
		r.ID, r.Received, r.Size = rejected[i], g.Received, len(r.Raw)
	}
}

// unknownLeases are those of calls whose end is not known: maybe nobody has
// them, and they must not be waited for.
type unknownLeases struct {
	mu   sync.Mutex
	list []leaseRange
}

// leaseRange are leases whose numbers follow each other.
type leaseRange struct{ first, end int64 }

// maxUnknown bounds the list: what has no room ends by its time.
const maxUnknown = 100

func (u *unknownLeases) add(first int64, count int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := len(u.list) - 1; last >= 0 && first >= u.list[last].first && first <= u.list[last].end {
		u.list[last].end = max(u.list[last].end, first+int64(count))
		return
	}
	if len(u.list) < maxUnknown {
		u.list = append(u.list, leaseRange{first, first + int64(count)})
	}
}

func (u *unknownLeases) any() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.list) > 0
}

// release gives them back.
func (u *unknownLeases) release(ctx context.Context, conn *pgxpool.Conn) error {
	u.mu.Lock()
	list := u.list
	u.list = nil
	u.mu.Unlock()
	for i, r := range list {
		if _, err := conn.Exec(ctx, "SELECT release($1, $2)", r.first, r.end); err != nil {
			u.mu.Lock()
			u.list = append(list[i:], u.list...)
			u.mu.Unlock()
			return err
		}
	}
	return nil
}
