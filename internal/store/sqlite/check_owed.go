package sqlite

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
)

// owedOf checks that every delivery of a block, which has events in slots, is
// exactly one of open, delivered in place, or in a row of its own.
func (c *checker) owedOf(id int64, slots uint64) error {
	own, err := c.ownOf(id)
	if err != nil {
		return err
	}
	stmt := prep(c.conn, "SELECT "+owedColumns+" FROM owed WHERE block = ?")
	stmt.BindInt64(1, id)
	err = each(stmt, func() error {
		row := scanOwed(stmt)
		key := rowKey{row.block, row.hook, row.replay}
		c.owedRow(&row, slots, own[key])
		delete(own, key)
		return nil
	})
	for key := range own {
		c.report.Add(store.FaultOrphan, delivery(key.block, key.hook, key.replay), "there are deliveries of it, but nothing is owed")
	}
	return err
}

func delivery(block, hook, replay int64) string {
	return fmt.Sprintf("block %d, hook %d, replay %d", block, hook, replay)
}

func (c *checker) owedRow(row *owedRow, slots, own uint64) {
	where := delivery(row.block, row.hook, row.replay)
	done, ok := pack.CheckOutcomes(row.outcomes)
	if !ok {
		c.report.Add(store.FaultDelivery, where, "what became of its deliveries cannot be read")
	}
	for _, fault := range []struct {
		slots uint64
		says  string
	}{
		{row.matched &^ slots, "owed, but the block has no such events"},
		{(row.open | done | own) &^ row.matched, "there, but not owed"},
		{row.open & done, "both open and delivered"},
		{row.open & own, "both open and in a row of their own"},
		{done & own, "both delivered at the first attempt and in a row of their own"},
		{row.matched &^ (row.open | done | own), "owed, but nothing tells what became of them"},
	} {
		if fault.slots != 0 {
			c.report.Add(store.FaultDelivery, where, "%d deliveries (slots %#x) are %s", bits.OnesCount64(fault.slots), fault.slots, fault.says)
		}
	}
	count := c.truth.hooks[row.hook]
	count.Matched += int64(row.count())
	count.Delivered += int64(bits.OnesCount64(done))
	count.Attempts += int64(bits.OnesCount64(done))
	c.truth.hooks[row.hook] = count
	c.waiting[row.hook] += int64(bits.OnesCount64(row.open))
	c.report.Deliveries += int64(row.count())
}

// ownOf checks the deliveries of a block that have rows of their own, and
// returns their slots.
func (c *checker) ownOf(id int64) (map[rowKey]uint64, error) {
	own := make(map[rowKey]uint64)
	stmt := prep(c.conn, "SELECT "+ownColumns+" FROM deliveries WHERE seq BETWEEN ? AND ?")
	stmt.BindInt64(1, int64(hook.MakeSeq(id, 0)))
	stmt.BindInt64(2, int64(hook.MakeSeq(id, hook.BlockSlots-1)))
	return own, each(stmt, func() error {
		d, err := scanOwn(stmt, true)
		where := fmt.Sprintf("event %d, hook %d, replay %d", d.Seq, d.Hook, d.Replay)
		if err != nil {
			c.report.Add(store.FaultDelivery, where, "its response cannot be read: %v", err)
		}
		if kept := min(d.AttemptCount, hook.MaxAttemptsKept); len(d.Attempts) != kept {
			c.report.Add(store.FaultDelivery, where, "it was attempted %d times, of which %d are to be kept and %d are", d.AttemptCount, kept, len(d.Attempts))
		}
		own[rowKey{id, d.Hook, d.Replay}] |= 1 << d.Seq.Slot()
		count := c.truth.hooks[d.Hook]
		count.Attempts += int64(d.AttemptCount)
		switch d.State {
		case hook.Waiting:
			c.waiting[d.Hook]++
		case hook.Delivered:
			count.Delivered++
		case hook.Dead:
			count.Dead++
		case hook.Cancelled:
			count.Cancelled++
		default:
			c.report.Add(store.FaultDelivery, where, "its state is %d, which is none that is kept", d.State)
		}
		c.truth.hooks[d.Hook] = count
		return nil
	})
}

// orphans looks for what belongs to something that is not there.
func (c *checker) orphans() error {
	for _, of := range []struct{ what, query string }{
		{"block %d: owed to hooks, but not there", "SELECT DISTINCT block FROM owed WHERE NOT EXISTS (SELECT 1 FROM blocks WHERE id = block)"},
		{"block %d: there are deliveries of it, but not the block", "SELECT DISTINCT seq >> 6 FROM deliveries WHERE NOT EXISTS (SELECT 1 FROM blocks WHERE id = seq >> 6)"},
		{"block %d: filters failed on it, but it is not there", "SELECT DISTINCT seq >> 6 FROM filter_errors WHERE NOT EXISTS (SELECT 1 FROM blocks WHERE id = seq >> 6)"},
		{"hook %d: owed deliveries, but not there", "SELECT DISTINCT hook FROM owed WHERE hook NOT IN (SELECT number FROM hooks)"},
		{"hook %d: its filter failed, but it is not there", "SELECT DISTINCT hook FROM filter_errors WHERE hook NOT IN (SELECT number FROM hooks)"},
		{"hook %d: it has a history, but is not there", "SELECT DISTINCT hook FROM revisions WHERE hook NOT IN (SELECT number FROM hooks)"},
		{"hook %d: its present revision is not in its history", "SELECT number FROM hooks WHERE NOT EXISTS (SELECT 1 FROM revisions WHERE hook = number AND revision = hooks.revision)"},
		{"hook %d: it has replays, but is not there", "SELECT DISTINCT hook FROM replays WHERE hook NOT IN (SELECT number FROM hooks)"},
		{"hook %d: it has counters, but is not there", "SELECT number FROM counts WHERE kind = 2 AND number NOT IN (SELECT number FROM hooks)"},
		{"source %d: it has counters, but is not there", "SELECT number FROM counts WHERE kind = 1 AND number != 0 AND number NOT IN (SELECT number FROM sources)"},
		{"replay %d: it owes deliveries, but is not there", "SELECT DISTINCT replay FROM owed WHERE replay != 0 AND replay NOT IN (SELECT number FROM replays)"},
	} {
		stmt := prep(c.conn, of.query)
		err := each(stmt, func() error {
			thing, problem, _ := strings.Cut(fmt.Sprintf(of.what, stmt.ColumnInt64(0)), ": ")
			c.report.Add(store.FaultOrphan, thing, "%s", problem)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
