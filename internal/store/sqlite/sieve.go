package sqlite

import (
	"math"
	"math/bits"
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
	left int // of maxScan; the search counts its rows, the sieve its digests

	chunk  int64 // the one that the following is about
	read   bool  // it was looked for
	known  bool  // it has a digest
	spans  uint64
	newest int64 // when its last came, µs
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
		if err := s.look(hi / chunkBlocks); err != nil {
			return 0, 0, err
		}
		start := s.chunk * chunkBlocks
		if !s.known {
			there, err := newestUpTo(s.conn, hi)
			if err != nil || there >= start {
				return start, there, err
			}
			hi = there
			continue
		}
		if !s.owed && !s.since.IsZero() && s.newest < micros(s.since.Add(-setBack)) {
			return 1, 0, nil
		}
		if first, last, found := topRun(s.spans, int(hi-start)/spanBlocks); found {
			return start + int64(first)*spanBlocks, min(hi, start+int64(last+1)*spanBlocks-1), nil
		}
		hi = start - 1
	}
	return hi + 1, hi, nil
}

// topRun returns the highest run of bits that are set, among those up to top.
func topRun(spans uint64, top int) (first, last int, found bool) {
	spans &= math.MaxUint64 >> (63 - top)
	if spans == 0 {
		return 0, 0, false
	}
	last = bits.Len64(spans) - 1
	return last + 1 - bits.LeadingZeros64(^(spans << (63 - last))), last, true
}

// may reports whether a block may hold what is sought.
func (s *sieve) may(block int64) (bool, error) {
	if err := s.look(block / chunkBlocks); err != nil || !s.known {
		return true, err
	}
	return s.spans>>(block%chunkBlocks/spanBlocks)&1 != 0, nil
}

// look reads the digest of a chunk.
func (s *sieve) look(chunk int64) error {
	if s.read && s.chunk == chunk {
		return nil
	}
	s.chunk, s.read, s.known = chunk, true, false
	stmt := prep(s.conn, "SELECT body FROM digests WHERE chunk = ?")
	stmt.BindInt64(1, chunk)
	return each(stmt, func() error {
		s.known = true
		s.spans, s.newest = s.in(blob(stmt, 0))
		return nil
	})
}

// newestUpTo returns the newest block up to one, 0 when there is none.
func newestUpTo(conn *sqlite.Conn, block int64) (id int64, err error) {
	stmt := prep(conn, "SELECT max(id) FROM blocks WHERE id <= ?")
	stmt.BindInt64(1, block)
	err = each(stmt, func() error { id = stmt.ColumnInt64(0); return nil })
	return id, err
}
