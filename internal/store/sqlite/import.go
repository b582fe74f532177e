package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// Import keeps items and the mark of the last; see store.ArchiveWriter.
func (a *Archive) Import(_ context.Context, items []store.Item) error {
	if len(items) == 0 {
		return nil
	}
	return a.write(func() error {
		w := importer{conn: a.conn, deleted: make(map[int64]bool)}
		for _, item := range items {
			if err := w.put(item); err != nil {
				return fmt.Errorf("%s: %w", item.Mark(), err)
			}
		}
		return setMeta(a.conn, copyMark, []byte(items[len(items)-1].Mark().String()))
	})
}

// importer keeps the items of one transaction.
type importer struct {
	conn    *sqlite.Conn
	deleted map[int64]bool // hooks that were looked up
}

func (w *importer) put(item store.Item) error {
	switch i := item.(type) {
	case *store.HeadItem:
		return w.head(i)
	case *store.SourceItem:
		return w.insert("INSERT INTO sources (number, name, deleted, doc) VALUES (?, ?, ?, ?)",
			i.Number, i.Name, i.Deleted, document(i.Doc, i.Deleted))
	case *store.HookItem:
		return w.insert(`INSERT INTO hooks (number, id, deleted, revision, doc, hold_reason, hold_since, hold_total, hold_recheck, hold_changes)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			i.Number, i.ID, i.Deleted, i.Revision, document(i.Doc, i.Deleted), string(i.HoldReason), i.HoldSince, i.HoldTotal, i.HoldRecheck, i.HoldChanges)
	case *store.CountItem:
		fields := make([]*int64, len(i.Values))
		for n := range i.Values {
			fields[n] = &i.Values[n]
		}
		return writeCounts(w.conn, int64(i.Of), i.Number, fields)
	case *store.RevisionItem:
		return w.insert("INSERT INTO revisions (revision, hook, at, doc) VALUES (?, ?, ?, ?)", i.Revision, i.Hook, i.At, document(i.Doc, false))
	case *store.ReplayItem:
		return w.insert("INSERT INTO replays (number, id, hook, created, origin_hook, origin_replay) VALUES (?, ?, ?, ?, ?, ?)",
			i.Number, i.ID, i.Hook, i.Created, i.OriginHook, i.OriginReplay)
	case *store.RemovedItem:
		return w.removed(i)
	case *store.BlockItem:
		return w.block(i)
	case *store.FilterErrorItem:
		return w.insert("INSERT INTO filter_errors (seq, hook, detail) VALUES (?, ?, ?)", int64(i.Seq), i.Hook, i.Detail)
	case *store.DeliveryItem:
		return w.delivery(i)
	case *store.OwedItem:
		return w.owed(i)
	case *store.RejectedItem:
		return w.insert("INSERT INTO rejected (id, source, received, reason, detail, size, raw) VALUES (?, ?, ?, ?, ?, ?, ?)",
			i.ID, i.Source, i.Received, string(i.Reason), i.Detail, i.Size, i.Raw)
	default:
		return fmt.Errorf("%T cannot be kept", item)
	}
}

// insert runs a statement with values of the types that are bound here.
func (w *importer) insert(query string, values ...any) error {
	stmt := prep(w.conn, query)
	for n, value := range values {
		switch v := value.(type) {
		case nil:
			stmt.BindNull(n + 1)
		case int64:
			stmt.BindInt64(n+1, v)
		case bool:
			stmt.BindBool(n+1, v)
		case string:
			stmt.BindText(n+1, v)
		case []byte:
			stmt.BindBytes(n+1, v)
		default:
			return fmt.Errorf("a %T cannot be bound", v)
		}
	}
	return run(stmt)
}

// document is JSON as it is kept: of what is deleted there is none left.
func document(doc []byte, deleted bool) any {
	switch {
	case deleted:
		return "{}"
	case len(doc) == 0:
		return nil
	default:
		return string(doc)
	}
}

func (w *importer) head(i *store.HeadItem) error {
	identity := binary.BigEndian.AppendUint32(i.Identity.UUID[:], i.Identity.Tag)
	if err := setMeta(w.conn, "identity", identity); err != nil {
		return err
	}
	if len(i.Canary) > 0 {
		if err := setMeta(w.conn, "canary", i.Canary); err != nil {
			return err
		}
	}
	if err := keepLastBlock(w.conn, i.LastBlock); err != nil {
		return err
	}
	for table, last := range map[string]int64{"revisions": i.LastRevision, "replays": i.LastReplay, "rejected": i.LastRejected} {
		if err := w.insert("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, last); err != nil {
			return err
		}
	}
	return nil
}

// removed notes a dedupe key as noteKeys does.
func (w *importer) removed(i *store.RemovedItem) error {
	entry, key := pack.Key(i.Key).Seen()
	entry.Source, entry.Seq = i.Source, i.Seq
	raw, err := seenEntries(w.conn, key)
	if err != nil {
		return err
	}
	err = w.insert("INSERT INTO seen (key, entries) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET entries = ?2", key, pack.AppendSeen(raw, entry))
	if err != nil {
		return err
	}
	return w.insert("INSERT INTO removed_keys (block, received, keys) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET keys = CAST(keys || ?3 AS BLOB)",
		i.Seq.Block(), i.Received, binary.BigEndian.AppendUint64(nil, uint64(key)))
}

func (w *importer) block(i *store.BlockItem) error {
	err := w.insert("INSERT INTO blocks (id, received, revision, summary, payload) VALUES (?, ?, ?, ?, ?)",
		i.ID, i.Received, i.Revision, i.Summary, i.Payload)
	if err != nil {
		return err
	}
	events, _, err := pack.Summary(i.ID, fromMicros(i.Received), i.Summary)
	if err != nil {
		return err
	}
	for _, e := range events {
		if _, err := remember(w.conn, pack.SeenKey(e.UUID), pack.Seen{Source: e.Source, Seq: e.Seq, UUID: e.UUID}); err != nil {
			return err
		}
	}
	return nil
}

func (w *importer) delivery(i *store.DeliveryItem) error {
	state := i.State
	if state == hook.Cancelled {
		state = hook.Waiting // here its hook tells
	}
	return w.insert(`INSERT INTO deliveries (seq, hook, replay, state, reason, created, due, first, held, attempts, log, response)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(i.Seq), i.Hook, i.Replay, int64(state), string(i.Reason), i.Created, i.Due, i.First, i.Held, i.Attempts, i.Log, i.Response)
}

func (w *importer) owed(i *store.OwedItem) error {
	open, err := w.cancelled(i)
	if err != nil {
		return err
	}
	row := owedRow{
		block: i.Block, hook: i.Hook, replay: i.Replay, created: fromMicros(i.Created),
		matched: i.Matched, open: i.Open | open, outcomes: i.Outcomes,
	}
	return row.insert(w.conn)
}

// cancelled returns the slots that were cancelled with their hook before they
// were attempted. Here they are open, and it is the hook that tells.
func (w *importer) cancelled(i *store.OwedItem) (open uint64, err error) {
	deleted, known := w.deleted[i.Hook]
	if !known {
		stmt := prep(w.conn, "SELECT deleted FROM hooks WHERE number = ?")
		stmt.BindInt64(1, i.Hook)
		if err := each(stmt, func() error { deleted = stmt.ColumnBool(0); return nil }); err != nil {
			return 0, err
		}
		w.deleted[i.Hook] = deleted
	}
	if !deleted {
		return 0, nil
	}
	open = i.Matched
	for slot := range pack.Outcomes(i.Outcomes, fromMicros(i.Created)) {
		open &^= 1 << slot
	}
	stmt := prep(w.conn, "SELECT seq FROM deliveries WHERE seq BETWEEN ? AND ? AND hook = ? AND replay = ?")
	stmt.BindInt64(1, int64(hook.MakeSeq(i.Block, 0)))
	stmt.BindInt64(2, int64(hook.MakeSeq(i.Block, hook.BlockSlots-1)))
	stmt.BindInt64(3, i.Hook)
	stmt.BindInt64(4, i.Replay)
	err = each(stmt, func() error { open &^= 1 << hook.Seq(stmt.ColumnInt64(0)).Slot(); return nil })
	return open, err
}
