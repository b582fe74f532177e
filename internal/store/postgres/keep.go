package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// keeping is where the work of Keeper goes on at the next call. One process does
// it at a time; when another takes over, it begins anew.
type keeping struct {
	mu         sync.Mutex
	pruneFrom  int64   // a block
	forgetDays []int64 // the days being forgotten, nil between two rounds
	forgetPage int64
}

// lockTries is how often a call is made that is in the way of others.
const lockTries = 3

// Prune removes old events; see store.Keeper. Days go whole, once nobody is owed
// anything of them, so what is asked for in the middle of a day waits for its
// end.
func (s *Store) Prune(ctx context.Context, before time.Time, limit int) (removed int, more bool, err error) {
	s.keeping.mu.Lock()
	defer s.keeping.mu.Unlock()
	var rest bool
	var next *int64
	err = s.patient(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "SELECT * FROM prune($1, $2, $3)", micros(before), limit, s.keeping.pruneFrom).Scan(&removed, &rest, &next)
	})
	if code(err) == lockNotAvailable {
		s.log.Info("a day was not removed, as somebody reads it; it will be tried again", "error", err)
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	s.keeping.pruneFrom = 0
	if next != nil {
		s.keeping.pruneFrom = *next
	}
	return removed, rest || next != nil, nil
}

// patient is write for what locks tables, or many rows, that others are using.
func (s *Store) patient(ctx context.Context, do func(context.Context, *pgxpool.Conn) error) (err error) {
	for range lockTries {
		if err = s.write(ctx, callTime, do); code(err) != lockNotAvailable && code(err) != deadlock {
			break
		}
	}
	return err
}

// PruneOldest removes the oldest events that nobody is owed; see store.Keeper.
func (s *Store) PruneOldest(ctx context.Context, limit int) (removed int, err error) {
	for from := new(int64); from != nil && removed == 0; {
		at := *from
		err = s.patient(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
			return conn.QueryRow(ctx, "SELECT * FROM prune_oldest($1, $2)", limit, at).Scan(&removed, &from)
		})
		if err != nil {
			return 0, err
		}
	}
	return removed, nil
}

// Forget removes old dedupe keys; see store.Keeper. Those of a day go together,
// once its events are gone.
func (s *Store) Forget(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	k := &s.keeping
	k.mu.Lock()
	defer k.mu.Unlock()
	err = s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		days, page := k.forgetDays, k.forgetPage
		if days == nil {
			page = 0
			if err := conn.QueryRow(ctx, "SELECT forgettable($1)", micros(before)).Scan(&days); err != nil {
				return err
			}
		}
		if len(days) == 0 {
			return nil
		}
		pages := int64(limit) * pagesAtOnce
		if err := conn.QueryRow(ctx, "SELECT forget($1, $2, $3)", days, page, pages).Scan(&more); err != nil {
			return err
		}
		k.forgetDays, k.forgetPage = nil, 0
		if more {
			k.forgetDays, k.forgetPage = days, page+pages
		}
		return nil
	})
	return more, err
}

// pagesAtOnce is how many pages of dedupe keys, about 130 in each, are looked at
// for each block that Forget is to be limited to.
const pagesAtOnce = 4
