package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// candidate is a delivery that could be claimed.
type candidate struct {
	store.Claim
	due time.Time
	row int64 // its own row, 0 while it has none
}

// Claim leases due deliveries; see store.Outbox.
func (s *Store) Claim(ctx context.Context, number int64, now time.Time, limit, maxBytes int, length time.Duration) ([]store.Claim, time.Time, error) {
	claims, next, err := s.lease(number, now, limit, length)
	if err != nil || len(claims) == 0 {
		return nil, next, err
	}
	var fit, damaged []store.Claim
	err = s.readOn(ctx, s.claimers, s.readers, func(conn *sqlite.Conn) (err error) {
		fit, damaged, err = fillEvents(conn, claims, maxBytes)
		return err
	})
	if err == nil {
		err = s.endDamaged(ctx, damaged)
	}
	if err != nil {
		s.giveBack(claims)
		return nil, time.Time{}, err
	}
	if left := claims[len(fit)+len(damaged):]; len(left) > 0 || len(fit) == 0 {
		s.giveBack(left)
		next = now
	}
	return fit, next, nil
}

// endDamaged ends deliveries of events that cannot be read any more, as dead:
// they must not hold up those behind them.
func (s *Store) endDamaged(ctx context.Context, claims []store.Claim) error {
	if len(claims) == 0 {
		return nil
	}
	outcomes := make([]store.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Dead, Reason: hook.ReasonDamaged}
	}
	if _, err := s.Settle(ctx, outcomes); err != nil {
		return err
	}
	s.log.Error("the store is damaged: deliveries ended because their events cannot be read; look at the disk, and at the store with: grapnel store check",
		"deliveries", len(claims), "hook", claims[0].Hook, "block", claims[0].Seq.Block(), "reason", hook.ReasonDamaged)
	return nil
}

// lease picks the deliveries that are due longest and leases them. It holds
// s.mu all the while: a reader's snapshot could be older than the end of a lease.
func (s *Store) lease(number int64, now time.Time, limit int, length time.Duration) (claims []store.Claim, next time.Time, err error) {
	defer catch(&err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, time.Time{}, errClosed
	}
	if s.deleted[number] {
		return nil, time.Time{}, nil
	}
	// One more than wanted, to know when the next is due.
	all, err := s.dueFresh(owedFirst, number, now, limit+1)
	if err != nil {
		return nil, time.Time{}, unavailable(err)
	}
	again, err := s.dueFresh(owedAgain, number, now, limit+1)
	if err != nil {
		return nil, time.Time{}, unavailable(err)
	}
	retries, err := s.dueRetries(number, now, limit+1)
	if err != nil {
		return nil, time.Time{}, unavailable(err)
	}
	all = append(append(all, again...), retries...)
	slices.SortStableFunc(all, func(a, b candidate) int { return a.due.Compare(b.due) })

	before := s.epoch
	for _, c := range all {
		if c.due.After(now) || len(claims) == limit {
			return claims, s.firstEnd(number, before, now, c.due), nil
		}
		s.epoch++
		c.Epoch, c.Until = s.epoch, now.Add(length)
		s.leases.set(c.Key, lease{epoch: c.Epoch, until: c.Until, row: c.row})
		claims = append(claims, c.Claim)
	}
	return claims, s.firstEnd(number, before, now, time.Time{}), nil
}

// firstEnd returns when the first of a hook's leases up to an epoch ends, or
// due when that is sooner or when there is none. It looks at each of them, so
// only where nothing is due now.
func (s *Store) firstEnd(number, epoch int64, now, due time.Time) time.Time {
	if !due.IsZero() && !due.After(now) {
		return due
	}
	for _, l := range s.leases[number] {
		if l.epoch <= epoch && l.until.After(now) && (due.IsZero() || l.until.Before(due)) {
			due = l.until
		}
	}
	return due
}

// leased reports whether somebody holds a lease on a delivery.
func (s *Store) leased(key hook.Key, now time.Time) bool {
	l, held := s.leases.get(key)
	return held && l.until.After(now)
}

// What a hook is owed and was never attempted, oldest first: what came in, and
// what was replayed.
//
// SQLite looks into a parameter that is compared as it is in a query with
// ORDER BY, and then compiles the query again for every other value; the plus
// keeps it from doing so.
const (
	owedFirst = "SELECT " + owedColumns + " FROM owed WHERE hook = +? AND open != 0 AND replay = 0 ORDER BY block"
	owedAgain = "SELECT " + owedColumns + " FROM owed WHERE hook = +? AND open != 0 AND replay != 0 ORDER BY created, block"
)

// dueFresh returns up to limit deliveries, of each query above, that were never
// attempted and that nobody holds, oldest first.
func (s *Store) dueFresh(query string, number int64, now time.Time, limit int) ([]candidate, error) {
	stmt := prep(s.conn, query)
	stmt.BindInt64(1, number)
	var found []candidate
	for len(found) < limit {
		more, err := stmt.Step()
		if err != nil || !more {
			return found, cmp.Or(err, stmt.Reset())
		}
		row := scanOwed(stmt)
		due := row.created
		if due.After(now) {
			due = now // the clock was set back
		}
		pack.Slots(row.open, func(slot int) bool {
			key := row.key(slot)
			if !s.leased(key, now) {
				found = append(found, candidate{Claim: store.Claim{Key: key, Created: row.created}, due: due})
			}
			return len(found) < limit
		})
	}
	return found, stmt.Reset()
}

// dueRetries returns up to limit deliveries with a row of their own that
// nobody holds, those due first first. The last may not be due yet.
func (s *Store) dueRetries(number int64, now time.Time, limit int) ([]candidate, error) {
	stmt := prep(s.conn, `SELECT id, seq, replay, created, due, first, held, attempts FROM deliveries
		WHERE hook = +? AND state = 0 ORDER BY due`) // see owedFirst
	stmt.BindInt64(1, number)
	var found []candidate
	for len(found) < limit {
		more, err := stmt.Step()
		if err != nil || !more {
			return found, cmp.Or(err, stmt.Reset())
		}
		c := candidate{
			Claim: store.Claim{
				Key:         hook.Key{Hook: number, Seq: hook.Seq(stmt.ColumnInt64(1)), Replay: stmt.ColumnInt64(2)},
				Created:     fromMicros(stmt.ColumnInt64(3)),
				First:       fromMicros(stmt.ColumnInt64(5)),
				HeldAtFirst: time.Duration(stmt.ColumnInt64(6)) * time.Microsecond,
				Attempts:    stmt.ColumnInt(7),
			},
			due: fromMicros(stmt.ColumnInt64(4)),
			row: stmt.ColumnInt64(0),
		}
		if s.leased(c.Key, now) {
			continue
		}
		found = append(found, c)
		if c.due.After(now) {
			break
		}
	}
	return found, stmt.Reset()
}

// fillEvents loads what the claims are about, up to maxBytes of JSON but at
// least one, in their order, and tells apart those whose events are damaged.
// The claims after all of these are as they were.
func fillEvents(conn *sqlite.Conn, claims []store.Claim, maxBytes int) (fit, damaged []store.Claim, err error) {
	blocks := make(map[int64][]hook.Event)
	size := 0
	for i := range claims {
		id, slot := claims[i].Seq.Block(), claims[i].Seq.Slot()
		events, known := blocks[id]
		if !known {
			if events, err = loadBlock(conn, id, true); err != nil && !errors.Is(err, pack.ErrCorrupt) {
				return nil, nil, err
			} else if err != nil {
				events = nil
			}
			if len(blocks) == maxBlocksOpen {
				clear(blocks)
			}
			blocks[id] = events
		}
		if slot >= len(events) {
			damaged = append(damaged, claims[i])
			continue
		}
		e := events[slot]
		if size += len(e.JSON); len(fit) > 0 && size > maxBytes {
			break
		}
		// A copy, as one event must not keep its whole block in memory.
		e.JSON = bytes.Clone(e.JSON)
		claims[i].Event = &e
		fit = append(fit, claims[i])
	}
	return fit, damaged, nil
}

// maxBlocksOpen bounds the blocks that a claim has uncompressed at once.
const maxBlocksOpen = 16

func (s *Store) giveBack(claims []store.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		if l, _ := s.leases.get(c.Key); l.epoch == c.Epoch {
			s.leases.drop(c.Key)
		}
	}
}

// Renew lengthens leases; see store.Outbox.
func (s *Store) Renew(_ context.Context, held []store.Claim, now time.Time, length time.Duration) (time.Time, []hook.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return time.Time{}, nil, errClosed
	}
	until := now.Add(length)
	var lost []hook.Key
	for _, c := range held {
		l, _ := s.leases.get(c.Key)
		if l.epoch != c.Epoch || !l.until.After(now) {
			lost = append(lost, c.Key)
			continue
		}
		l.until = until
		s.leases.set(c.Key, l)
	}
	return until, lost, nil
}

// Retry makes a waiting delivery due; see store.Outbox.
func (s *Store) Retry(_ context.Context, key hook.Key, now time.Time) (changed bool, err error) {
	err = s.write(true, 1, func(conn *sqlite.Conn) (func(), error) {
		row, found, err := loadOwed(conn, key.Seq.Block(), key.Hook, key.Replay)
		if err != nil {
			return nil, err
		}
		bit := uint64(1) << key.Seq.Slot()
		if !found || row.matched&bit == 0 {
			return nil, store.ErrNotFound
		}
		if s.leased(key, now) || s.deleted[key.Hook] {
			return nil, nil
		}
		if row.open&bit != 0 {
			changed = true // it is due as soon as it is owed
			return nil, nil
		}
		stmt := prep(conn, "UPDATE deliveries SET due = ? WHERE seq = ? AND hook = ? AND replay = ? AND state = 0")
		stmt.BindInt64(1, micros(now))
		stmt.BindInt64(2, int64(key.Seq))
		stmt.BindInt64(3, key.Hook)
		stmt.BindInt64(4, key.Replay)
		if err := run(stmt); err != nil {
			return nil, err
		}
		changed = conn.Changes() == 1
		return nil, nil
	})
	return changed, err
}
