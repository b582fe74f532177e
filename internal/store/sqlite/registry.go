package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
)

// Sources returns every source; see store.Registry.
func (s *Store) Sources(ctx context.Context) (sources []hook.Source, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		stmt := prep(conn, "SELECT number, doc FROM sources WHERE NOT deleted ORDER BY number")
		return each(stmt, func() error {
			source, err := scanSource(stmt)
			sources = append(sources, source)
			return err
		})
	})
	return sources, err
}

func scanSource(stmt *sqlite.Stmt) (source hook.Source, err error) {
	err = json.Unmarshal(blob(stmt, 1), &source)
	source.Number = stmt.ColumnInt64(0)
	return source, err
}

// CreateSource keeps a source; see store.Registry.
func (s *Store) CreateSource(_ context.Context, source *hook.Source) error {
	return s.write(true, 1, func(conn *sqlite.Conn) (func(), error) {
		doc, err := json.Marshal(source)
		if err != nil {
			return nil, err
		}
		stmt := prep(conn, "INSERT INTO sources (name, doc) VALUES (?, ?) ON CONFLICT DO NOTHING")
		stmt.BindText(1, source.Name)
		stmt.BindText(2, string(doc))
		if err := run(stmt); err != nil {
			return nil, err
		}
		if conn.Changes() == 0 {
			return nil, store.ErrExists
		}
		number := conn.LastInsertRowID()
		return func() { source.Number = number }, nil
	})
}

// UpdateSource changes a source; see store.Registry.
func (s *Store) UpdateSource(_ context.Context, name string, change func(*hook.Source) error) (source hook.Source, err error) {
	err = s.write(true, 1, func(conn *sqlite.Conn) (func(), error) {
		source, err = sourceByName(conn, name)
		if err != nil {
			return nil, err
		}
		if err := change(&source); err != nil {
			return nil, err
		}
		doc, err := json.Marshal(&source)
		if err != nil {
			return nil, err
		}
		stmt := prep(conn, "UPDATE sources SET doc = ? WHERE number = ?")
		stmt.BindText(1, string(doc))
		stmt.BindInt64(2, source.Number)
		return nil, run(stmt)
	})
	return source, err
}

func sourceByName(conn *sqlite.Conn, name string) (source hook.Source, err error) {
	stmt := prep(conn, "SELECT number, doc FROM sources WHERE name = ? AND NOT deleted")
	stmt.BindText(1, name)
	err = each(stmt, func() (err error) { source, err = scanSource(stmt); return err })
	if err == nil && source.Number == 0 {
		err = store.ErrNotFound
	}
	return source, err
}

// DeleteSource ends a source; see store.Registry.
func (s *Store) DeleteSource(_ context.Context, name string) error {
	return s.write(true, 1, func(conn *sqlite.Conn) (func(), error) {
		stmt := prep(conn, "UPDATE sources SET deleted = 1 WHERE name = ? AND NOT deleted")
		stmt.BindText(1, name)
		if err := run(stmt); err != nil {
			return nil, err
		}
		if conn.Changes() == 0 {
			return nil, store.ErrNotFound
		}
		return nil, nil
	})
}

// EventHooks returns every hook and their revision; see store.Registry.
func (s *Store) EventHooks(ctx context.Context) (hooks []hook.EventHook, revision int64, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) (err error) {
		stmt := prep(conn, "SELECT coalesce(max(revision), 0) FROM revisions")
		if err := each(stmt, func() error { revision = stmt.ColumnInt64(0); return nil }); err != nil {
			return err
		}
		hooks, err = loadHooks(conn)
		return err
	})
	return hooks, revision, err
}

const hookColumns = "number, revision, doc, hold_reason, hold_since, hold_total, hold_recheck, hold_changes"

func loadHooks(conn *sqlite.Conn) (hooks []hook.EventHook, err error) {
	stmt := prep(conn, "SELECT "+hookColumns+" FROM hooks WHERE NOT deleted ORDER BY number")
	err = each(stmt, func() error {
		h, err := scanHook(stmt)
		hooks = append(hooks, h)
		return err
	})
	return hooks, err
}

// snapshot is the hooks there were when the store was not locked yet: to decode
// hundreds of them takes milliseconds, in which no event could be kept.
type snapshot struct {
	hooks  []hook.EventHook
	change int64 // s.hookChanges before they were read
}

func (s *Store) snapshot(ctx context.Context) (before snapshot, err error) {
	s.mu.Lock()
	before.change = s.hookChanges
	s.mu.Unlock()
	err = s.read(ctx, func(conn *sqlite.Conn) (err error) {
		before.hooks, err = loadHooks(conn)
		return err
	})
	return before, err
}

// now returns the hooks there are, for one use, with the store locked.
func (before *snapshot) now(s *Store, conn *sqlite.Conn) ([]hook.EventHook, error) {
	if before.change == s.hookChanges {
		return before.hooks, nil
	}
	return loadHooks(conn)
}

func scanHook(stmt *sqlite.Stmt) (h hook.EventHook, err error) {
	err = json.Unmarshal(blob(stmt, 2), &h)
	h.Number, h.Revision = stmt.ColumnInt64(0), stmt.ColumnInt64(1)
	h.Hold = hook.Hold{
		Reason:  hook.Reason(stmt.ColumnText(3)),
		Since:   fromMicros(stmt.ColumnInt64(4)),
		Total:   time.Duration(stmt.ColumnInt64(5)) * time.Microsecond,
		Recheck: fromMicros(stmt.ColumnInt64(6)),
		Changes: stmt.ColumnInt64(7),
	}
	return h, err
}

// HookIDs returns the ids of all hooks; see store.Registry.
func (s *Store) HookIDs(ctx context.Context) (map[int64]string, error) {
	ids := make(map[int64]string)
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		stmt := prep(conn, "SELECT number, id FROM hooks")
		return each(stmt, func() error { ids[stmt.ColumnInt64(0)] = stmt.ColumnText(1); return nil })
	})
	return ids, err
}

// SourceNames returns the names of all sources; see store.Registry.
func (s *Store) SourceNames(ctx context.Context) (map[int64]string, error) {
	names := make(map[int64]string)
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		stmt := prep(conn, "SELECT number, name FROM sources")
		return each(stmt, func() error { names[stmt.ColumnInt64(0)] = stmt.ColumnText(1); return nil })
	})
	return names, err
}

// CreateEventHook keeps a hook; see store.Registry.
func (s *Store) CreateEventHook(ctx context.Context, h *hook.EventHook, guard func(others []hook.EventHook) error) error {
	before, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	return s.write(true, 2, func(conn *sqlite.Conn) (func(), error) {
		others, err := before.now(s, conn)
		if err != nil {
			return nil, err
		}
		if err := guard(others); err != nil {
			return nil, err
		}
		kept := *h
		if kept.Blocked() != "" {
			kept.Hold.Since = h.Created
		}
		stmt := prep(conn, "INSERT INTO hooks (id, revision, doc) VALUES (?, 0, '') ON CONFLICT DO NOTHING")
		stmt.BindText(1, h.ID)
		if err := run(stmt); err != nil {
			return nil, err
		}
		if conn.Changes() == 0 {
			return nil, store.ErrExists
		}
		kept.Number = conn.LastInsertRowID()
		if err := saveHook(conn, &kept, h.Created); err != nil {
			return nil, err
		}
		return func() {
			*h, s.revision = kept, kept.Revision
			s.hookChanges++
		}, nil
	})
}

// UpdateEventHook changes a hook; see store.Registry.
func (s *Store) UpdateEventHook(ctx context.Context, id string, now time.Time, change func(*hook.EventHook, []hook.EventHook) error) (h hook.EventHook, err error) {
	snapshot, err := s.snapshot(ctx)
	if err != nil {
		return h, err
	}
	err = s.write(true, 2, func(conn *sqlite.Conn) (func(), error) {
		hooks, err := snapshot.now(s, conn)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(hooks, func(h hook.EventHook) bool { return h.ID == id })
		if at < 0 {
			return nil, store.ErrNotFound
		}
		h = hooks[at]
		before := h.Hold
		if err := change(&h, slices.Delete(hooks, at, at+1)); err != nil {
			return nil, err
		}
		if h.Hold.Reason == "" {
			h.Hold.Recheck = time.Time{}
		}
		h.Hold = clockHold(before, h.Hold, h.Blocked() != "", now)
		if err := saveHook(conn, &h, now); err != nil {
			return nil, err
		}
		return func() {
			s.revision = h.Revision
			s.hookChanges++
		}, nil
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

// saveHook writes a hook as a new revision. The history of a hook tells what it
// wanted, not where it delivered: no old secrets are kept.
func saveHook(conn *sqlite.Conn, h *hook.EventHook, at time.Time) error {
	past := *h
	past.Sealed = nil
	doc, err := json.Marshal(&past)
	if err != nil {
		return err
	}
	if h.Revision, err = newRevision(conn, h.Number, at, doc); err != nil {
		return err
	}
	if doc, err = json.Marshal(h); err != nil {
		return err
	}
	stmt := prep(conn, "UPDATE hooks SET revision = ?, doc = ? WHERE number = ?")
	stmt.BindInt64(1, h.Revision)
	stmt.BindText(2, string(doc))
	stmt.BindInt64(3, h.Number)
	return errors.Join(run(stmt), saveHold(conn, h.Number, h.Hold))
}

func newRevision(conn *sqlite.Conn, number int64, at time.Time, doc []byte) (int64, error) {
	stmt := prep(conn, "INSERT INTO revisions (hook, at, doc) VALUES (?, ?, ?)")
	stmt.BindInt64(1, number)
	stmt.BindInt64(2, micros(at))
	if doc == nil {
		stmt.BindNull(3)
	} else {
		stmt.BindText(3, string(doc))
	}
	err := run(stmt)
	return conn.LastInsertRowID(), err
}

func saveHold(conn *sqlite.Conn, number int64, h hook.Hold) error {
	stmt := prep(conn, "UPDATE hooks SET hold_reason = ?, hold_since = ?, hold_total = ?, hold_recheck = ?, hold_changes = ? WHERE number = ?")
	stmt.BindText(1, string(h.Reason))
	stmt.BindInt64(2, micros(h.Since))
	stmt.BindInt64(3, h.Total.Microseconds())
	stmt.BindInt64(4, micros(h.Recheck))
	stmt.BindInt64(5, h.Changes)
	stmt.BindInt64(6, number)
	return run(stmt)
}

// DeleteEventHook deletes a hook; see store.Registry.
func (s *Store) DeleteEventHook(_ context.Context, id string, now time.Time, guard func(hook.EventHook) error) error {
	return s.write(true, 2, func(conn *sqlite.Conn) (func(), error) {
		h, err := hookBy(conn, "id = ?", func(stmt *sqlite.Stmt) { stmt.BindText(1, id) })
		if err != nil {
			return nil, err
		}
		if err := guard(h); err != nil {
			return nil, err
		}
		revision, err := newRevision(conn, h.Number, now, nil)
		if err != nil {
			return nil, err
		}
		stmt := prep(conn, "UPDATE hooks SET deleted = 1, revision = ?, doc = '{}' WHERE number = ?")
		stmt.BindInt64(1, revision)
		stmt.BindInt64(2, h.Number)
		if err := run(stmt); err != nil {
			return nil, err
		}
		// What is being attempted now will be counted when it settles. A lease
		// that has ended must not, as its delivery is counted now.
		sending := int64(0)
		var ended []hook.Key
		for key, l := range s.leases[h.Number] {
			if l.until.After(now) {
				sending++
			} else {
				ended = append(ended, key)
			}
		}
		var t tally
		t.hook(h.Number, hook.HookCount{Cancelled: s.counts.hooks[h.Number].Waiting() - sending})
		then, err := s.save(conn, t)
		return func() {
			then()
			s.deleted[h.Number], s.revision = true, revision
			s.hookChanges++
			for _, key := range ended {
				s.leases.drop(key)
			}
		}, err
	})
}

func hookBy(conn *sqlite.Conn, where string, bind func(*sqlite.Stmt)) (h hook.EventHook, err error) {
	stmt := prep(conn, "SELECT "+hookColumns+" FROM hooks WHERE NOT deleted AND "+where)
	bind(stmt)
	err = each(stmt, func() (err error) { h, err = scanHook(stmt); return err })
	if err == nil && h.Number == 0 {
		err = store.ErrNotFound
	}
	return h, err
}

// Hold puts a hook on hold; see store.Registry.
func (s *Store) Hold(_ context.Context, number int64, reason hook.Reason, now, recheck time.Time) (hold hook.Hold, err error) {
	err = s.write(true, 1, func(conn *sqlite.Conn) (func(), error) {
		h, err := hookBy(conn, "number = ?", func(stmt *sqlite.Stmt) { stmt.BindInt64(1, number) })
		if err != nil {
			return nil, err
		}
		before := h.Hold
		h.Hold.Reason, h.Hold.Recheck = reason, recheck
		hold = clockHold(before, h.Hold, h.Blocked() != "", now)
		return func() { s.hookChanges++ }, saveHold(conn, number, hold)
	})
	return hold, err
}

// Canary returns the canary; see store.Registry.
func (s *Store) Canary(ctx context.Context) (sealed []byte, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		stmt := prep(conn, "SELECT value FROM meta WHERE name = 'canary'")
		return each(stmt, func() error { sealed = blob(stmt, 0); return nil })
	})
	return sealed, err
}

// SetCanary keeps the canary; see store.Registry.
func (s *Store) SetCanary(_ context.Context, sealed []byte) error {
	return s.write(true, 1, func(conn *sqlite.Conn) (func(), error) {
		stmt := prep(conn, "INSERT INTO meta (name, value) VALUES ('canary', ?) ON CONFLICT DO NOTHING")
		stmt.BindBytes(1, sealed)
		if err := run(stmt); err != nil {
			return nil, err
		}
		if conn.Changes() == 0 {
			return nil, store.ErrExists
		}
		return nil, nil
	})
}
