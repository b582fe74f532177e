package sqlite

import (
	"encoding/binary"
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
)

// key checks that an event's dedupe key leads to it.
func (c *checker) key(e *hook.Event) error {
	raw, err := seenEntries(c.conn, pack.SeenKey(e.UUID))
	if err != nil {
		return err
	}
	where := fmt.Sprintf("event %d", e.Seq)
	for _, entry := range pack.ParseSeen(raw) {
		if !entry.Is(e.Source, e.UUID) {
			continue
		}
		if entry.Seq != e.Seq {
			c.report.Add(store.FaultKey, where, "its dedupe key is that of event %d", entry.Seq)
		}
		return nil
	}
	c.report.Add(store.FaultKey, where, "it has no dedupe key: it would be kept again if it came again")
	return nil
}

// keys checks that every dedupe key will be forgotten one day.
func (c *checker) keys() error {
	// One after the other is mostly of the same block.
	known, there := int64(0), true
	stmt := prep(c.conn, "SELECT key, entries FROM seen")
	err := each(stmt, func() error {
		key, raw := stmt.ColumnInt64(0), blob(stmt, 1)
		where := fmt.Sprintf("key %d", key)
		var again []byte
		for _, entry := range pack.ParseSeen(raw) {
			again = pack.AppendSeen(again, entry)
			if id := entry.Seq.Block(); id != known {
				var err error
				if there, err = c.keysKnown(id); err != nil {
					return err
				}
				known = id
			}
			if !there {
				c.report.Add(store.FaultKey, where, "event %d is gone, and nothing tells when its key is to go", entry.Seq)
			}
		}
		if len(again) != len(raw) || len(raw) == 0 {
			c.report.Add(store.FaultKey, where, "it cannot be read")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.removedKeys()
}

// keysKnown reports whether a block is kept, or its keys are noted.
func (c *checker) keysKnown(id int64) (there bool, err error) {
	stmt := prep(c.conn, "SELECT EXISTS (SELECT 1 FROM blocks WHERE id = ?1) OR EXISTS (SELECT 1 FROM removed_keys WHERE block = ?1)")
	stmt.BindInt64(1, id)
	err = each(stmt, func() error { there = stmt.ColumnBool(0); return nil })
	return there, err
}

// removedKeys checks what is noted of blocks that were removed.
func (c *checker) removedKeys() error {
	stmt := prep(c.conn, "SELECT block, keys, EXISTS (SELECT 1 FROM blocks WHERE id = block) FROM removed_keys")
	return each(stmt, func() error {
		id, keys := stmt.ColumnInt64(0), blob(stmt, 1)
		if stmt.ColumnBool(2) {
			c.report.Add(store.FaultKey, block(id), "its dedupe keys are noted as those of a block that was removed, but it is there")
		}
		if len(keys)%8 != 0 {
			c.report.Add(store.FaultKey, block(id), "it was removed, and its dedupe keys cannot be read")
			return nil
		}
		for ; len(keys) > 0; keys = keys[8:] {
			raw, err := seenEntries(c.conn, int64(binary.BigEndian.Uint64(keys)))
			if err != nil {
				return err
			}
			found := false
			for _, entry := range pack.ParseSeen(raw) {
				found = found || entry.Seq.Block() == id
			}
			if !found {
				c.report.Add(store.FaultKey, block(id), "it was removed, and a dedupe key of it with it: its event would be kept again if it came again")
			}
		}
		return nil
	})
}
