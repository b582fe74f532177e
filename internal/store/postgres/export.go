package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// Count counts what there is; see store.Archive.
func (a *Archive) Count(ctx context.Context) (map[store.Kind]int64, error) {
	counts := make(map[store.Kind]int64)
	for kind, query := range map[store.Kind]string{
		store.KindHead: "SELECT 1", store.KindSource: "SELECT count(*) FROM sources", store.KindHook: "SELECT count(*) FROM hooks",
		store.KindCount:    "SELECT count(DISTINCT (kind, number)) FROM counts",
		store.KindRevision: "SELECT count(*) FROM revisions", store.KindReplay: "SELECT count(*) FROM replays",
		// The keys of events that are there are not exported.
		store.KindRemoved: "SELECT greatest(0, (SELECT count(*) FROM seen) - (SELECT coalesce(sum(events), 0) FROM blocks))",
		store.KindBlock:   "SELECT count(*) FROM blocks", store.KindFilterError: "SELECT count(*) FROM filter_errors",
		store.KindDelivery: "SELECT (SELECT count(*) FROM ended) + (SELECT count(*) FROM retries)",
		store.KindOwed:     "SELECT (SELECT count(*) FROM settled) + (SELECT count(*) FROM work)",
		store.KindRejected: "SELECT count(*) FROM rejected",
	} {
		var n int64
		if err := a.pool.QueryRow(ctx, query).Scan(&n); err != nil {
			return nil, err
		}
		counts[kind] = n
	}
	return counts, nil
}

// Export hands over what there is; see store.Archive.
func (a *Archive) Export(ctx context.Context, after store.Mark, limit int, take func([]store.Item) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, a.pool, options, func(tx pgx.Tx) error {
		e := &exporter{ctx: ctx, tx: tx, limit: limit, take: take, deleted: make(map[int64]bool)}
		rows, err := tx.Query(ctx, "SELECT number FROM hooks WHERE deleted")
		if err != nil {
			return err
		}
		var number int64
		if _, err := pgx.ForEachRow(rows, []any{&number}, func() error { e.deleted[number] = true; return nil }); err != nil {
			return err
		}
		for _, kind := range store.Kinds() {
			from := store.Place{math.MinInt64, math.MinInt64, math.MinInt64}
			if place, ok := after.From(kind); !ok {
				continue
			} else if place != nil {
				from = *place
			}
			if err := e.export(kind, from); err != nil {
				return err
			}
		}
		return nil
	})
}

// exporter gathers items of one kind and hands them over.
type exporter struct {
	ctx     context.Context
	tx      pgx.Tx
	limit   int
	take    func([]store.Item) error
	deleted map[int64]bool // hooks

	items []store.Item
	bytes int
	owing *store.OwedItem // what further rows may belong to
}

func (e *exporter) add(item store.Item, bytes int) error {
	e.items = append(e.items, item)
	e.bytes += bytes
	if len(e.items) >= e.limit || e.bytes >= store.ExportBytes {
		return e.flush()
	}
	return nil
}

func (e *exporter) flush() error {
	if len(e.items) == 0 {
		return nil
	}
	items := e.items
	e.items, e.bytes = nil, 0
	return e.take(items)
}

// origin says where the items of a kind come from: the rows after a place ($1,
// $2, $3; places is how many of them), in order, and what to make of one.
type origin struct {
	query  string
	places int
	make   func(e *exporter, row pgx.Rows) error
}

var exports = map[store.Kind]origin{
	store.KindHead: {`SELECT m.value, (SELECT value FROM meta WHERE name = 'canary'),
			(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM block_ids), (SELECT revision FROM registry),
			(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM replays_number_seq),
			(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM rejected_id_seq)
		FROM meta m WHERE m.name = 'identity' AND $1::bigint < 0`, 1, (*exporter).head},
	store.KindSource: {`SELECT number::bigint, name, deleted, CASE WHEN NOT deleted THEN doc END
		FROM sources WHERE number > $1::bigint ORDER BY number`, 1, (*exporter).source},
	store.KindHook: {`SELECT number::bigint, id, deleted, revision, doc, hold_reason, hold_since, hold_total, hold_recheck, hold_changes
		FROM hooks WHERE number > $1::bigint ORDER BY number`, 1, (*exporter).hook},
	store.KindCount: {`SELECT kind::bigint, number, ARRAY[sum(v1), sum(v2), sum(v3), sum(v4), sum(v5), sum(v6), sum(v7)]::bigint[]
		FROM counts WHERE (kind::bigint, number) > ($1, $2) GROUP BY kind, number ORDER BY kind, number`, 2, (*exporter).count},
	store.KindRevision: {"SELECT revision, hook::bigint, at, doc FROM revisions WHERE revision > $1 ORDER BY revision", 1, (*exporter).revision},
	store.KindReplay: {`SELECT number::bigint, id, hook::bigint, created, origin_hook::bigint, origin_replay::bigint
		FROM replays WHERE number > $1::bigint ORDER BY number`, 1, (*exporter).replay},
	// When a key may go is known by its day, and of what was brought in together.
	store.KindRemoved: {`SELECT s.seq, s.source, s.key, CASE s.seq >> 42
			WHEN 0 THEN coalesce((SELECT newest FROM days WHERE day = 0), clock())
			ELSE ((s.seq >> 42) + 1) * 86400000000 - 1 END
		FROM seen s WHERE s.seq > $1 AND NOT EXISTS (SELECT FROM blocks b WHERE b.id = s.seq >> 6) ORDER BY s.seq`, 1, (*exporter).removed},
	store.KindBlock: {"SELECT id, received, revision, events::bigint, summary, payload FROM blocks WHERE id > $1 ORDER BY id", 1, (*exporter).block},
	store.KindFilterError: {`SELECT seq, hook::bigint, detail FROM filter_errors
		WHERE seq >= $1 AND (seq, hook::bigint) > ($1, $2) ORDER BY seq, hook`, 2, (*exporter).filterError},
	store.KindDelivery: {`SELECT * FROM (
			SELECT seq, hook::bigint, replay::bigint, state::bigint, reason, created, 0::bigint, 0::bigint, 0::bigint, attempts::bigint, log, response FROM ended
			UNION ALL
			SELECT seq, hook::bigint, replay::bigint, 0::bigint, reason, created, due, first, held, attempts::bigint, log, response FROM retries) t
		WHERE seq >= $1 AND (seq, hook, replay) > ($1, $2, $3) ORDER BY seq, hook, replay`, 3, (*exporter).delivery},
	store.KindOwed: {`SELECT * FROM (
			SELECT block, hook::bigint, replay::bigint, created, matched, 0::bigint, outcomes FROM settled
			UNION ALL
			SELECT block, hook::bigint, replay::bigint, created, matched, open, outcomes FROM work) t
		WHERE block >= $1 AND (block, hook, replay) > ($1, $2, $3) ORDER BY block, hook, replay, created`, 3, (*exporter).owed},
	store.KindRejected: {"SELECT id, source, received, reason, detail, size::bigint, raw FROM rejected WHERE id > $1 ORDER BY id", 1, (*exporter).rejected},
}

func (e *exporter) export(kind store.Kind, after store.Place) error {
	from := exports[kind]
	args := make([]any, from.places)
	for i := range args {
		args[i] = after[i]
	}
	rows, err := e.tx.Query(e.ctx, from.query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := from.make(e, rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := e.owed(nil); err != nil {
		return err
	}
	return e.flush()
}

func (e *exporter) head(row pgx.Rows) error {
	item := &store.HeadItem{}
	var identity []byte
	err := row.Scan(&identity, &item.Canary, &item.LastBlock, &item.LastRevision, &item.LastReplay, &item.LastRejected)
	if err != nil {
		return err
	}
	if len(identity) != 20 {
		return fmt.Errorf("the store has no identity: %w", store.ErrNotFound)
	}
	copy(item.Identity.UUID[:], identity)
	item.Identity.Tag = binary.BigEndian.Uint32(identity[16:])
	return e.add(item, 0)
}

func (e *exporter) source(row pgx.Rows) error {
	item := &store.SourceItem{}
	if err := row.Scan(&item.Number, &item.Name, &item.Deleted, &item.Doc); err != nil {
		return err
	}
	return e.add(item, len(item.Doc))
}

func (e *exporter) hook(row pgx.Rows) error {
	item := &store.HookItem{}
	err := row.Scan(&item.Number, &item.ID, &item.Deleted, &item.Revision, &item.Doc,
		&item.HoldReason, &item.HoldSince, &item.HoldTotal, &item.HoldRecheck, &item.HoldChanges)
	if err != nil {
		return err
	}
	if item.Deleted {
		item = &store.HookItem{Number: item.Number, ID: item.ID, Deleted: true, Revision: item.Revision}
	}
	return e.add(item, len(item.Doc))
}

func (e *exporter) count(row pgx.Rows) error {
	item := &store.CountItem{}
	var values []int64
	if err := row.Scan(&item.Of, &item.Number, &values); err != nil {
		return err
	}
	copy(item.Values[:], values)
	switch item.Of {
	case store.CountOfSource:
	case store.CountOfHook:
		if e.deleted[item.Number] {
			var v hook.HookCount
			fields := pack.HookFields(&v)
			for i, f := range fields {
				*f = item.Values[i]
			}
			v.Cancelled += v.Waiting()
			for i, f := range fields {
				item.Values[i] = *f
			}
		}
	default:
		return fmt.Errorf("the store counts something unknown, of kind %d", item.Of)
	}
	if item.Values == [7]int64{} {
		return nil
	}
	return e.add(item, 0)
}

func (e *exporter) revision(row pgx.Rows) error {
	item := &store.RevisionItem{}
	if err := row.Scan(&item.Revision, &item.Hook, &item.At, &item.Doc); err != nil {
		return err
	}
	return e.add(item, len(item.Doc))
}

func (e *exporter) replay(row pgx.Rows) error {
	item := &store.ReplayItem{}
	if err := row.Scan(&item.Number, &item.ID, &item.Hook, &item.Created, &item.OriginHook, &item.OriginReplay); err != nil {
		return err
	}
	return e.add(item, 64)
}

func (e *exporter) removed(row pgx.Rows) error {
	item := &store.RemovedItem{}
	if err := row.Scan(&item.Seq, &item.Source, &item.Key, &item.Received); err != nil {
		return err
	}
	return e.add(item, 48)
}

func (e *exporter) block(row pgx.Rows) error {
	item := &store.BlockItem{}
	if err := row.Scan(&item.ID, &item.Received, &item.Revision, &item.Events, &item.Summary, &item.Payload); err != nil {
		return err
	}
	return e.add(item, len(item.Summary)+len(item.Payload))
}

func (e *exporter) filterError(row pgx.Rows) error {
	item := &store.FilterErrorItem{}
	var detail []byte
	if err := row.Scan(&item.Seq, &item.Hook, &detail); err != nil {
		return err
	}
	item.Detail = string(detail)
	return e.add(item, len(detail))
}

func (e *exporter) delivery(row pgx.Rows) error {
	item := &store.DeliveryItem{}
	var log [][]byte
	err := row.Scan(&item.Seq, &item.Hook, &item.Replay, &item.State, &item.Reason, &item.Created,
		&item.Due, &item.First, &item.Held, &item.Attempts, &log, &item.Response)
	if err != nil {
		return err
	}
	item.Log = slices.Concat(log...)
	if item.State == hook.Waiting && e.deleted[item.Hook] {
		item.State, item.Reason = hook.Cancelled, hook.ReasonHookDeleted
		item.Due, item.First, item.Held = 0, 0, 0
	}
	return e.add(item, 64+len(item.Log)+len(item.Response))
}

// owed puts the rows about one block, hook and replay together, and hands an item
// over with the row after it; nil is after the last.
func (e *exporter) owed(row pgx.Rows) error {
	item := &store.OwedItem{}
	if row != nil {
		var matched, open int64
		if err := row.Scan(&item.Block, &item.Hook, &item.Replay, &item.Created, &matched, &open, &item.Outcomes); err != nil {
			return err
		}
		item.Matched, item.Open = uint64(matched), uint64(open)
		if last := e.owing; last != nil && last.Mark() == item.Mark() {
			last.Matched |= item.Matched
			last.Open |= item.Open
			last.Outcomes = append(last.Outcomes, item.Outcomes...)
			return nil
		}
	}
	last := e.owing
	if e.owing = item; row == nil {
		e.owing = nil
	}
	if last == nil {
		return nil
	}
	if e.deleted[last.Hook] {
		last.Open = 0
	}
	outcomes, err := pack.Rebase(pack.SortOutcomes(last.Outcomes), dayOf(last.Block), fromMicros(last.Created), true)
	if err != nil {
		return fmt.Errorf("block %d: %w", last.Block, err)
	}
	last.Outcomes = outcomes
	return e.add(last, 64+len(outcomes))
}

func (e *exporter) rejected(row pgx.Rows) error {
	item := &store.RejectedItem{}
	var detail []byte
	if err := row.Scan(&item.ID, &item.Source, &item.Received, &item.Reason, &detail, &item.Size, &item.Raw); err != nil {
		return err
	}
	item.Detail = string(detail)
	return e.add(item, 128+len(detail)+len(item.Raw))
}
