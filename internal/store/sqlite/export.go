package sqlite

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Count counts what there is; see store.Archive.
func (a *Archive) Count(ctx context.Context) (_ map[store.Kind]int64, err error) {
	defer catch(&err)
	a.conn.SetInterrupt(ctx.Done())
	defer a.conn.SetInterrupt(nil)
	counts := make(map[store.Kind]int64)
	for kind, of := range map[store.Kind]string{
		store.KindHead: "1", store.KindSource: "count(*) FROM sources", store.KindHook: "count(*) FROM hooks",
		store.KindCount: "count(*) FROM counts", store.KindRevision: "count(*) FROM revisions",
		store.KindReplay: "count(*) FROM replays", store.KindRemoved: "coalesce(sum(length(keys) / 8), 0) FROM removed_keys",
		store.KindBlock: "count(*) FROM blocks", store.KindFilterError: "count(*) FROM filter_errors",
		store.KindDelivery: "count(*) FROM deliveries", store.KindOwed: "count(*) FROM owed",
		store.KindRejected: "count(*) FROM rejected",
	} {
		n, err := sqlitex.ResultInt64(prep(a.conn, "SELECT "+of))
		if err != nil {
			return nil, interrupted(ctx, err)
		}
		counts[kind] = n
	}
	return counts, nil
}

// interrupted returns the error of a context that has ended instead of what came
// of it.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(err)
}

// Export hands over what there is; see store.Archive.
func (a *Archive) Export(ctx context.Context, after store.Mark, limit int, take func([]store.Item) error) (err error) {
	defer catch(&err)
	a.conn.SetInterrupt(ctx.Done())
	if err := run(prep(a.conn, "BEGIN")); err != nil {
		return interrupted(ctx, err)
	}
	defer func() {
		a.conn.SetInterrupt(nil)
		rollback(a.conn, &err)
		err = interrupted(ctx, err)
	}()
	defer catch(&err)
	e := exporter{conn: a.conn, limit: limit, take: take, deleted: make(map[int64]bool)}
	stmt := prep(a.conn, "SELECT number FROM hooks WHERE deleted")
	if err := each(stmt, func() error { e.deleted[stmt.ColumnInt64(0)] = true; return nil }); err != nil {
		return interrupted(ctx, err)
	}
	for _, kind := range store.Kinds() {
		e.after = store.Place{math.MinInt64, math.MinInt64, math.MinInt64}
		if place, ok := after.From(kind); !ok {
			continue
		} else if place != nil {
			e.after = *place
		}
		if err := e.export(kind); err != nil {
			return interrupted(ctx, err)
		}
	}
	return nil
}

// exporter gathers items of one kind and hands them over.
type exporter struct {
	conn    *sqlite.Conn
	limit   int
	take    func([]store.Item) error
	deleted map[int64]bool // hooks

	after store.Place
	items []store.Item
	bytes int
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

// origin says where the items of a kind come from: the rows after a place (?1,
// ?2, ?3), and what to make of one.
type origin struct {
	query string
	make  func(e *exporter, stmt *sqlite.Stmt) error
}

var exports = map[store.Kind]origin{
	store.KindHead: {"SELECT 1 WHERE ?1 < 0", (*exporter).head},
	store.KindSource: {
		"SELECT number, name, deleted, CASE WHEN NOT deleted THEN doc END FROM sources WHERE number > ?1 ORDER BY number",
		(*exporter).source,
	},
	store.KindHook: {
		"SELECT number, id, deleted, revision, doc, hold_reason, hold_since, hold_total, hold_recheck, hold_changes FROM hooks WHERE number > ?1 ORDER BY number",
		(*exporter).hook,
	},
	store.KindCount:    {"SELECT kind, number, value FROM counts WHERE (kind, number) > (?1, ?2) ORDER BY kind, number", (*exporter).count},
	store.KindRevision: {"SELECT revision, hook, at, doc FROM revisions WHERE revision > ?1 ORDER BY revision", (*exporter).revision},
	store.KindReplay: {
		"SELECT number, id, hook, created, origin_hook, origin_replay FROM replays WHERE number > ?1 ORDER BY number",
		(*exporter).replay,
	},
	store.KindRemoved: {"SELECT block, received, keys FROM removed_keys WHERE block >= ?1 / 64 ORDER BY block", (*exporter).removed},
	store.KindBlock:   {"SELECT id, received, revision, summary, payload FROM blocks WHERE id > ?1 ORDER BY id", (*exporter).block},
	store.KindFilterError: {
		"SELECT seq, hook, detail FROM filter_errors WHERE (seq, hook) > (?1, ?2) ORDER BY seq, hook",
		(*exporter).filterError,
	},
	store.KindDelivery: {
		"SELECT " + ownColumns + ", first, held FROM deliveries WHERE (seq, hook, replay) > (?1, ?2, ?3) ORDER BY seq, hook, replay",
		(*exporter).delivery,
	},
	store.KindOwed: {
		"SELECT " + owedColumns + " FROM owed WHERE (block, hook, replay) > (?1, ?2, ?3) ORDER BY block, hook, replay",
		(*exporter).owed,
	},
	store.KindRejected: {
		"SELECT id, source, received, reason, detail, size, raw FROM rejected WHERE id > ?1 ORDER BY id",
		(*exporter).rejected,
	},
}

func (e *exporter) export(kind store.Kind) error {
	from := exports[kind]
	stmt := prep(e.conn, from.query)
	for i := range min(stmt.BindParamCount(), len(e.after)) {
		stmt.BindInt64(i+1, e.after[i])
	}
	if err := each(stmt, func() error { return from.make(e, stmt) }); err != nil {
		return err
	}
	return e.flush()
}

func (e *exporter) head(*sqlite.Stmt) error {
	identity, err := metaText(e.conn, "identity")
	if err != nil {
		return err
	}
	if len(identity) != 20 {
		return fmt.Errorf("the store has no identity: %w", store.ErrNotFound)
	}
	canary, err := metaText(e.conn, "canary")
	if err != nil {
		return err
	}
	item := &store.HeadItem{Canary: []byte(canary)}
	copy(item.Identity.UUID[:], identity)
	item.Identity.Tag = binary.BigEndian.Uint32([]byte(identity[16:]))
	for query, into := range map[string]*int64{
		`SELECT max(coalesce((SELECT max(id) FROM blocks), 0),
			coalesce((SELECT value FROM meta WHERE name = 'last_block'), 0))`: &item.LastBlock,
		"SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revisions'), 0)": &item.LastRevision,
		"SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'replays'), 0)":   &item.LastReplay,
		"SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rejected'), 0)":  &item.LastRejected,
	} {
		if *into, err = sqlitex.ResultInt64(prep(e.conn, query)); err != nil {
			return err
		}
	}
	return e.add(item, 0)
}

func (e *exporter) source(stmt *sqlite.Stmt) error {
	item := &store.SourceItem{Number: stmt.ColumnInt64(0), Name: stmt.ColumnText(1), Deleted: stmt.ColumnBool(2), Doc: blob(stmt, 3)}
	return e.add(item, len(item.Doc))
}

func (e *exporter) hook(stmt *sqlite.Stmt) error {
	item := &store.HookItem{Number: stmt.ColumnInt64(0), ID: stmt.ColumnText(1), Deleted: stmt.ColumnBool(2), Revision: stmt.ColumnInt64(3)}
	if !item.Deleted {
		item.Doc, item.HoldReason = blob(stmt, 4), hook.Reason(stmt.ColumnText(5))
		item.HoldSince, item.HoldTotal = stmt.ColumnInt64(6), stmt.ColumnInt64(7)
		item.HoldRecheck, item.HoldChanges = stmt.ColumnInt64(8), stmt.ColumnInt64(9)
	}
	return e.add(item, len(item.Doc))
}

func (e *exporter) count(stmt *sqlite.Stmt) error {
	item := &store.CountItem{Of: store.CountOf(stmt.ColumnInt64(0)), Number: stmt.ColumnInt64(1)}
	value := blob(stmt, 2)
	var fields []*int64
	switch item.Of {
	case store.CountOfSource:
		var v hook.SourceCount
		fields = pack.SourceFields(&v)
		pack.ReadCounts(value, fields)
	case store.CountOfHook:
		var v hook.HookCount
		fields = pack.HookFields(&v)
		pack.ReadCounts(value, fields)
		if e.deleted[item.Number] {
			v.Cancelled += v.Waiting()
		}
	default:
		return fmt.Errorf("the store counts something unknown, of kind %d", item.Of)
	}
	for i, v := range fields {
		item.Values[i] = *v
	}
	if item.Values == [7]int64{} {
		return nil
	}
	return e.add(item, 0)
}

func (e *exporter) revision(stmt *sqlite.Stmt) error {
	item := &store.RevisionItem{Revision: stmt.ColumnInt64(0), Hook: stmt.ColumnInt64(1), At: stmt.ColumnInt64(2), Doc: blob(stmt, 3)}
	return e.add(item, len(item.Doc))
}

func (e *exporter) replay(stmt *sqlite.Stmt) error {
	return e.add(&store.ReplayItem{
		Number: stmt.ColumnInt64(0), ID: stmt.ColumnText(1), Hook: stmt.ColumnInt64(2), Created: stmt.ColumnInt64(3),
		OriginHook: stmt.ColumnInt64(4), OriginReplay: stmt.ColumnInt64(5),
	}, 64)
}

// removed looks up the dedupe keys that a removed block has left.
func (e *exporter) removed(stmt *sqlite.Stmt) error {
	block, received, keys := stmt.ColumnInt64(0), stmt.ColumnInt64(1), blob(stmt, 2)
	var left []pack.Seen
	for ; len(keys) >= 8; keys = keys[8:] {
		raw, err := seenEntries(e.conn, int64(binary.BigEndian.Uint64(keys)))
		if err != nil {
			return err
		}
		for _, entry := range pack.ParseSeen(raw) {
			if entry.Seq.Block() == block && int64(entry.Seq) > e.after[0] {
				left = append(left, entry)
			}
		}
	}
	slices.SortFunc(left, func(a, b pack.Seen) int { return cmp.Compare(a.Seq, b.Seq) })
	// Two uuids under one key are found twice.
	for _, entry := range slices.Compact(left) {
		item := &store.RemovedItem{Seq: entry.Seq, Source: entry.Source, Key: entry.Key(), Received: received}
		if err := e.add(item, 48); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) block(stmt *sqlite.Stmt) error {
	item := &store.BlockItem{
		ID: stmt.ColumnInt64(0), Received: stmt.ColumnInt64(1), Revision: stmt.ColumnInt64(2),
		Summary: blob(stmt, 3), Payload: blob(stmt, 4),
	}
	events, _, err := pack.Summary(item.ID, fromMicros(item.Received), item.Summary)
	if err != nil {
		return err
	}
	item.Events = len(events)
	return e.add(item, len(item.Summary)+len(item.Payload))
}

func (e *exporter) filterError(stmt *sqlite.Stmt) error {
	item := &store.FilterErrorItem{Seq: hook.Seq(stmt.ColumnInt64(0)), Hook: stmt.ColumnInt64(1), Detail: stmt.ColumnText(2)}
	return e.add(item, len(item.Detail))
}

func (e *exporter) delivery(stmt *sqlite.Stmt) error {
	item := &store.DeliveryItem{
		Key:   hook.Key{Seq: hook.Seq(stmt.ColumnInt64(0)), Hook: stmt.ColumnInt64(1), Replay: stmt.ColumnInt64(2)},
		State: hook.State(stmt.ColumnInt64(3)), Reason: hook.Reason(stmt.ColumnText(4)),
		Created: stmt.ColumnInt64(5), Attempts: stmt.ColumnInt64(7),
		Log: blob(stmt, 8), Response: blob(stmt, 9),
	}
	switch {
	case item.State == hook.Waiting && e.deleted[item.Hook]:
		item.State, item.Reason = hook.Cancelled, hook.ReasonHookDeleted
	case item.State == hook.Waiting:
		item.Due, item.First, item.Held = stmt.ColumnInt64(6), stmt.ColumnInt64(10), stmt.ColumnInt64(11)
	}
	return e.add(item, 64+len(item.Log)+len(item.Response))
}

func (e *exporter) owed(stmt *sqlite.Stmt) error {
	item := &store.OwedItem{
		Block: stmt.ColumnInt64(0), Hook: stmt.ColumnInt64(1), Replay: stmt.ColumnInt64(2), Created: stmt.ColumnInt64(3),
		Matched: uint64(stmt.ColumnInt64(4)), Open: uint64(stmt.ColumnInt64(5)), Outcomes: pack.SortOutcomes(blob(stmt, 6)),
	}
	if e.deleted[item.Hook] {
		item.Open = 0
	}
	return e.add(item, 64+len(item.Outcomes))
}

func (e *exporter) rejected(stmt *sqlite.Stmt) error {
	item := &store.RejectedItem{
		ID: stmt.ColumnInt64(0), Source: stmt.ColumnInt64(1), Received: stmt.ColumnInt64(2),
		Reason: hook.Reason(stmt.ColumnText(3)), Detail: stmt.ColumnText(4), Size: stmt.ColumnInt64(5), Raw: blob(stmt, 6),
	}
	return e.add(item, 128+len(item.Detail)+len(item.Raw))
}
