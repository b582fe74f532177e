package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// Prune removes old events; see store.Keeper. It goes through the blocks from
// the oldest, and on from where it was at the next call, so that blocks that
// are still owed are not looked at over and over.
func (s *Store) Prune(_ context.Context, before time.Time, limit int) (removed int, more bool, err error) {
	err = s.write(false, 4+limit, func(conn *sqlite.Conn) (func(), error) {
		blocks, err := oldBlocks(conn, s.pruneFrom, limit, micros(before))
		if err != nil {
			return nil, err
		}
		removed, err = s.remove(conn, blocks)
		if err != nil {
			return nil, err
		}
		rejected, err := pruneRejected(conn, micros(before), limit)
		if err != nil {
			return nil, err
		}
		more = len(blocks) == limit || rejected == limit
		from := int64(0)
		if len(blocks) == limit {
			from = blocks[len(blocks)-1].id + 1
		} else if err := pruneHistory(conn); err != nil {
			return nil, err
		}
		return func() { s.pruneFrom = from }, nil
	})
	return removed, more, err
}

// lookAhead is how many of the oldest rows are looked at for those that are old
// enough. Rows are in the order in which they came, so what is not among the
// oldest is not old, unless the clock was set back meanwhile: then it goes once
// what came before it has aged. Without it, every look would read everything
// that is kept, while nobody else can write.
const lookAhead = 1024

// pruneRejected removes rejected bodies received before a time in microseconds.
func pruneRejected(conn *sqlite.Conn, before int64, limit int) (removed int, err error) {
	stmt := prep(conn, `DELETE FROM rejected WHERE id IN (
		SELECT id FROM (SELECT id, received FROM rejected ORDER BY id LIMIT +?3) WHERE received < +?1 LIMIT +?2)`)
	stmt.BindInt64(1, before)
	stmt.BindInt64(2, int64(limit))
	stmt.BindInt64(3, lookAhead)
	err = run(stmt)
	return conn.Changes(), err
}

// pruneHistory removes the revisions of hooks, the replays and the digests that
// no event is left of: those before the oldest block.
func pruneHistory(conn *sqlite.Conn) error {
	return errors.Join(
		run(prep(conn, `DELETE FROM revisions WHERE EXISTS (SELECT 1 FROM revisions AS next
			WHERE next.hook = revisions.hook AND next.revision > revisions.revision
			AND next.revision <= (SELECT revision FROM blocks ORDER BY id LIMIT 1))`)),
		run(prep(conn, "DELETE FROM replays WHERE created < (SELECT received FROM blocks ORDER BY id LIMIT 1)")),
		run(prep(conn, fmt.Sprintf("DELETE FROM digests WHERE chunk < (SELECT min(id) FROM blocks) / %d", chunkBlocks))),
		run(prep(conn, fmt.Sprintf("DELETE FROM volumes WHERE volume < (SELECT min(id) FROM blocks) / %d", volumeBlocks))))
}

// PruneOldest removes the oldest events that nobody is owed; see store.Keeper.
// It looks through the blocks in pieces, so that intake goes on between them.
func (s *Store) PruneOldest(_ context.Context, limit int) (removed int, err error) {
	for from, end := int64(0), false; removed == 0 && !end; {
		err = s.write(false, 4+limit, func(conn *sqlite.Conn) (func(), error) {
			blocks, err := oldBlocks(conn, from, limit, math.MaxInt64)
			if err != nil {
				return nil, err
			}
			before := int64(math.MaxInt64)
			if end = len(blocks) < limit; !end {
				last := blocks[len(blocks)-1]
				from, before = last.id+1, micros(last.received)
			}
			if removed, err = s.remove(conn, blocks); err != nil {
				return nil, err
			}
			rejected, err := pruneRejected(conn, before, limit)
			removed += rejected
			return nil, err
		})
		if err != nil {
			return 0, err
		}
	}
	return removed, nil
}

type oldBlock struct {
	id       int64
	received time.Time
}

// oldBlocks returns up to limit blocks from the given one on, received before a
// time in microseconds.
func oldBlocks(conn *sqlite.Conn, from int64, limit int, before int64) (blocks []oldBlock, err error) {
	stmt := prep(conn, `SELECT id, received FROM (SELECT id, received FROM blocks WHERE id >= +?1 ORDER BY id LIMIT +?4)
		WHERE received < +?2 ORDER BY id LIMIT +?3`) // the plus as in owedFirst
	stmt.BindInt64(1, from)
	stmt.BindInt64(2, before)
	stmt.BindInt64(3, int64(limit))
	stmt.BindInt64(4, lookAhead)
	err = each(stmt, func() error {
		blocks = append(blocks, oldBlock{stmt.ColumnInt64(0), fromMicros(stmt.ColumnInt64(1))})
		return nil
	})
	return blocks, err
}

// remove removes those blocks that nobody is owed anything of, and returns how
// many events they held. Their dedupe keys stay, and are noted for Forget.
func (s *Store) remove(conn *sqlite.Conn, blocks []oldBlock) (removed int, err error) {
	for _, b := range blocks {
		owed, err := s.isOwed(conn, b.id)
		if err != nil {
			return removed, err
		}
		if owed {
			continue
		}
		events, err := loadBlock(conn, b.id, false)
		if errors.Is(err, pack.ErrCorrupt) {
			// Its dedupe keys stay for ever: nothing else tells them.
			s.log.Error("the store is damaged: a block of old events is removed that cannot be read", "block", b.id, "error", err)
			removed++
		} else if err != nil {
			return removed, err
		} else if err := noteKeys(conn, b, events); err != nil {
			return removed, err
		}
		if err := deleteBlock(conn, b.id); err != nil {
			return removed, err
		}
		if b.id == s.nextBlock-1 {
			if err := keepLastBlock(conn, b.id); err != nil {
				return removed, err
			}
		}
		removed += len(events)
	}
	return removed, nil
}

func (s *Store) isOwed(conn *sqlite.Conn, id int64) (owed bool, err error) {
	stmt := prep(conn, `SELECT hook FROM owed WHERE block = ?1 AND open != 0
		UNION ALL SELECT hook FROM deliveries WHERE seq BETWEEN ?2 AND ?3 AND state = 0`)
	stmt.BindInt64(1, id)
	stmt.BindInt64(2, int64(hook.MakeSeq(id, 0)))
	stmt.BindInt64(3, int64(hook.MakeSeq(id, hook.BlockSlots-1)))
	err = each(stmt, func() error {
		owed = owed || !s.deleted[stmt.ColumnInt64(0)]
		return nil
	})
	if owed || err != nil {
		return owed, err
	}
	// A deleted hook's last attempt may still be under way.
	for number, held := range s.leases {
		if !s.deleted[number] {
			continue
		}
		for key := range held {
			if key.Seq.Block() == id {
				return true, nil
			}
		}
	}
	return false, nil
}

func noteKeys(conn *sqlite.Conn, b oldBlock, events []hook.Event) error {
	keys := make([]byte, 0, 8*len(events))
	for i := range events {
		keys = binary.BigEndian.AppendUint64(keys, uint64(pack.SeenKey(events[i].UUID)))
	}
	stmt := prep(conn, "INSERT INTO removed_keys (block, received, keys) VALUES (?, ?, ?)")
	stmt.BindInt64(1, b.id)
	stmt.BindInt64(2, micros(b.received))
	stmt.BindBytes(3, keys)
	return run(stmt)
}

// keepLastBlock notes the number of the newest block, which is removed: numbers
// go on after it, as deliveries elsewhere may still bear its events' numbers.
func keepLastBlock(conn *sqlite.Conn, id int64) error {
	stmt := prep(conn, "INSERT INTO meta (name, value) VALUES ('last_block', ?1) ON CONFLICT DO UPDATE SET value = ?1")
	stmt.BindInt64(1, id)
	return run(stmt)
}

func deleteBlock(conn *sqlite.Conn, id int64) error {
	for _, query := range []string{
		"DELETE FROM deliveries WHERE seq BETWEEN ?1 * 64 AND ?1 * 64 + 63",
		"DELETE FROM filter_errors WHERE seq BETWEEN ?1 * 64 AND ?1 * 64 + 63",
		"DELETE FROM owed WHERE block = ?1",
		"DELETE FROM blocks WHERE id = ?1",
	} {
		stmt := prep(conn, query)
		stmt.BindInt64(1, id)
		if err := run(stmt); err != nil {
			return err
		}
	}
	return nil
}

// keysAtOnce is about how many dedupe keys one transaction removes at most:
// each costs about 4 µs, while nobody else can write.
const keysAtOnce = 1024

// Forget removes old dedupe keys; see store.Keeper.
func (s *Store) Forget(_ context.Context, before time.Time, limit int) (more bool, err error) {
	err = s.write(false, 4*limit, func(conn *sqlite.Conn) (func(), error) {
		stmt := prep(conn, `SELECT block, keys FROM (SELECT block, received, keys FROM removed_keys ORDER BY block LIMIT +?3)
			WHERE received < +?1 ORDER BY block LIMIT +?2`)
		stmt.BindInt64(1, micros(before))
		stmt.BindInt64(2, int64(limit))
		stmt.BindInt64(3, lookAhead)
		gone, keys := make(map[int64][]byte), 0
		err := upTo(keysAtOnce, stmt, func() (int, error) {
			gone[stmt.ColumnInt64(0)] = blob(stmt, 1)
			keys += stmt.ColumnLen(1) / 8
			return stmt.ColumnLen(1) / 8, nil
		})
		if err != nil {
			return nil, err
		}
		for id, keys := range gone {
			for ; len(keys) >= 8; keys = keys[8:] {
				if err := forgetKey(conn, int64(binary.BigEndian.Uint64(keys)), id); err != nil {
					return nil, err
				}
			}
			remove := prep(conn, "DELETE FROM removed_keys WHERE block = ?")
			remove.BindInt64(1, id)
			if err := run(remove); err != nil {
				return nil, err
			}
		}
		more = len(gone) == limit || keys >= keysAtOnce
		return nil, nil
	})
	return more, err
}

// forgetKey removes the entries of one block from under a key.
func forgetKey(conn *sqlite.Conn, key, id int64) error {
	raw, err := seenEntries(conn, key)
	if err != nil {
		return err
	}
	var kept []byte
	for _, entry := range pack.ParseSeen(raw) {
		if entry.Seq.Block() != id {
			kept = pack.AppendSeen(kept, entry)
		}
	}
	if len(kept) == 0 {
		stmt := prep(conn, "DELETE FROM seen WHERE key = ?")
		stmt.BindInt64(1, key)
		return run(stmt)
	}
	stmt := prep(conn, "UPDATE seen SET entries = ? WHERE key = ?")
	stmt.BindBytes(1, kept)
	stmt.BindInt64(2, key)
	return run(stmt)
}

// Stats returns counters and size; see store.Reader.
func (s *Store) Stats(ctx context.Context) (stats store.Stats, err error) {
	s.mu.Lock()
	stats.Sources, stats.Hooks = maps.Clone(s.counts.sources), maps.Clone(s.counts.hooks)
	deleted := maps.Clone(s.deleted)
	s.mu.Unlock()
	stats.OldestOwed = make(map[int64]time.Time)
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		for number := range stats.Hooks {
			if deleted[number] {
				continue
			}
			at, err := oldestOwed(conn, number)
			if err != nil {
				return err
			}
			if !at.IsZero() {
				stats.OldestOwed[number] = at
			}
		}
		stmt := prep(conn, "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")
		return each(stmt, func() error { stats.Bytes = stmt.ColumnInt64(0); return nil })
	})
	return stats, err
}

func oldestOwed(conn *sqlite.Conn, number int64) (at time.Time, err error) {
	for _, query := range []string{
		owedFirst + " LIMIT 1",
		owedAgain + " LIMIT 1",
		"SELECT 0, 0, 0, created FROM deliveries WHERE hook = +? AND state = 0 ORDER BY created LIMIT 1",
	} {
		stmt := prep(conn, query)
		stmt.BindInt64(1, number)
		err := each(stmt, func() error {
			if created := fromMicros(stmt.ColumnInt64(3)); at.IsZero() || created.Before(at) {
				at = created
			}
			return nil
		})
		if err != nil {
			return at, err
		}
	}
	return at, nil
}
