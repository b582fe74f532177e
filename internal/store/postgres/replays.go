package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5/pgxpool"
)

// CreateReplay keeps a replay; see store.Replays.
func (s *Store) CreateReplay(ctx context.Context, r *store.Replay) error {
	var number *int64
	err := s.write(ctx, adminTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "SELECT create_replay($1, $2, $3, $4, $5)",
			r.ID, r.Hook, micros(r.Created), r.OriginHook, r.OriginReplay).Scan(&number)
	})
	if err == nil && number == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return err
	}
	r.Number = *number
	return nil
}

// AddToReplay owes events to a replay's hook; see store.Replays.
func (s *Store) AddToReplay(ctx context.Context, r *store.Replay, events []hook.Seq, now time.Time) (int, error) {
	owed := make(map[int64]int64)
	for _, seq := range events {
		owed[seq.Block()] |= 1 << seq.Slot()
	}
	blocks := slices.AppendSeq(make([]int64, 0, len(owed)), maps.Keys(owed))
	slices.Sort(blocks)
	masks := make([]int64, len(blocks))
	for i, id := range blocks {
		masks[i] = owed[id]
	}
	var added *int64
	err := s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "SELECT add_to_replay($1, $2, $3, $4, $5)", r.Number, r.Hook, micros(now), blocks, masks).Scan(&added)
	})
	switch {
	case err != nil:
		return 0, err
	case added == nil:
		return 0, store.ErrNotFound
	default:
		return int(*added), nil
	}
}
