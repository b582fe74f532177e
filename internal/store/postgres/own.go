package postgres

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// The columns of a delivery with a row of its own. For a delivery that waits,
// until tells whether it is being sent.
const (
	retryColumns = "seq, hook, replay, 0::smallint AS state, reason, created, due, until, attempts"
	endedColumns = "seq, hook, replay, state, reason, created, 0::bigint AS due, 0::bigint AS until, attempts"
	// What only a delivery that is read alone shows.
	aloneColumns = ", CASE WHEN $3 THEN log END, CASE WHEN $3 THEN response END"
)

func (v *viewer) scanOwn(row pgx.CollectableRow) (d hook.Delivery, err error) {
	var seq, created, due, until int64
	var state int16
	var reason string
	var log [][]byte
	var response []byte
	err = row.Scan(&seq, &d.Hook, &d.Replay, &state, &reason, &created, &due, &until, &d.AttemptCount, &log, &response)
	if err != nil {
		return d, err
	}
	d.Seq, d.State, d.Reason = hook.Seq(seq), hook.State(state), hook.Reason(reason)
	d.Created, d.Due = fromMicros(created), fromMicros(due)
	if until > v.now {
		d.State, d.Reason = hook.Sending, ""
	}
	d.Attempts = pack.Attempts(slices.Concat(log...))
	d.Response, err = pack.DecodeResponse(response)
	return d, err
}

// ownAhead is of how many blocks at most the deliveries with rows of their own
// are read at once.
const ownAhead = 32

// readOwn reads the deliveries with rows of their own of a block and of those
// after it on the page.
func (v *viewer) readOwn(block int64) error {
	ids := slices.Sorted(maps.Keys(v.blocks))
	at, _ := slices.BinarySearch(ids, block)
	v.ownFrom = ids[max(0, at+1-ownAhead)]
	// Block by block: between those of a search there may be much else.
	const of = " JOIN unnest($1::bigint[]) b (id) ON seq BETWEEN b.id * 64 AND b.id * 64 + 63 WHERE seq BETWEEN $2::bigint * 64 AND $4::bigint * 64 + 63"
	rows, err := v.tx.Query(v.ctx, "SELECT "+retryColumns+aloneColumns+" FROM retries"+of+
		" UNION ALL SELECT "+endedColumns+aloneColumns+" FROM ended"+of, ids[max(0, at+1-ownAhead):at+1], v.ownFrom, v.alone, block)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, v.scanOwn)
	v.own = make(map[hook.Key]hook.Delivery, len(list))
	for _, d := range list {
		v.own[d.Key] = d
	}
	return err
}

// listDead lists dead letters by their own index.
func (v *viewer) listDead(q store.DeliveryQuery) (found []hook.Delivery, next *hook.Key, err error) {
	from := hook.Seq(math.MaxInt64)
	if q.Before != nil {
		from = q.Before.Seq
	}
	if q.Event != 0 {
		from = min(from, q.Event)
	}
	_, err = v.tx.Exec(v.ctx, "DECLARE dead NO SCROLL CURSOR FOR SELECT "+endedColumns+aloneColumns+` FROM ended
		WHERE state = 3 AND seq BETWEEN $1 AND $2 ORDER BY seq DESC`, int64(q.Event), int64(from), false)
	if err != nil {
		return nil, nil, err
	}
	var same []hook.Delivery // of one event
	for scanned := 0; ; {
		rows, err := v.tx.Query(v.ctx, fmt.Sprintf("FETCH %d FROM dead", page))
		if err != nil {
			return nil, nil, err
		}
		batch, err := pgx.CollectRows(rows, v.scanOwn)
		if err != nil {
			return nil, nil, err
		}
		ids := make([]int64, 0, len(batch)+1)
		for _, d := range append(same, batch...) {
			ids = append(ids, d.Seq.Block())
		}
		if v.blocks, err = loadBlocks(v.ctx, v.tx, slices.Compact(ids), false); err != nil {
			return nil, nil, err
		}
		for _, d := range batch {
			if len(same) > 0 && same[0].Seq != d.Seq {
				if found, next, err = v.addDead(found, same, q); err != nil || next != nil {
					return found, next, err
				}
				same = same[:0]
				if scanned > maxScan {
					return found, &hook.Key{Seq: d.Seq + 1}, nil
				}
			}
			same = append(same, d)
		}
		if scanned += len(batch); len(batch) == 0 {
			return v.addDead(found, same, q)
		}
	}
}

// addDead adds the dead letters of one event that are wanted and not listed yet.
// next is set when the page is full.
func (v *viewer) addDead(found, same []hook.Delivery, q store.DeliveryQuery) (all []hook.Delivery, next *hook.Key, err error) {
	slices.SortFunc(same, func(a, b hook.Delivery) int { return compareKeys(b.Key, a.Key) })
	for _, d := range same {
		if q.Before != nil && compareKeys(d.Key, *q.Before) >= 0 {
			continue
		}
		events := v.blocks[d.Seq.Block()]
		if d.Seq.Slot() >= len(events) {
			return nil, nil, pack.ErrCorrupt
		}
		if err := v.finish(&d, &events[d.Seq.Slot()]); err != nil {
			return nil, nil, err
		}
		if !wants(&d, q) {
			continue
		}
		d.Attempts, d.Response = nil, nil
		if found = append(found, d); len(found) == q.Limit {
			return found, &d.Key, nil
		}
	}
	return found, nil, nil
}
