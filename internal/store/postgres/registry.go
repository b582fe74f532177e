package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errChanged says that the registry is no longer what a change was made for.
var errChanged = errors.New("sources or event hooks are being changed by others, too often for this change; try it again")

// maxChanges bounds how often a change is made anew.
const maxChanges = 100

// change looks at the registry and changes it, by one call of one function, if
// it is still the same then; otherwise again. look gets a connection on which
// nothing is open, and returns how to write; it may call its caller's functions.
func (s *Store) change(ctx context.Context, look func(context.Context, *pgxpool.Conn) (write func() error, err error)) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	return s.write(ctx, adminTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		for range maxChanges {
			write, err := look(ctx, conn)
			if err != nil {
				return err
			}
			if err = write(); !errors.Is(err, errChanged) {
				return err
			}
		}
		return errChanged
	})
}

// keptSource is a source as the registry has it.
type keptSource struct {
	hook.Source
	deleted bool
}

// allSources returns every source there ever was, oldest first, and the count of
// the registry's changes.
func allSources(ctx context.Context, db querier) (sources []keptSource, changes int64, err error) {
	rows, err := db.Query(ctx, `SELECT r.changes, s.number, s.name, s.deleted, s.doc
		FROM registry r LEFT JOIN sources s ON true ORDER BY s.number`)
	if err != nil {
		return nil, 0, err
	}
	var number *int64
	var name, doc *string
	var deleted *bool
	_, err = pgx.ForEachRow(rows, []any{&changes, &number, &name, &deleted, &doc}, func() error {
		if number == nil {
			return nil // there are none
		}
		source := keptSource{deleted: *deleted}
		err := json.Unmarshal([]byte(*doc), &source.Source)
		source.Number, source.Name = *number, *name
		sources = append(sources, source)
		return err
	})
	return sources, changes, err
}

// Sources returns every source; see store.Registry.
func (s *Store) Sources(ctx context.Context) (sources []hook.Source, err error) {
	err = s.call(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		all, _, err := allSources(ctx, conn)
		for _, source := range all {
			if !source.deleted {
				sources = append(sources, source.Source)
			}
		}
		return err
	})
	return sources, err
}

// SourceNames returns the names of all sources; see store.Registry.
func (s *Store) SourceNames(ctx context.Context) (map[int64]string, error) {
	names := make(map[int64]string)
	err := s.call(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return readNames(ctx, conn, "SELECT number, name FROM sources", names)
	})
	return names, err
}

func readNames(ctx context.Context, db querier, query string, names map[int64]string) error {
	rows, err := db.Query(ctx, query)
	if err != nil {
		return err
	}
	var number int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&number, &name}, func() error { names[number] = name; return nil })
	return err
}

// CreateSource keeps a source; see store.Registry.
func (s *Store) CreateSource(ctx context.Context, source *hook.Source) error {
	return s.changeSource(ctx, source.Name, func(before *keptSource) (*keptSource, error) {
		if before != nil {
			return nil, store.ErrExists
		}
		return &keptSource{Source: *source}, nil
	}, func(number int64) { source.Number = number })
}

// UpdateSource changes a source; see store.Registry.
func (s *Store) UpdateSource(ctx context.Context, name string, change func(*hook.Source) error) (source hook.Source, err error) {
	err = s.changeSource(ctx, name, func(before *keptSource) (*keptSource, error) {
		if before == nil || before.deleted {
			return nil, store.ErrNotFound
		}
		source = before.Source
		if err := change(&source); err != nil {
			return nil, err
		}
		return &keptSource{Source: source}, nil
	}, nil)
	return source, err
}

// DeleteSource ends a source; see store.Registry.
func (s *Store) DeleteSource(ctx context.Context, name string) error {
	return s.changeSource(ctx, name, func(before *keptSource) (*keptSource, error) {
		if before == nil || before.deleted {
			return nil, store.ErrNotFound
		}
		before.deleted = true
		return before, nil
	}, nil)
}

// changeSource writes what next makes of the source with a name, nil when there
// never was one, and calls then with its number.
func (s *Store) changeSource(ctx context.Context, name string, next func(before *keptSource) (*keptSource, error), then func(number int64)) error {
	return s.change(ctx, func(ctx context.Context, conn *pgxpool.Conn) (func() error, error) {
		all, changes, err := allSources(ctx, conn)
		if err != nil {
			return nil, err
		}
		var before *keptSource
		for i := range all {
			if all[i].Name == name {
				before = &all[i]
			}
		}
		source, err := next(before)
		if err != nil {
			return nil, err
		}
		doc, err := json.Marshal(&source.Source)
		if err != nil {
			return nil, err
		}
		return func() error {
			var number *int64
			err := conn.QueryRow(ctx, "SELECT save_source($1, $2, $3, $4, $5, $6)",
				changes, s.node.Load(), source.Number, name, source.deleted, string(doc)).Scan(&number)
			switch {
			case err != nil:
				return err
			case number == nil:
				return errChanged
			case then != nil:
				then(*number)
			}
			return nil
		}, nil
	})
}

// Canary returns the canary; see store.Registry.
func (s *Store) Canary(ctx context.Context) (sealed []byte, err error) {
	err = s.call(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		err := conn.QueryRow(ctx, "SELECT value FROM meta WHERE name = 'canary'").Scan(&sealed)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return sealed, err
}

// SetCanary keeps the canary; see store.Registry.
func (s *Store) SetCanary(ctx context.Context, sealed []byte) error {
	return s.write(ctx, adminTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		done, err := conn.Exec(ctx, "INSERT INTO meta (name, value) VALUES ('canary', $1) ON CONFLICT DO NOTHING", sealed)
		if err == nil && done.RowsAffected() == 0 {
			err = store.ErrExists
		}
		return err
	})
}
