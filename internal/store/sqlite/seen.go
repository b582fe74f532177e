package sqlite

import (
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// remember keeps the key of an event that is about to become seq. When the
// source has sent its uuid before, it returns that event's number instead.
func remember(conn *sqlite.Conn, key int64, e pack.Seen) (before hook.Seq, err error) {
	insert := prep(conn, "INSERT INTO seen (key, entries) VALUES (?, ?) ON CONFLICT DO NOTHING")
	insert.BindInt64(1, key)
	insert.BindBytes(2, pack.AppendSeen(make([]byte, 0, 48), e))
	if err := run(insert); err != nil {
		return 0, err
	}
	if conn.Changes() == 1 {
		return 0, nil
	}
	raw, err := seenEntries(conn, key)
	if err != nil {
		return 0, err
	}
	for _, other := range pack.ParseSeen(raw) {
		if other.Is(e.Source, e.UUID) {
			return other.Seq, nil
		}
	}
	update := prep(conn, "UPDATE seen SET entries = ? WHERE key = ?")
	update.BindBytes(1, pack.AppendSeen(raw, e))
	update.BindInt64(2, key)
	return 0, run(update)
}

// seenEntries returns the raw entries under a key, nil when there are none.
func seenEntries(conn *sqlite.Conn, key int64) ([]byte, error) {
	stmt := prep(conn, "SELECT entries FROM seen WHERE key = ?")
	stmt.BindInt64(1, key)
	var raw []byte
	err := each(stmt, func() error { raw = blob(stmt, 0); return nil })
	return raw, err
}
