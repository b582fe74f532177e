package sqlite

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// Commit keeps a group; see store.Intake.
func (s *Store) Commit(_ context.Context, g *store.Group) ([]store.Claim, error) {
	var claims []store.Claim
	ready := prepare(g)
	err := s.write(true, 8+len(g.Events)/8, func(conn *sqlite.Conn) (func(), error) {
		if g.Revision != s.revision {
			return nil, store.ErrRevision
		}
		first := s.firstBlock(g.Received)
		w := groupWriter{conn: conn, group: g, ready: ready, block: pack.Block{ID: first}}
		if err := w.events(); err != nil {
			return nil, err
		}
		if err := w.rejected(); err != nil {
			return nil, err
		}
		for number, add := range g.Counts {
			w.tally.source(number, add)
		}
		then, err := s.save(conn, w.tally)
		if err != nil {
			return nil, err
		}
		return func() {
			then()
			s.numbered(first, w.block.ID)
			s.unflushed += w.stored / 4096
			claims = s.grant(w.claims, g)
		}, nil
	})
	return claims, err
}

// grant leases fresh deliveries to whoever committed them.
func (s *Store) grant(claims []store.Claim, g *store.Group) []store.Claim {
	until := g.Received.Add(g.LeaseFor)
	for i := range claims {
		s.epoch++
		claims[i].Epoch, claims[i].Until = s.epoch, until
		s.leases.set(claims[i].Key, lease{epoch: s.epoch, until: until})
	}
	return claims
}

// prepared is what can be done of a group before the store is locked: the
// dedupe keys of its events, and its blocks as they will be, by their first
// event, if nothing in the group turns out to be a duplicate.
type prepared struct {
	keys   []int64
	blocks map[*hook.Event]encodedBlock
}

type encodedBlock struct {
	events           []*hook.Event
	summary, payload []byte
}

func prepare(g *store.Group) prepared {
	p := prepared{keys: make([]int64, len(g.Events)), blocks: make(map[*hook.Event]encodedBlock, 1+len(g.Events)/hook.BlockSlots)}
	var b pack.Block
	keep := func() {
		if len(b.Events) > 0 {
			p.blocks[b.Events[0]] = encode(&b, g.Received)
		}
		b = pack.Block{}
	}
	for i, e := range g.Events {
		p.keys[i] = pack.SeenKey(e.UUID)
		if b.Full(len(e.JSON)) {
			keep()
		}
		b.Add(&e.Event)
	}
	keep()
	return p
}

func encode(b *pack.Block, received time.Time) encodedBlock {
	e := encodedBlock{events: b.Events}
	e.summary, e.payload = b.Encode(received)
	return e
}

// groupWriter writes one group in one transaction.
type groupWriter struct {
	conn   *sqlite.Conn
	group  *store.Group
	ready  prepared
	block  pack.Block
	owed   map[int64]uint64 // of the block being filled, by hook
	claims []store.Claim
	tally  tally
	stored int // bytes of events and rejected bodies, compressed
}

func (w *groupWriter) events() error {
	w.owed = make(map[int64]uint64)
	for i, e := range w.group.Events {
		if w.block.Full(len(e.JSON)) {
			if err := w.closeBlock(); err != nil {
				return err
			}
		}
		next := hook.MakeSeq(w.block.ID, len(w.block.Events))
		before, err := remember(w.conn, w.ready.keys[i], pack.Seen{Source: e.Source, Seq: next, UUID: e.UUID})
		if err != nil {
			return err
		}
		e.Received = w.group.Received
		e.Duplicate = before != 0
		if e.Duplicate {
			e.Seq = before
			w.tally.source(e.Source, hook.SourceCount{Duplicates: 1})
			continue
		}
		w.tally.source(e.Source, hook.SourceCount{Received: 1})
		w.block.Add(&e.Event)
		w.owe(e)
		if err := w.filterErrors(e); err != nil {
			return err
		}
	}
	return w.closeBlock()
}

// owe notes the deliveries of an event that has just joined the block.
func (w *groupWriter) owe(e *store.Event) {
	for _, number := range e.Hooks {
		w.owed[number] |= 1 << e.Seq.Slot()
		if w.group.Lease == nil || !w.group.Lease(number, e) {
			continue
		}
		w.claims = append(w.claims, store.Claim{
			Key:     hook.Key{Hook: number, Seq: e.Seq},
			Event:   &e.Event,
			Created: w.group.Received,
		})
	}
}

func (w *groupWriter) filterErrors(e *store.Event) error {
	for _, failure := range e.FilterErrors {
		w.tally.hook(failure.Hook, hook.HookCount{FilterErrors: 1})
		stmt := prep(w.conn, "INSERT INTO filter_errors (seq, hook, detail) VALUES (?, ?, ?)")
		stmt.BindInt64(1, int64(e.Seq))
		stmt.BindInt64(2, failure.Hook)
		stmt.BindText(3, failure.Detail)
		if err := run(stmt); err != nil {
			return err
		}
	}
	return nil
}

// closeBlock writes the block, if it holds anything, and begins the next.
func (w *groupWriter) closeBlock() error {
	if len(w.block.Events) == 0 {
		return nil
	}
	encoded, ok := w.ready.blocks[w.block.Events[0]]
	if !ok || !slices.Equal(encoded.events, w.block.Events) {
		encoded = encode(&w.block, w.group.Received)
	}
	stored, err := insertBlock(w.conn, w.block.ID, w.group, encoded)
	if err != nil {
		return err
	}
	w.stored += stored
	for number, matched := range w.owed {
		row := owedRow{block: w.block.ID, hook: number, created: w.group.Received, matched: matched, open: matched}
		if err := row.insert(w.conn); err != nil {
			return err
		}
		w.tally.hook(number, hook.HookCount{Matched: int64(row.count())})
	}
	clear(w.owed)
	w.block = pack.Block{ID: w.block.ID + 1}
	return nil
}

func (w *groupWriter) rejected() error {
	for _, r := range w.group.Rejected {
		raw := pack.Compress(r.Raw)
		w.stored += len(raw)
		stmt := prep(w.conn, "INSERT INTO rejected (source, received, reason, detail, size, raw) VALUES (?, ?, ?, ?, ?, ?)")
		stmt.BindInt64(1, r.Source)
		stmt.BindInt64(2, micros(w.group.Received))
		stmt.BindText(3, string(r.Reason))
		stmt.BindText(4, r.Detail)
		stmt.BindInt64(5, int64(len(r.Raw)))
		stmt.BindBytes(6, raw)
		if err := run(stmt); err != nil {
			return err
		}
		r.ID, r.Received, r.Size = w.conn.LastInsertRowID(), w.group.Received, len(r.Raw)
		w.tally.source(r.Source, hook.SourceCount{Rejected: 1})
	}
	return nil
}

// Count adds to the counters; see store.Intake.
func (s *Store) Count(_ context.Context, counts map[int64]hook.SourceCount) error {
	return s.write(false, 1, func(conn *sqlite.Conn) (func(), error) {
		return s.save(conn, tally{sources: maps.Clone(counts)})
	})
}
