package postgres

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5"
)

// Import keeps items and the mark of the last; see store.ArchiveWriter.
func (a *Archive) Import(ctx context.Context, items []store.Item) error {
	if len(items) == 0 {
		return nil
	}
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		// Whatever a crash undoes is imported again.
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
			return err
		}
		w := &importer{ctx: ctx, tx: tx, days: make(map[int64]bool)}
		for _, item := range items {
			if err := w.put(item); err != nil {
				return fmt.Errorf("%s: %w", item.Mark(), err)
			}
		}
		if err := w.write(); err != nil {
			return err
		}
		return setMeta(ctx, tx, copyMark, []byte(items[len(items)-1].Mark().String()))
	})
}

// importer gathers the rows of one transaction.
type importer struct {
	ctx    context.Context
	tx     pgx.Tx
	tables []*tableRows
	head   *store.HeadItem
	keys   keyRows
	days   map[int64]bool // of blocks; false of those that are gone
	newest int64          // received, of what another store has numbered
}

// tableRows are rows for a table.
type tableRows struct {
	name    string
	columns []string
	rows    [][]any
}

// keyRows are dedupe keys, a slice for each column.
type keyRows struct {
	keys    [][16]byte
	sources []int64
	seqs    []int64
}

func (k *keyRows) add(key [16]byte, source int64, seq hook.Seq) {
	k.keys, k.sources, k.seqs = append(k.keys, key), append(k.sources, source), append(k.seqs, int64(seq))
}

var imports = map[string][]string{
	"sources": {"number", "name", "deleted", "doc"},
	"hooks": {"number", "id", "deleted", "revision", "doc",
		"hold_reason", "hold_since", "hold_total", "hold_recheck", "hold_changes"},
	"counts":        {"kind", "number", "slot", "v1", "v2", "v3", "v4", "v5", "v6", "v7"},
	"revisions":     {"revision", "hook", "at", "doc"},
	"replays":       {"number", "id", "hook", "created", "origin_hook", "origin_replay"},
	"blocks":        {"id", "received", "revision", "events", "summary", "payload"},
	"filter_errors": {"seq", "hook", "detail"},
	"retries":       {"seq", "created", "due", "first", "held", "hook", "replay", "attempts", "reason", "log", "response"},
	"ended":         {"seq", "created", "hook", "replay", "attempts", "state", "reason", "log", "response"},
	"work":          {"block", "created", "matched", "open", "hook", "replay", "outcomes"},
	"settled":       {"block", "created", "matched", "hook", "replay", "outcomes"},
	"rejected":      {"id", "source", "received", "reason", "detail", "size", "raw"},
}

func (w *importer) row(table string, values ...any) error {
	for _, t := range w.tables {
		if t.name == table {
			t.rows = append(t.rows, values)
			return nil
		}
	}
	w.tables = append(w.tables, &tableRows{table, imports[table], [][]any{values}})
	return nil
}

func (w *importer) put(item store.Item) error {
	switch i := item.(type) {
	case *store.HeadItem:
		w.head = i
		return nil
	case *store.SourceItem:
		return w.row("sources", i.Number, i.Name, i.Deleted, document(i.Doc, i.Deleted))
	case *store.HookItem:
		return w.row("hooks", i.Number, i.ID, i.Deleted, i.Revision, document(i.Doc, i.Deleted),
			string(i.HoldReason), i.HoldSince, i.HoldTotal, i.HoldRecheck, i.HoldChanges)
	case *store.CountItem:
		v := &i.Values
		return w.row("counts", int64(i.Of), i.Number, 0, v[0], v[1], v[2], v[3], v[4], v[5], v[6])
	case *store.RevisionItem:
		return w.row("revisions", i.Revision, i.Hook, i.At, document(i.Doc, false))
	case *store.ReplayItem:
		return w.row("replays", i.Number, i.ID, i.Hook, i.Created, i.OriginHook, i.OriginReplay)
	case *store.RemovedItem:
		w.day(i.Seq.Block(), i.Received, false)
		w.keys.add(i.Key, i.Source, i.Seq)
		return nil
	case *store.BlockItem:
		return w.block(i)
	case *store.FilterErrorItem:
		return w.row("filter_errors", int64(i.Seq), i.Hook, []byte(i.Detail))
	case *store.DeliveryItem:
		if i.State == hook.Waiting {
			return w.row("retries", int64(i.Seq), i.Created, i.Due, i.First, i.Held, i.Hook, i.Replay,
				i.Attempts, string(i.Reason), attempts(i.Log), i.Response)
		}
		return w.row("ended", int64(i.Seq), i.Created, i.Hook, i.Replay,
			i.Attempts, int64(i.State), string(i.Reason), attempts(i.Log), i.Response)
	case *store.OwedItem:
		outcomes, err := pack.Rebase(i.Outcomes, fromMicros(i.Created), dayOf(i.Block), false)
		if err != nil {
			return err
		}
		if i.Open != 0 {
			return w.row("work", i.Block, i.Created, int64(i.Matched), int64(i.Open), i.Hook, i.Replay, outcomes)
		}
		return w.row("settled", i.Block, i.Created, int64(i.Matched), i.Hook, i.Replay, outcomes)
	case *store.RejectedItem:
		return w.row("rejected", i.ID, i.Source, i.Received, string(i.Reason), []byte(i.Detail), i.Size, i.Raw)
	default:
		return fmt.Errorf("%T cannot be kept", item)
	}
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

// attempts is a log as it is kept, never NULL.
func attempts(log []byte) [][]byte { return append([][]byte{}, pack.SplitLog(log)...) }

func (w *importer) block(i *store.BlockItem) error {
	events, _, err := pack.Summary(i.ID, fromMicros(i.Received), i.Summary)
	if err != nil {
		return err
	}
	for _, e := range events {
		w.keys.add(dedupeKey(e.UUID), e.Source, e.Seq)
	}
	w.day(i.ID, i.Received, true)
	return w.row("blocks", i.ID, i.Received, i.Revision, len(events), i.Summary, i.Payload)
}

// day notes the day of a block that is there, or was.
func (w *importer) day(block, received int64, there bool) {
	day := block >> dayBits
	w.days[day] = w.days[day] || there
	if day == 0 {
		w.newest = max(w.newest, received)
	}
}

// write writes what was gathered.
func (w *importer) write() error {
	if err := w.writeHead(); err != nil {
		return err
	}
	if err := w.writeDays(); err != nil {
		return err
	}
	if len(w.keys.keys) > 0 {
		// Of two events with one uuid the first has the key.
		_, err := w.tx.Exec(w.ctx, "INSERT INTO seen (key, source, seq) SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING",
			w.keys.keys, w.keys.sources, w.keys.seqs)
		if err != nil {
			return err
		}
	}
	for _, t := range w.tables {
		if _, err := w.tx.CopyFrom(w.ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

func (w *importer) writeHead() error {
	i := w.head
	if i == nil {
		return nil
	}
	identity := binary.BigEndian.AppendUint32(i.Identity.UUID[:], i.Identity.Tag)
	if err := setMeta(w.ctx, w.tx, "identity", identity); err != nil {
		return err
	}
	if len(i.Canary) > 0 {
		if err := setMeta(w.ctx, w.tx, "canary", i.Canary); err != nil {
			return err
		}
	}
	for sequence, last := range map[string]int64{"block_ids": i.LastBlock, "replays_number_seq": i.LastReplay, "rejected_id_seq": i.LastRejected} {
		if last == 0 {
			continue
		}
		if _, err := w.tx.Exec(w.ctx, "SELECT setval($1::regclass, $2)", sequence, last); err != nil {
			return err
		}
	}
	_, err := w.tx.Exec(w.ctx, "UPDATE registry SET revision = $1, changes = changes + 1", i.LastRevision)
	return err
}

// writeDays makes the partitions of days, and notes those whose dedupe keys only
// are left.
func (w *importer) writeDays() error {
	for day, there := range w.days {
		statement := "SELECT make_days($1, $1)"
		if !there {
			statement = "INSERT INTO days (day, dropped) VALUES ($1, true) ON CONFLICT (day) DO NOTHING"
		}
		if _, err := w.tx.Exec(w.ctx, statement, day); err != nil {
			return err
		}
	}
	if w.newest == 0 {
		return nil
	}
	_, err := w.tx.Exec(w.ctx, "UPDATE days SET newest = greatest(newest, $1) WHERE day = 0", w.newest)
	return err
}
