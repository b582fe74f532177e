package sqlite

import (
	"context"
	"math/bits"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
)

// CreateReplay keeps a replay; see store.Replays.
func (s *Store) CreateReplay(_ context.Context, r *store.Replay) error {
	return s.write(true, 1, func(conn *sqlite.Conn) (func(), error) {
		if s.deleted[r.Hook] {
			return nil, store.ErrNotFound
		}
		stmt := prep(conn, "INSERT INTO replays (id, hook, created, origin_hook, origin_replay) VALUES (?, ?, ?, ?, ?)")
		stmt.BindText(1, r.ID)
		stmt.BindInt64(2, r.Hook)
		stmt.BindInt64(3, micros(r.Created))
		stmt.BindInt64(4, r.OriginHook)
		stmt.BindInt64(5, r.OriginReplay)
		if err := run(stmt); err != nil {
			return nil, err
		}
		number := conn.LastInsertRowID()
		return func() { r.Number = number }, nil
	})
}

// AddToReplay owes events to a replay's hook; see store.Replays.
func (s *Store) AddToReplay(_ context.Context, r *store.Replay, events []hook.Seq, now time.Time) (added int, err error) {
	masks := make(map[int64]uint64)
	for _, seq := range events {
		masks[seq.Block()] |= 1 << seq.Slot()
	}
	err = s.write(true, 2+len(masks)/8, func(conn *sqlite.Conn) (func(), error) {
		added = 0
		if s.deleted[r.Hook] {
			return nil, store.ErrNotFound
		}
		changed := make(map[int64]func())
		for id, mask := range masks {
			n, err := oweAgain(conn, r, id, mask, now)
			if err != nil {
				return nil, err
			}
			added += n
			if chunk := id / chunkBlocks; n > 0 && changed[chunk] == nil {
				if changed[chunk], err = s.forgetDigest(conn, chunk); err != nil {
					return nil, err
				}
			}
		}
		var t tally
		t.hook(r.Hook, hook.HookCount{Matched: int64(added)})
		then, err := s.save(conn, t)
		return func() {
			then()
			for _, then := range changed {
				then()
			}
		}, err
	})
	return added, err
}

// oweAgain adds events of one block to a replay.
func oweAgain(conn *sqlite.Conn, r *store.Replay, id int64, mask uint64, now time.Time) (int, error) {
	there, err := loadBlock(conn, id, false)
	if err != nil {
		return 0, err
	}
	if len(there) < hook.BlockSlots {
		mask &= 1<<len(there) - 1
	}
	row, found, err := loadOwed(conn, id, r.Hook, r.Number)
	if err != nil {
		return 0, err
	}
	mask &^= row.matched
	if mask == 0 {
		return 0, nil
	}
	row.matched |= mask
	row.open |= mask
	if found {
		return bits.OnesCount64(mask), row.update(conn)
	}
	row.block, row.hook, row.replay, row.created = id, r.Hook, r.Number, now
	return bits.OnesCount64(mask), row.insert(conn)
}
