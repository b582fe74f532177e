package postgres

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A chunk is 64 blocks with numbers next to each other: as many as a posting has
// bits.
const (
	chunkBits   = 6
	chunkBlocks = 1 << chunkBits
)

// term is what a posting is about; see postings in schema/1-tables.sql.
type term struct {
	of    int16
	thing int64
}

const (
	ofUnread = iota // blocks that could not be read: whoever searches is told
	ofType
	ofSource
	ofHook // that is owed something; thing 0 for any
)

func typeTerm(name string) term {
	h := fnv.New64a()
	h.Write([]byte(name))
	return term{ofType, int64(h.Sum64())}
}

// digest is what the events of a chunk tell a search.
type digest struct {
	chunk    int64
	received int64          // the first, µs
	in       map[term]int64 // the blocks, a bit each
}

func newDigest(chunk, received int64) *digest {
	return &digest{chunk, received, make(map[term]int64)}
}

func (d *digest) add(block, received int64, summary []byte) {
	bit := int64(1) << (block % chunkBlocks)
	d.received = min(d.received, received)
	events, _, damage := pack.Summary(block, fromMicros(received), summary)
	if damage != nil {
		d.in[term{ofUnread, 0}] |= bit
	}
	for i := range events {
		d.in[typeTerm(events[i].Type)] |= bit
		d.in[term{ofSource, events[i].Source}] |= bit
	}
}

// columns are the postings, a slice for each column.
func (d *digest) columns() (of []int16, things, blocks []int64) {
	for t, in := range d.in {
		of, things, blocks = append(of, t.of), append(things, t.thing), append(blocks, in)
	}
	return of, things, blocks
}

// One process makes digests, beside intake. It says so every digestAsk, and if it
// says nothing for digestTenure, another does it. It rests digestRest times as
// long as each takes, so that a store that has none yet can work meanwhile: what
// comes in as fast as it can needs a tenth of the time.
const (
	digestDuty   = "digests"
	digestAsk    = 10 * time.Second
	digestTenure = 3 * digestAsk
	digestRest   = 3
)

// digestSoon has digests made that are missing, beside the caller.
func (c *cluster) digestSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.digesting && c.ctx.Err() == nil {
		c.digesting = true
		c.work.Go(c.digest)
	}
	select {
	case c.wakeUp <- struct{}{}:
	default:
	}
}

// digest makes the digests that are missing, whenever it is woken and this
// process has the duty. Searches do without what fails here.
func (c *cluster) digest() {
	var asked time.Time
	held, failed := false, false
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wakeUp:
		}
		var err error
		for more := true; more && err == nil; {
			began := time.Now()
			if time.Since(asked) > digestAsk {
				held, err = c.store.Lead(c.ctx, digestDuty, digestTenure)
				asked = began
			}
			if more = held && err == nil; more {
				more, err = c.store.makeDigest(c.ctx)
			}
			if more {
				select {
				case <-c.ctx.Done():
				case <-time.After(digestRest * time.Since(began)):
				}
			}
		}
		if err != nil && !failed && c.ctx.Err() == nil {
			c.store.log.Warn("digests cannot be made; searches take longer until they are", "error", err)
		}
		failed = err != nil
	}
}

// makeDigest makes the digest of the next chunk that has none, if it can no
// longer change.
func (s *Store) makeDigest(ctx context.Context) (made bool, err error) {
	var d *digest
	err = s.call(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		last, digested, err := s.horizon(ctx, conn)
		if err == nil {
			d, err = nextDigest(ctx, conn, digested, (last+1)>>chunkBits<<chunkBits)
		}
		return err
	})
	if err != nil || d == nil {
		return false, err
	}
	of, things, blocks := d.columns()
	err = s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, "SELECT make_digest($1, $2, $3, $4, $5)", d.chunk, d.received, of, things, blocks)
		return err
	})
	return err == nil, err
}

// nextDigest reads the first chunk that has blocks from first on and before end.
func nextDigest(ctx context.Context, db querier, first, end int64) (*digest, error) {
	rows, err := db.Query(ctx, "SELECT id, received, summary FROM blocks WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 64", first, end)
	if err != nil {
		return nil, err
	}
	var d *digest
	var id, received int64
	var summary []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &received, &summary}, func() error {
		if d == nil {
			d = newDigest(id>>chunkBits, received)
		}
		if id>>chunkBits == d.chunk {
			d.add(id, received, summary)
		}
		return nil
	})
	return d, err
}

// digestedQuery asks for the first block that no digest tells of.
const digestedQuery = "SELECT coalesce(max(chunk) + 1, 0) << 6 FROM digests"
