package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// hookState are the hooks as one statement saw them.
type hookState struct {
	hooks             []hook.EventHook // that are not deleted, oldest first
	deleted           []string         // ids
	revision, changes int64
}

func loadHooks(ctx context.Context, db querier) (state hookState, err error) {
	rows, err := db.Query(ctx, `SELECT r.changes, r.revision, h.number, h.id, h.deleted, h.revision, h.doc,
			h.hold_reason, h.hold_since, h.hold_total, h.hold_recheck, h.hold_changes
		FROM registry r LEFT JOIN hooks h ON true ORDER BY h.number`)
	if err != nil {
		return state, err
	}
	var number, revision, since, total, recheck, changes *int64
	var id, doc, reason *string
	var deleted *bool
	into := []any{&state.changes, &state.revision, &number, &id, &deleted, &revision, &doc, &reason, &since, &total, &recheck, &changes}
	_, err = pgx.ForEachRow(rows, into, func() error {
		if number == nil {
			return nil // there are none
		}
		if *deleted {
			state.deleted = append(state.deleted, *id)
			return nil
		}
		var h hook.EventHook
		err := json.Unmarshal([]byte(*doc), &h)
		h.Number, h.Revision = *number, *revision
		h.Hold = hook.Hold{
			Reason: hook.Reason(*reason), Since: fromMicros(*since),
			Total: time.Duration(*total) * time.Microsecond, Recheck: fromMicros(*recheck), Changes: *changes,
		}
		state.hooks = append(state.hooks, h)
		return err
	})
	return state, err
}

// EventHooks returns every hook and their revision; see store.Registry.
func (s *Store) EventHooks(ctx context.Context) (hooks []hook.EventHook, revision int64, err error) {
	err = s.call(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		state, err := loadHooks(ctx, conn)
		hooks, revision = state.hooks, state.revision
		return err
	})
	return hooks, revision, err
}

// HookIDs returns the ids of all hooks; see store.Registry.
func (s *Store) HookIDs(ctx context.Context) (map[int64]string, error) {
	ids := make(map[int64]string)
	err := s.call(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return readNames(ctx, conn, "SELECT number, id FROM hooks", ids)
	})
	return ids, err
}

// CreateEventHook keeps a hook; see store.Registry.
func (s *Store) CreateEventHook(ctx context.Context, h *hook.EventHook, guard func(others []hook.EventHook) error) error {
	return s.change(ctx, func(ctx context.Context, conn *pgxpool.Conn) (func() error, error) {
		state, err := loadHooks(ctx, conn)
		if err != nil {
			return nil, err
		}
		if err := guard(state.hooks); err != nil {
			return nil, err
		}
		if slices.Contains(state.deleted, h.ID) || state.find(h.ID) >= 0 {
			return nil, store.ErrExists
		}
		kept := *h
		if kept.Number = 0; kept.Blocked() != "" {
			kept.Hold.Since = h.Created
		}
		return func() error {
			if err := s.saveHook(ctx, conn, state, &kept, h.Created); err != nil {
				return err
			}
			*h = kept
			return nil
		}, nil
	})
}

func (state *hookState) find(id string) int {
	return slices.IndexFunc(state.hooks, func(h hook.EventHook) bool { return h.ID == id })
}

// UpdateEventHook changes a hook; see store.Registry.
func (s *Store) UpdateEventHook(ctx context.Context, id string, now time.Time, change func(*hook.EventHook, []hook.EventHook) error) (h hook.EventHook, err error) {
	err = s.change(ctx, func(ctx context.Context, conn *pgxpool.Conn) (func() error, error) {
		state, err := loadHooks(ctx, conn)
		if err != nil {
			return nil, err
		}
		at := state.find(id)
		if at < 0 {
			return nil, store.ErrNotFound
		}
		h = state.hooks[at]
		before := h.Hold
		if err := change(&h, slices.Delete(state.hooks, at, at+1)); err != nil {
			return nil, err
		}
		if h.Hold.Reason == "" {
			h.Hold.Recheck = time.Time{}
		}
		h.Hold = clockHold(before, h.Hold, h.Blocked() != "", now)
		return func() error { return s.saveHook(ctx, conn, state, &h, now) }, nil
	})
	return h, err
}

// clockHold sets the clock of a hold that has become next: it runs while the
// hook is blocked.
func clockHold(before, next hook.Hold, blocked bool, now time.Time) hook.Hold {
	next.Changes = before.Changes + 1
	switch {
	case blocked && before.Since.IsZero():
		next.Since = now
	case !blocked && !before.Since.IsZero():
		next.Total, next.Since = before.Clock(now), time.Time{}
	}
	return next
}

// saveHook writes a hook as a new revision, and sets its numbers. The history of
// a hook tells what it wanted, not where it delivered: no old secrets are kept.
func (s *Store) saveHook(ctx context.Context, conn *pgxpool.Conn, state hookState, h *hook.EventHook, at time.Time) error {
	past := *h
	past.Sealed = nil
	pastDoc, err := json.Marshal(&past)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(h)
	if err != nil {
		return err
	}
	text := string(pastDoc)
	return s.writeHook(ctx, conn, state, h, at, &text, string(doc))
}

func (s *Store) writeHook(ctx context.Context, conn *pgxpool.Conn, state hookState, h *hook.EventHook, at time.Time, past *string, doc string) error {
	var number, revision *int64
	err := conn.QueryRow(ctx, "SELECT * FROM save_hook($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		state.changes, s.node.Load(), h.Number, h.ID, micros(at), past, doc,
		string(h.Hold.Reason), micros(h.Hold.Since), h.Hold.Total.Microseconds(), micros(h.Hold.Recheck), h.Hold.Changes,
	).Scan(&number, &revision)
	if err != nil {
		return err
	}
	if number == nil {
		return errChanged
	}
	h.Number, h.Revision = *number, *revision
	return nil
}

// DeleteEventHook deletes a hook; see store.Registry. Readers show what waits
// for it as cancelled from then on, and Prune moves it to the history.
func (s *Store) DeleteEventHook(ctx context.Context, id string, now time.Time, guard func(hook.EventHook) error) error {
	return s.change(ctx, func(ctx context.Context, conn *pgxpool.Conn) (func() error, error) {
		state, err := loadHooks(ctx, conn)
		if err != nil {
			return nil, err
		}
		at := state.find(id)
		if at < 0 {
			return nil, store.ErrNotFound
		}
		h := state.hooks[at]
		if err := guard(h); err != nil {
			return nil, err
		}
		return func() error { return s.writeHook(ctx, conn, state, &h, now, nil, "{}") }, nil
	})
}

// Hold puts a hook on hold; see store.Registry.
func (s *Store) Hold(ctx context.Context, number int64, reason hook.Reason, now, recheck time.Time) (hold hook.Hold, err error) {
	err = s.change(ctx, func(ctx context.Context, conn *pgxpool.Conn) (func() error, error) {
		state, err := loadHooks(ctx, conn)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(state.hooks, func(h hook.EventHook) bool { return h.Number == number })
		if at < 0 {
			return nil, store.ErrNotFound
		}
		h := state.hooks[at]
		before := h.Hold
		h.Hold.Reason, h.Hold.Recheck = reason, recheck
		hold = clockHold(before, h.Hold, h.Blocked() != "", now)
		return func() error {
			var done bool
			err := conn.QueryRow(ctx, "SELECT save_hold($1, $2, $3, $4, $5, $6, $7, $8)", state.changes, s.node.Load(), number,
				string(hold.Reason), micros(hold.Since), hold.Total.Microseconds(), micros(hold.Recheck), hold.Changes).Scan(&done)
			if err == nil && !done {
				err = errChanged
			}
			return err
		}, nil
	})
	return hold, err
}
