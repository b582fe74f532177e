package sqlite

import (
	"math/bits"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// owedRow is what one block owes to one hook, once or as a replay.
type owedRow struct {
	block, hook, replay int64
	created             time.Time
	matched, open       uint64
	outcomes            []byte // see pack.AppendOutcome
}

func (r *owedRow) count() int { return bits.OnesCount64(r.matched) }

func (r *owedRow) key(slot int) hook.Key {
	return hook.Key{Hook: r.hook, Seq: hook.MakeSeq(r.block, slot), Replay: r.replay}
}

func (r *owedRow) insert(conn *sqlite.Conn) error {
	stmt := prep(conn, "INSERT INTO owed (block, hook, replay, created, matched, open, outcomes) VALUES (?, ?, ?, ?, ?, ?, ?)")
	stmt.BindInt64(1, r.block)
	stmt.BindInt64(2, r.hook)
	stmt.BindInt64(3, r.replay)
	stmt.BindInt64(4, micros(r.created))
	stmt.BindInt64(5, int64(r.matched))
	stmt.BindInt64(6, int64(r.open))
	stmt.BindBytes(7, r.outcomes)
	return run(stmt)
}

func (r *owedRow) update(conn *sqlite.Conn) error {
	stmt := prep(conn, "UPDATE owed SET matched = ?, open = ?, outcomes = ? WHERE block = ? AND hook = ? AND replay = ?")
	stmt.BindInt64(1, int64(r.matched))
	stmt.BindInt64(2, int64(r.open))
	stmt.BindBytes(3, r.outcomes)
	stmt.BindInt64(4, r.block)
	stmt.BindInt64(5, r.hook)
	stmt.BindInt64(6, r.replay)
	return run(stmt)
}

const owedColumns = "block, hook, replay, created, matched, open, outcomes"

func scanOwed(stmt *sqlite.Stmt) owedRow {
	return owedRow{
		block:    stmt.ColumnInt64(0),
		hook:     stmt.ColumnInt64(1),
		replay:   stmt.ColumnInt64(2),
		created:  fromMicros(stmt.ColumnInt64(3)),
		matched:  uint64(stmt.ColumnInt64(4)),
		open:     uint64(stmt.ColumnInt64(5)),
		outcomes: blob(stmt, 6),
	}
}

// loadOwed reads one row. found is false when there is none.
func loadOwed(conn *sqlite.Conn, block, number, replay int64) (r owedRow, found bool, err error) {
	stmt := prep(conn, "SELECT "+owedColumns+" FROM owed WHERE block = ? AND hook = ? AND replay = ?")
	stmt.BindInt64(1, block)
	stmt.BindInt64(2, number)
	stmt.BindInt64(3, replay)
	err = each(stmt, func() error { r, found = scanOwed(stmt), true; return nil })
	return r, found, err
}

// deliver settles a slot in place.
func (r *owedRow) deliver(slot int, a hook.Attempt) {
	r.open &^= 1 << slot
	r.outcomes = pack.AppendOutcome(r.outcomes, r.created, slot, a)
}
