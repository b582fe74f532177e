package sqlite

import (
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// counters are kept in memory and written with whatever changes them, in the
// same transaction: so they are exact, and cost one page.
type counters struct {
	sources map[int64]hook.SourceCount
	hooks   map[int64]hook.HookCount
}

const (
	countSource = 1
	countHook   = 2
)

func loadCounters(conn *sqlite.Conn) (counters, error) {
	c := counters{sources: make(map[int64]hook.SourceCount), hooks: make(map[int64]hook.HookCount)}
	stmt := prep(conn, "SELECT kind, number, value FROM counts")
	err := each(stmt, func() error {
		number, value := stmt.ColumnInt64(1), blob(stmt, 2)
		switch kind := stmt.ColumnInt64(0); kind {
		case countSource:
			var v hook.SourceCount
			pack.ReadCounts(value, pack.SourceFields(&v))
			c.sources[number] = v
		case countHook:
			var v hook.HookCount
			pack.ReadCounts(value, pack.HookFields(&v))
			c.hooks[number] = v
		default:
			return fmt.Errorf("the store counts something unknown, of kind %d", kind)
		}
		return nil
	})
	return c, err
}

// tally gathers what one transaction changes of the counters.
type tally struct {
	sources map[int64]hook.SourceCount
	hooks   map[int64]hook.HookCount
}

func (t *tally) source(number int64, add hook.SourceCount) {
	if t.sources == nil {
		t.sources = make(map[int64]hook.SourceCount)
	}
	v := t.sources[number]
	v.Add(add)
	t.sources[number] = v
}

func (t *tally) hook(number int64, add hook.HookCount) {
	if t.hooks == nil {
		t.hooks = make(map[int64]hook.HookCount)
	}
	v := t.hooks[number]
	v.Matched += add.Matched
	v.Delivered += add.Delivered
	v.Dead += add.Dead
	v.Cancelled += add.Cancelled
	v.Attempts += add.Attempts
	v.FilterErrors += add.FilterErrors
	t.hooks[number] = v
}

// save writes the new totals in the transaction and returns how to take them
// into memory once it is committed.
func (s *Store) save(conn *sqlite.Conn, t tally) (then func(), err error) {
	for number, add := range t.sources {
		total := s.counts.sources[number]
		total.Add(add)
		t.sources[number] = total
		if err := writeCounts(conn, countSource, number, pack.SourceFields(&total)); err != nil {
			return nil, err
		}
	}
	sum := tally{hooks: t.hooks}
	for number := range t.hooks {
		sum.hook(number, s.counts.hooks[number])
		total := sum.hooks[number]
		if err := writeCounts(conn, countHook, number, pack.HookFields(&total)); err != nil {
			return nil, err
		}
	}
	return func() {
		for number, total := range t.sources {
			s.counts.sources[number] = total
		}
		for number, total := range t.hooks {
			s.counts.hooks[number] = total
		}
	}, nil
}

func writeCounts(conn *sqlite.Conn, kind, number int64, fields []*int64) error {
	stmt := prep(conn, "INSERT INTO counts (kind, number, value) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = ?3")
	stmt.BindInt64(1, kind)
	stmt.BindInt64(2, number)
	stmt.BindBytes(3, pack.AppendCounts(make([]byte, 0, 64), fields))
	return run(stmt)
}
