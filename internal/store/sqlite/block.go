package sqlite

import (
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// insertBlock writes a block and returns how many bytes it takes.
func insertBlock(conn *sqlite.Conn, b *pack.Block, received time.Time, revision int64) (stored int, err error) {
	summary, payload := b.Encode(received)
	stmt := conn.Prep("INSERT INTO blocks (id, received, revision, summary, payload) VALUES (?, ?, ?, ?, ?)")
	stmt.BindInt64(1, b.ID)
	stmt.BindInt64(2, micros(received))
	stmt.BindInt64(3, revision)
	stmt.BindBytes(4, summary)
	stmt.BindBytes(5, payload)
	return len(summary) + len(payload), run(stmt)
}

// loadBlock reads a block, with its events' JSON or without. It returns no
// events when there is no such block.
func loadBlock(conn *sqlite.Conn, id int64, withJSON bool) ([]hook.Event, error) {
	stmt := conn.Prep("SELECT received, summary, CASE WHEN ?2 THEN payload END FROM blocks WHERE id = ?1")
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
