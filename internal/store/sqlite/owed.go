package sqlite

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"zombiezen.com/go/sqlite"
)

// owedRow is what one block owes to one hook, once or as a replay.
//
// outcomes holds an entry for every slot that went through at its first
// attempt: the slot, then the attempt's start in ms after created (zigzag), its
// duration in µs, and its status.
type owedRow struct {
	block, hook, replay int64
	created             time.Time
	matched, open       uint64
	outcomes            []byte
}

func (r *owedRow) count() int { return bits.OnesCount64(r.matched) }

func (r *owedRow) key(slot int) hook.Key {
	return hook.Key{Hook: r.hook, Seq: hook.MakeSeq(r.block, slot), Replay: r.replay}
}

func (r *owedRow) insert(conn *sqlite.Conn) error {
	stmt := conn.Prep("INSERT INTO owed (block, hook, replay, created, matched, open, outcomes) VALUES (?, ?, ?, ?, ?, ?, ?)")
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
	stmt := conn.Prep("UPDATE owed SET matched = ?, open = ?, outcomes = ? WHERE block = ? AND hook = ? AND replay = ?")
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
	stmt := conn.Prep("SELECT " + owedColumns + " FROM owed WHERE block = ? AND hook = ? AND replay = ?")
	stmt.BindInt64(1, block)
	stmt.BindInt64(2, number)
	stmt.BindInt64(3, replay)
	err = each(stmt, func() error { r, found = scanOwed(stmt), true; return nil })
	return r, found, err
}

// deliver settles a slot in place.
func (r *owedRow) deliver(slot int, a hook.Attempt) {
	r.open &^= 1 << slot
	r.outcomes = append(r.outcomes, byte(slot))
	r.outcomes = binary.AppendVarint(r.outcomes, a.At.Sub(r.created).Milliseconds())
	r.outcomes = binary.AppendUvarint(r.outcomes, uint64(max(0, a.Duration.Microseconds())))
	r.outcomes = binary.AppendUvarint(r.outcomes, uint64(a.Status))
}

// delivered returns the attempts that settled slots in place, by slot.
func (r *owedRow) delivered() map[int]hook.Attempt {
	attempts := make(map[int]hook.Attempt, r.count())
	c := cutter{b: r.outcomes}
	for len(c.b) > 0 && !c.bad {
		slot := int(c.b[0])
		c.b = c.b[1:]
		a := hook.Attempt{
			At:       r.created.Add(time.Duration(c.varint()) * time.Millisecond),
			Duration: time.Duration(c.uvarint()) * time.Microsecond,
			Status:   int(c.uvarint()),
		}
		if c.bad || slot >= hook.BlockSlots {
			break // damaged; whoever looks for the slot will tell
		}
		attempts[slot] = a
	}
	return attempts
}

// slots calls f for every slot in mask, the lowest first, until it returns false.
func slots(mask uint64, f func(slot int) bool) {
	for ; mask != 0; mask &= mask - 1 {
		if !f(bits.TrailingZeros64(mask)) {
			return
		}
	}
}
