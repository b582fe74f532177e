package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The kinds of rows that claim returns.
const (
	claimedWork = iota
	claimedRetry
	claimedEnd
)

// Claim leases due deliveries; see store.Outbox.
func (s *Store) Claim(ctx context.Context, number int64, now time.Time, limit, maxBytes int, length time.Duration) ([]store.Claim, time.Time, error) {
	claims, next, err := s.lease(ctx, number, now, limit, length)
	if err != nil || len(claims) == 0 {
		return nil, next, err
	}
	var fit, damaged []store.Claim
	err = s.call(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		fit, damaged, err = fillEvents(ctx, conn, claims, maxBytes)
		return err
	})
	if err == nil {
		err = s.endDamaged(ctx, damaged)
	}
	if err != nil {
		s.giveBack(ctx, claims)
		return nil, time.Time{}, err
	}
	if left := claims[len(fit)+len(damaged):]; len(left) > 0 || len(fit) == 0 {
		s.giveBack(ctx, left)
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
	s.log.Error("the store is damaged: deliveries ended because their events cannot be read; look at the database's disk, and at the store with: grapnel store check",
		"deliveries", len(claims), "hook", claims[0].Hook, "block", claims[0].Seq.Block(), "reason", hook.ReasonDamaged)
	return nil
}

// giveBack ends leases again. Should it fail, they are given back later.
func (s *Store) giveBack(ctx context.Context, claims []store.Claim) {
	if len(claims) == 0 {
		return
	}
	outcomes := make([]store.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = store.Outcome{Key: c.Key, Epoch: c.Epoch, State: hook.Waiting}
	}
	if _, err := s.Settle(context.WithoutCancel(ctx), outcomes); err == nil {
		return
	}
	for _, c := range claims { // in the order of their leases
		lease, _ := leaseOf(c.Key, c.Epoch)
		s.unknown.add(lease, 1)
	}
}

// lease picks the deliveries that are due longest and leases them.
func (s *Store) lease(ctx context.Context, number int64, now time.Time, limit int, length time.Duration) (claims []store.Claim, next time.Time, err error) {
	first, sent := newLease(), false
	err = s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		sent = true
		rows, err := conn.Query(ctx, "SELECT * FROM claim($1, $2, $3, $4, $5, $6)",
			number, micros(now), limit, length.Microseconds(), s.node.Load(), first)
		if err != nil {
			return err
		}
		var kind int16
		var attempts *int32
		var at, replay, created, mask, due, firstAt, held *int64
		lease := first
		_, err = pgx.ForEachRow(rows, []any{&kind, &at, &replay, &created, &mask, &due, &firstAt, &held, &attempts}, func() error {
			c := store.Claim{Until: now.Add(length)}
			switch kind {
			case claimedEnd:
				next = fromMicros(*due)
				return nil
			case claimedRetry:
				c.Key = hook.Key{Hook: number, Seq: hook.Seq(*at), Replay: *replay}
				c.Created, c.First, c.Attempts = fromMicros(*created), fromMicros(*firstAt), int(*attempts)
				c.HeldAtFirst = time.Duration(*held) * time.Microsecond
				c.Epoch = epochOf(lease, true, c.Seq.Slot())
				claims = append(claims, c)
			case claimedWork:
				c.Created = fromMicros(*created)
				pack.Slots(uint64(*mask), func(slot int) bool {
					c.Key = hook.Key{Hook: number, Seq: hook.MakeSeq(*at, slot), Replay: *replay}
					c.Epoch = epochOf(lease, false, slot)
					claims = append(claims, c)
					return true
				})
			}
			lease++
			return nil
		})
		return err
	})
	if err != nil && sent && !answered(err) {
		s.unknown.add(first, limit)
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	return claims, next, nil
}

// maxBlocksOpen bounds the blocks that a claim has in memory at once.
const maxBlocksOpen = 16

// fillEvents loads what the claims are about, up to maxBytes of JSON but at
// least one, in their order, and tells apart those whose events are damaged.
// The claims after all of these are as they were.
func fillEvents(ctx context.Context, conn *pgxpool.Conn, claims []store.Claim, maxBytes int) (fit, damaged []store.Claim, err error) {
	blocks := make(map[int64][]hook.Event)
	size := 0
	for i := range claims {
		id, slot := claims[i].Seq.Block(), claims[i].Seq.Slot()
		events, known := blocks[id]
		if !known {
			if blocks, err = readable(ctx, conn, nextBlocks(claims[i:])); err != nil {
				return nil, nil, err
			}
			events = blocks[id]
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

// readable reads blocks with their events' JSON; those that are damaged, or not
// there, have no events.
func readable(ctx context.Context, conn *pgxpool.Conn, ids []int64) (map[int64][]hook.Event, error) {
	blocks, err := loadBlocks(ctx, conn, ids, true)
	if errors.Is(err, pack.ErrCorrupt) {
		blocks = make(map[int64][]hook.Event)
		for _, id := range ids {
			one, err := loadBlocks(ctx, conn, []int64{id}, true)
			if err != nil && !errors.Is(err, pack.ErrCorrupt) {
				return nil, err
			}
			if err == nil {
				blocks[id] = one[id]
			}
		}
		err = nil
	}
	for _, id := range ids {
		if _, there := blocks[id]; !there && err == nil {
			blocks[id] = nil
		}
	}
	return blocks, err
}

// nextBlocks are the first blocks that claims are about.
func nextBlocks(claims []store.Claim) (ids []int64) {
	for i := range claims {
		id := claims[i].Seq.Block()
		if slices.Contains(ids, id) {
			continue
		}
		if ids = append(ids, id); len(ids) == maxBlocksOpen {
			break
		}
	}
	return ids
}

// leaseKey is a lease of work.
type leaseKey struct{ block, hook, replay, lease int64 }

// held are leases as the functions of the database take them: those of work,
// each with some of its slots, and those of retries.
type held struct {
	index                           map[leaseKey]int
	blocks, hooks, replays, leases  []int64
	masks                           []int64
	seqs, xHooks, xReplays, xLeases []int64
}

// group returns the place of a lease of work.
func (h *held) group(k hook.Key, lease int64) int {
	key := leaseKey{k.Seq.Block(), k.Hook, k.Replay, lease}
	at, known := h.index[key]
	if !known {
		if h.index == nil {
			h.index = make(map[leaseKey]int)
		}
		at = len(h.blocks)
		h.index[key] = at
		h.blocks, h.hooks = append(h.blocks, key.block), append(h.hooks, k.Hook)
		h.replays, h.leases = append(h.replays, k.Replay), append(h.leases, lease)
		h.masks = append(h.masks, 0)
	}
	return at
}

// Renew lengthens leases; see store.Outbox.
func (s *Store) Renew(ctx context.Context, claims []store.Claim, now time.Time, length time.Duration) (time.Time, []hook.Key, error) {
	h := held{masks: []int64{}, seqs: []int64{}, blocks: []int64{}}
	group := make([]int, len(claims)) // or the place among the others
	for _, i := range inOrder(len(claims), func(i int) hook.Key { return claims[i].Key }) {
		c := &claims[i]
		lease, own := leaseOf(c.Key, c.Epoch)
		if own {
			group[i] = len(h.seqs)
			h.seqs, h.xHooks = append(h.seqs, int64(c.Seq)), append(h.xHooks, c.Hook)
			h.xReplays, h.xLeases = append(h.xReplays, c.Replay), append(h.xLeases, lease)
			continue
		}
		group[i] = h.group(c.Key, lease)
		h.masks[group[i]] |= 1 << c.Seq.Slot()
	}
	var masks, others []int64
	err := s.patient(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "SELECT * FROM renew($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
			h.blocks, h.hooks, h.replays, h.leases, h.masks, h.seqs, h.xHooks, h.xReplays, h.xLeases, length.Microseconds(),
		).Scan(&masks, &others)
	})
	if err != nil {
		return time.Time{}, nil, err
	}
	var lost []hook.Key
	for i, c := range claims {
		_, own := leaseOf(c.Key, c.Epoch)
		if own && slices.Contains(others, int64(group[i]+1)) || !own && masks[group[i]]&(1<<c.Seq.Slot()) != 0 {
			lost = append(lost, c.Key)
		}
	}
	return now.Add(length), lost, nil
}

// Retry makes a waiting delivery due; see store.Outbox.
func (s *Store) Retry(ctx context.Context, key hook.Key, now time.Time) (changed bool, err error) {
	var found int
	err = s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "SELECT retry($1, $2, $3, $4)", int64(key.Seq), key.Hook, key.Replay, micros(now)).Scan(&found)
	})
	if err == nil && found == 0 {
		err = store.ErrNotFound
	}
	return found == 2, err
}

// Expire makes dead what waits too long; see store.Outbox.
func (s *Store) Expire(ctx context.Context, number int64, before, _ time.Time, reason hook.Reason, limit int) (expired int, more bool, err error) {
	err = s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "SELECT expire($1, $2, $3, $4)", number, micros(before), string(reason), limit).Scan(&expired)
	})
	if err != nil {
		return 0, false, err
	}
	return expired, expired == limit, nil
}
