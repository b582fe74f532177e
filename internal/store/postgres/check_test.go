package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
)

// checked is a store that has something of everything: a hook that was deleted
// with deliveries waiting, and one with deliveries in every state.
func checked(t *testing.T) *database {
	db := newStopped(t)
	s := db.open()
	a, b := db.hook(s), db.hook(s)
	events := db.events(70, a.Number, b.Number)
	for _, e := range events {
		e.JSON = fmt.Appendf(nil, `{"uuid":%q,"eventType":%q}`, e.UUID, e.Type)
	}
	events[3].FilterErrors = []store.FilterError{{Hook: a.Number, Detail: "x"}}
	group := db.group(s, events)
	group.Counts = map[int64]hook.SourceCount{1: {Deliveries: 1}}
	_, err := s.Commit(t.Context(), group)
	db.must(err)
	source := hook.Source{Name: "acme"}
	db.must(s.CreateSource(t.Context(), &source))
	var outcomes []store.Outcome
	for i, c := range db.claim(s, a.Number, 50, lease) {
		o := db.outcome(c, hook.Delivered)
		switch {
		case i < 3:
			o.State, o.Reason, o.Response = hook.Dead, hook.ReasonExhausted, &hook.Response{Status: 500}
		case i < 6:
			o.State, o.Due = hook.Waiting, start.Add(time.Hour)
		}
		outcomes = append(outcomes, o)
	}
	lost, err := s.Settle(t.Context(), outcomes)
	if db.must(err); len(lost) > 0 {
		t.Fatalf("lost %v", lost)
	}
	r := store.Replay{ID: "rpl", Hook: a.Number, Created: start}
	db.must(s.CreateReplay(t.Context(), &r))
	_, err = s.AddToReplay(t.Context(), &r, []hook.Seq{events[0].Seq, events[69].Seq}, start)
	db.must(err)
	db.must(s.DeleteEventHook(t.Context(), b.ID, start, func(hook.EventHook) error { return nil }))
	return db
}

// damages are what may be wrong with a store, and what a check says of it.
var damages = []struct{ statement, want string }{
	{"UPDATE blocks SET summary = '\\x07' WHERE id = (SELECT min(id) FROM blocks)", "block BLOCK: its summary cannot be read: block BLOCK: the store is damaged"},
	{"UPDATE blocks SET payload = substr(payload, 1, 20)", "block BLOCK: its events cannot be read"},
	{"UPDATE blocks SET payload = (SELECT payload FROM blocks ORDER BY id DESC LIMIT 1)", "block BLOCK: its events cannot be read"},
	{"UPDATE blocks SET summary = replace_bytes(summary, 'a', 'b')", `event EVENT0: its summary says that it is the b "00000003-5dd2-11f0-9c1a-0242ac120002", its JSON does not`},
	{"UPDATE blocks SET events = events - 1", "block BLOCK: its summary tells of 64 events, its row of 63"},
	{"DELETE FROM seen WHERE seq = EVENT0", "event EVENT0: its dedupe key is missing: it would be taken in again"},
	{"UPDATE seen SET seq = seq - 1 WHERE seq = EVENT1", "event EVENT1: its dedupe key leads to event EVENT0"},
	{"INSERT INTO seen VALUES (md5('x')::uuid, 1, EVENT0 + 64 + 63)", "a dedupe key leads to it, but its block has only 6 events"},
	{"INSERT INTO seen VALUES (md5('x')::uuid, 1, 7::bigint << 42)", "day 7: 1 dedupe keys are of it, but nobody knows of it"},
	{"INSERT INTO seen VALUES (md5('x')::uuid, 1, 64)", "day 0: 1 dedupe keys are of it, but nobody knows of it"},
	{"DELETE FROM blocks WHERE id = BLOCK", "table work: 3 rows are about block BLOCK, which is not there"},
	{"DELETE FROM blocks WHERE id = BLOCK", "table ended: 3 rows are about block BLOCK, which is not there"},
	{"DELETE FROM blocks WHERE id = BLOCK", "table filter_errors: 1 rows are about block BLOCK, which is not there"},
	{"UPDATE retries SET hook = 77", "table retries: 3 rows are about hook 77, which there never was"},
	{"UPDATE filter_errors SET seq = EVENT0 + 64 + 20", "a filter error is about it, but its block has only 6 events"},
	{"INSERT INTO ended SELECT seq, created, hook, replay, attempts, 3, reason, log FROM retries LIMIT 1", "it has 2 rows of its own for hook 1, replay 0"},
	{"UPDATE retries SET seq = EVENT0 + 63 WHERE seq = (SELECT min(seq) FROM retries)", "block BLOCK, hook 1, replay 0: events are accounted for twice (0x8000000000000000)"},
	{"UPDATE retries SET replay = 5", "it has a row of its own for hook 1, replay 5, to which it is not owed"},
	{"DELETE FROM retries", "block BLOCK, hook 1, replay 0: events are owed, but neither waiting nor settled (0x38): they are never sent"},
	{"UPDATE work SET open = open & ~(1::bigint << 60)", "block BLOCK, hook 1, replay 0: events are owed, but neither waiting nor settled (0x1000000000000000): they are never sent"},
	{"UPDATE work SET matched = matched & ~(1::bigint << 60)", "block BLOCK, hook 1, replay 0: events have an outcome, or wait for one, that are not owed (0x1000000000000000)"},
	{"UPDATE work SET open = open | 64", "block BLOCK, hook 1, replay 0: events are accounted for twice (0x40)"},
	{"UPDATE work SET matched = -1 WHERE block != BLOCK AND replay = 0", "it is owed events that the block of 6 does not have"},
	{"INSERT INTO work SELECT * FROM work WHERE replay > 0", "block BLOCK, hook 1, replay 1: two rows owe the same event"},
	{"UPDATE work SET outcomes = outcomes || '\\x05'", "block BLOCK, hook 1, replay 0: outcomes of it cannot be read"},
	{"UPDATE settled SET outcomes = outcomes || outcomes", "block BLOCK, hook 1, replay 0: events are accounted for twice (0x3ffffffffffc0)"},
	{"UPDATE counts SET v1 = v1 + 1 WHERE kind = 2", "hook 1: 26 deliveries wait for it by its counters, and 25 do"},
	{"UPDATE counts SET v3 = v3 - 1, v2 = v2 + 1 WHERE kind = 2 AND v3 > 0", "hook 1: it has counted 72 deliveries, 45 delivered, 2 dead; but there are 72, 44, 3"},
	{"UPDATE counts SET v2 = v2 - 1 WHERE kind = 1 AND v2 > 0", "source 1: it has counted 69 events, but there are 70 of it"},
	{"UPDATE hooks SET doc = '{'", "event hook who1: cannot be read"},
	{"UPDATE sources SET doc = 'x'", "source acme: cannot be read"},
	{"DELETE FROM revisions WHERE hook = 1", "event hook who1: its revision 1 is missing"},
	{"UPDATE registry SET revision = 1", "the registry: its revision is 1, but there is revision 3"},
	{"DELETE FROM meta", "the store: it has no identity"},
}

// TestCheck damages a store in every way that a check is to find.
func TestCheck(t *testing.T) {
	db := checked(t)
	ctx := context.Background()
	block := ask[int64](db, "SELECT min(id) FROM blocks")
	event := strings.NewReplacer("BLOCK", fmt.Sprint(block), "EVENT0", fmt.Sprint(hook.MakeSeq(block, 0)), "EVENT1", fmt.Sprint(hook.MakeSeq(block, 1)))
	db.exec(`CREATE FUNCTION replace_bytes(b bytea, a text, c text) RETURNS bytea LANGUAGE sql AS
		$$ SELECT overlay(b PLACING c::bytea FROM position(a::bytea in b)) $$`)
	conn := db.connect()
	defer conn.Close(ctx)
	undo := errors.New("undo")
	find := func(statement string) (found []string) {
		t.Helper()
		err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
			c := checker{ctx: ctx, progress: func(int64, int64) {}}
			if err := c.check(tx); err != nil {
				return err
			}
			for _, f := range c.findings {
				found = append(found, f.Thing+": "+f.Problem)
			}
			return undo
		})
		if err != undo {
			t.Fatalf("%s: %v", statement, err)
		}
		return found
	}
	if found := find("SELECT"); len(found) > 0 {
		t.Fatalf("found without any damage: %q", found)
	}
	for _, damage := range damages {
		found, want := find(event.Replace(damage.statement)), event.Replace(damage.want)
		if !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%s\nfound %q\nwant %q", damage.statement, found, want)
		}
	}
}

// TestCheckOpenStore checks a store that gateways use, and bounds what it tells.
func TestCheckOpenStore(t *testing.T) {
	db := checked(t)
	s := db.open()
	db.beat(s)
	told := int64(0)
	found, err := Check(t.Context(), Options{URL: db.url}, func(done, of int64) { told = of })
	if err != nil || len(found) > 0 || told != 0 {
		t.Errorf("found %v (%v)", found, err)
	}
	db.exec("INSERT INTO filter_errors SELECT i, 1, '' FROM generate_series(1, 70000) i")
	found, err = Check(t.Context(), Options{URL: db.url}, func(int64, int64) {})
	if err != nil || len(found) != store.MaxFindings || !strings.Contains(found[store.MaxFindings-1].Problem, "there may be more") {
		t.Errorf("%d findings (%v)", len(found), err)
	}
}
