package sqlite

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"
)

// maxScan bounds the rows that one call of a list looks at; the caller is told
// that more may follow.
const maxScan = 20_000

// setBack is by how much the clock may have been set back without a listing
// since some time missing events: blocks are in the order of their commits.
const setBack = time.Hour

// sieve leads a search through the blocks, the newest first, past those that
// cannot hold what is sought.
type sieve struct {
	conn *sqlite.Conn
	sought
	left          int // of maxScan; the search counts its rows, the sieve its digests
	chunk, volume part
}

func newSieve(conn *sqlite.Conn, q sought) *sieve {
	return &sieve{conn: conn, sought: q, left: maxScan}
}

// next returns the run of blocks that is to be searched next, from ≤ to ≤ hi.
// There is none when from > to: none at all with left above 0, and none up to
// now, to go on from to later, without.
func (s *sieve) next(hi int64) (from, to int64, err error) {
	if s.sought == (sought{owed: s.owed}) {
		return 0, hi, nil
	}
	for ; hi > 0 && s.left > 0; s.left-- {
		if err := s.volume.look(s.conn, digestOfVolume, hi/volumeBlocks, &s.sought); err != nil {
			return 0, 0, err
		}
		if s.volume.known {
			if s.ended(&s.volume) {
				return 1, 0, nil
			}
			_, chunk, found := topRun(s.volume.parts, int(hi%volumeBlocks/chunkBlocks))
			if !found {
				hi = s.volume.number*volumeBlocks - 1
				continue
			}
			hi = min(hi, s.volume.number*volumeBlocks+int64(chunk+1)*chunkBlocks-1)
		}
		if err := s.chunk.look(s.conn, digestOfChunk, hi/chunkBlocks, &s.sought); err != nil {
			return 0, 0, err
		}
		start := s.chunk.number * chunkBlocks
		if !s.chunk.known {
			there, err := newestUpTo(s.conn, hi)
			if err != nil || there >= start {
				return start, there, err
			}
			hi = there
			continue
		}
		if s.ended(&s.chunk) {
			return 1, 0, nil
		}
		if first, last, found := topRun(s.chunk.parts, int(hi-start)); found {
			return start + int64(first), start + int64(last), nil
		}
		hi = start - 1
	}
	return hi + 1, hi, nil
}

// ended reports whether nothing that is sought came so early.
func (s *sieve) ended(p *part) bool {
	return !s.owed && !s.since.IsZero() && p.newest < micros(s.since.Add(-setBack))
}

// topRun returns the highest run of bits that are set, among those up to top.
func topRun(parts uint64, top int) (first, last int, found bool) {
	parts &= math.MaxUint64 >> (63 - top)
	if parts == 0 {
		return 0, 0, false
	}
	last = bits.Len64(parts) - 1
	return last + 1 - bits.LeadingZeros64(^(parts << (63 - last))), last, true
}

// may reports whether a block may hold what is sought.
func (s *sieve) may(block int64) (bool, error) {
	if err := s.chunk.look(s.conn, digestOfChunk, block/chunkBlocks, &s.sought); err != nil || !s.chunk.known {
		return true, err
	}
	return s.chunk.parts>>(block%chunkBlocks)&1 != 0, nil
}

// part is what a search has learnt of one chunk or volume.
type part struct {
	number int64
	read   bool   // its digest was looked for
	known  bool   // it has one
	parts  uint64 // where it may be
	newest int64  // when its last came, µs
	body   []byte // room for the digest
}

const (
	digestOfChunk  = "SELECT body FROM digests WHERE chunk = ?"
	digestOfVolume = "SELECT body FROM volumes WHERE volume = ?"
)

// look reads a digest by one of the queries above, unless it was the last.
func (p *part) look(conn *sqlite.Conn, query string, number int64, q *sought) error {
	if p.read && p.number == number {
		return nil
	}
	p.number, p.read, p.known = number, true, false
	stmt := prep(conn, query)
	stmt.BindInt64(1, number)
	return each(stmt, func() error {
		p.known = true
		p.body = slices.Grow(p.body[:0], stmt.ColumnLen(0))
		p.body = p.body[:stmt.ColumnBytes(0, p.body[:stmt.ColumnLen(0)])]
		p.parts, p.newest = q.in(p.body)
		return nil
	})
}

// newestUpTo returns the newest block up to one, 0 when there is none.
func newestUpTo(conn *sqlite.Conn, block int64) (id int64, err error) {
	stmt := prep(conn, "SELECT id FROM blocks WHERE id <= +? ORDER BY id DESC LIMIT 1")
	stmt.BindInt64(1, block)
	err = each(stmt, func() error { id = stmt.ColumnInt64(0); return nil })
	return id, err
}
