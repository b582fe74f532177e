package sqlite

import (
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// firstBlock is the number of the next block. A store that was filled from one
// in which numbers begin with the day goes on so: where it may move back to,
// retention goes by them.
func (s *Store) firstBlock(received time.Time) int64 {
	if s.nextBlock < 1<<pack.DayBits {
		return s.nextBlock
	}
	return max(s.nextBlock, pack.FirstOfDay(received))
}

// numbered notes that blocks from first up to next were written. What lies before
// first is full, however little it is.
func (s *Store) numbered(first, next int64) {
	if first == next {
		return
	}
	if first > s.nextBlock {
		s.digester.want(s.nextBlock / chunkBlocks)
	}
	for chunk := first / chunkBlocks; chunk < next/chunkBlocks; chunk++ {
		s.digester.want(chunk)
	}
	s.nextBlock = next
}

// insertBlock writes a block and returns how many bytes it takes.
func insertBlock(conn *sqlite.Conn, id int64, of *store.Group, b encodedBlock) (stored int, err error) {
	stmt := prep(conn, "INSERT INTO blocks (id, received, revision, summary, payload) VALUES (?, ?, ?, ?, ?)")
	stmt.BindInt64(1, id)
	stmt.BindInt64(2, micros(of.Received))
	stmt.BindInt64(3, of.Revision)
	stmt.BindBytes(4, b.summary)
	stmt.BindBytes(5, b.payload)
	return len(b.summary) + len(b.payload), run(stmt)
}

// loadBlock reads a block, with its events' JSON or without. It returns no
// events when there is no such block.
func loadBlock(conn *sqlite.Conn, id int64, withJSON bool) ([]hook.Event, error) {
	stmt := prep(conn, "SELECT received, summary, CASE WHEN ?2 THEN payload END FROM blocks WHERE id = ?1")
	stmt.BindInt64(1, id)
	stmt.BindBool(2, withJSON)
	var events []hook.Event
	err := each(stmt, func() (err error) {
		var sizes []int
		events, sizes, err = pack.Summary(id, fromMicros(stmt.ColumnInt64(0)), blob(stmt, 1))
		if err != nil || !withJSON {
			return err
		}
		if err := pack.Payload(blob(stmt, 2), events, sizes); err != nil {
			return fmt.Errorf("block %d: %w", id, err)
		}
		return nil
	})
	return events, err
}
