package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
var damages = []struct {
	statement string
	fault     store.Fault
	want      string
}{
	{"UPDATE blocks SET summary = '\\x07' WHERE id = (SELECT min(id) FROM blocks)", store.FaultBlock, "block BLOCK: what lists need of it cannot be read"},
	{"UPDATE blocks SET payload = substr(payload, 1, 20)", store.FaultBlock, "block BLOCK: the events' JSON cannot be read"},
	{"UPDATE blocks SET payload = set_byte(payload, 30, get_byte(payload, 30) # 1) WHERE id = BLOCK", store.FaultBlock, "block BLOCK: the events' JSON cannot be read"},
	{"UPDATE blocks SET payload = (SELECT payload FROM blocks ORDER BY id DESC LIMIT 1)", store.FaultBlock, "block BLOCK: the events' JSON cannot be read"},
	{"UPDATE blocks SET summary = replace_bytes(summary, 'a', 'b')", store.FaultBlock, `event EVENT0: lists say that it is the b "00000003-5dd2-11f0-9c1a-0242ac120002", its JSON does not`},
	{"UPDATE blocks SET events = events - 1", store.FaultBlock, "block BLOCK: its summary tells of 64 events, its row of 63"},
	{"DELETE FROM seen WHERE seq = EVENT0", store.FaultKey, "event EVENT0: it has no dedupe key: it would be kept again"},
	{"UPDATE seen SET seq = seq - 1 WHERE seq = EVENT1", store.FaultKey, "event EVENT1: its dedupe key is that of event EVENT0"},
	{"INSERT INTO seen VALUES (md5('x')::uuid, 1, EVENT0 + 64 + 63)", store.FaultKey, "a dedupe key leads to it, but its block has only 6 events"},
	{"INSERT INTO seen VALUES (md5('x')::uuid, 1, 7::bigint << 42)", store.FaultKey, "day 7: 1 dedupe keys are of it, and nothing tells when"},
	{"INSERT INTO seen VALUES (md5('x')::uuid, 1, 64)", store.FaultKey, "day 0: 1 dedupe keys are of it, and nothing tells when"},
	{"DELETE FROM blocks WHERE id = BLOCK", store.FaultOrphan, "block BLOCK: 3 rows of table work are about it, but it is not there"},
	{"DELETE FROM blocks WHERE id = BLOCK", store.FaultOrphan, "block BLOCK: 1 rows of table settled are about it, but it is not there"},
	{"DELETE FROM blocks WHERE id = BLOCK", store.FaultOrphan, "block BLOCK: 3 rows of table ended are about it, but it is not there"},
	{"DELETE FROM blocks WHERE id = BLOCK", store.FaultOrphan, "block BLOCK: 3 rows of table retries are about it, but it is not there"},
	{"DELETE FROM blocks WHERE id = BLOCK", store.FaultOrphan, "block BLOCK: 1 rows of table filter_errors are about it, but it is not there"},
	{"UPDATE retries SET hook = 77", store.FaultOrphan, "hook 77: 3 rows of table retries are about it, but there never was such a hook"},
	{"DELETE FROM hooks WHERE number = 2", store.FaultOrphan, "hook 2: 2 rows of table revisions are about it, but there never was such a hook"},
	{"DELETE FROM hooks WHERE number = 2", store.FaultOrphan, "hook 2: it has counters, but is not there"},
	{"DELETE FROM hooks WHERE number = 1", store.FaultOrphan, "hook 1: 1 rows of table replays are about it, but there never was such a hook"},
	{"DELETE FROM sources", store.FaultOrphan, "source 1: it has counters, but is not there"},
	{"DELETE FROM replays", store.FaultOrphan, "replay 1: deliveries are of it, but it is not there"},
	{"UPDATE filter_errors SET seq = EVENT0 + 64 + 20", store.FaultOrphan, "a filter error is about it, but its block has only 6 events"},
	{"INSERT INTO ended SELECT seq, created, hook, replay, attempts, 3, reason, log FROM retries LIMIT 1", store.FaultDelivery, "hook 1, replay 0: it has 2 rows of its own"},
	{"UPDATE retries SET seq = EVENT0 + 63 WHERE seq = (SELECT min(seq) FROM retries)", store.FaultDelivery, "block BLOCK, hook 1, replay 0: events are accounted for twice (0x8000000000000000)"},
	{"UPDATE retries SET replay = 5", store.FaultDelivery, "hook 1, replay 5: it has a row of its own, but is not owed"},
	{"UPDATE ended SET state = 5", store.FaultDelivery, "event EVENT0, hook 1, replay 0: its state is 5, which is none that is kept"},
	{"UPDATE ended SET log = '{}'", store.FaultDelivery, "event EVENT0, hook 1, replay 0: it was attempted 1 times, of which 1 are to be kept and 0 are"},
	{"UPDATE ended SET response = '{'", store.FaultDelivery, "event EVENT0, hook 1, replay 0: its response cannot be read"},
	{"DELETE FROM retries", store.FaultDelivery, "block BLOCK, hook 1, replay 0: events are owed, but neither waiting nor settled (0x38): they are never sent"},
	{"UPDATE work SET open = open & ~(1::bigint << 60)", store.FaultDelivery, "block BLOCK, hook 1, replay 0: events are owed, but neither waiting nor settled (0x1000000000000000): they are never sent"},
	{"UPDATE work SET matched = matched & ~(1::bigint << 60)", store.FaultDelivery, "block BLOCK, hook 1, replay 0: events have an outcome, or wait for one, that are not owed (0x1000000000000000)"},
	{"UPDATE work SET open = open | 64", store.FaultDelivery, "block BLOCK, hook 1, replay 0: events are accounted for twice (0x40)"},
	{"UPDATE work SET matched = -1 WHERE block != BLOCK AND replay = 0", store.FaultDelivery, "it is owed events that the block of 6 does not have"},
	{"INSERT INTO work SELECT * FROM work WHERE replay > 0", store.FaultDelivery, "block BLOCK, hook 1, replay 1: two rows owe the same event"},
	{"UPDATE work SET outcomes = outcomes || '\\x05'", store.FaultDelivery, "block BLOCK, hook 1, replay 0: what became of its deliveries cannot be read"},
	{"UPDATE settled SET outcomes = outcomes || outcomes", store.FaultDelivery, "block BLOCK, hook 1, replay 0: events are accounted for twice (0x3ffffffffffc0)"},
	{"UPDATE counts SET v1 = v1 + 1 WHERE kind = 2", store.FaultCounter, "hook 1: 26 deliveries wait by its counters, and 25 do"},
	{"UPDATE counts SET v3 = v3 - 1, v2 = v2 + 1 WHERE kind = 2 AND v3 > 0", store.FaultCounter, "hook 1: dead: 2 are counted, and 3 are there"},
	{"UPDATE counts SET v2 = v2 - 1 WHERE kind = 1 AND v2 > 0", store.FaultCounter, "source 1: received: 69 are counted, and 70 are there"},
	{"UPDATE ended SET state = 4", store.FaultCounter, "hook 1: cancelled: 0 are counted, and 3 are there"},
	{"UPDATE counts SET v5 = 0 WHERE kind = 2", store.FaultCounter, "hook 1: attempts: 0 are counted, and 50 are there"},
	{"INSERT INTO filter_errors VALUES (EVENT0, 1, '')", store.FaultCounter, "hook 1: filter errors: 1 are counted, and 2 are there"},
	{"INSERT INTO rejected (source, received, reason, detail, size, raw) VALUES (1, 0, '', '', 0, '')", store.FaultCounter, "source 1: rejected: 0 are counted, and 1 are there"},
	{"UPDATE hooks SET doc = '{'", store.FaultRegistry, "event hook who1: it cannot be read"},
	{"UPDATE sources SET doc = 'x'", store.FaultRegistry, "source acme: it cannot be read"},
	{"DELETE FROM revisions WHERE hook = 1", store.FaultRegistry, "event hook who1: its revision "},
	{"UPDATE registry SET revision = 1", store.FaultRegistry, "the registry: its revision is 1, but there is revision "},
	{"DELETE FROM meta", store.FaultRegistry, "the store: it has no identity"},
	{`ALTER TABLE seen RENAME TO unread;
		CREATE FUNCTION unreadable() RETURNS SETOF unread LANGUAGE plpgsql AS $$
		BEGIN RAISE data_corrupted USING MESSAGE = 'invalid page in block 7'; END $$;
		CREATE VIEW seen AS SELECT * FROM unreadable()`, store.FaultFile, "the database: it cannot be read any further: invalid page in block 7; pg_amcheck"},
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
	find := func(statement string, fault store.Fault) (found []string) {
		t.Helper()
		err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
			c := checker{ctx: ctx}
			if err := c.check(tx); err != nil {
				return err
			}
			for _, f := range c.report.Findings {
				if fault == "" || f.Fault == fault {
					found = append(found, f.Thing+": "+f.Problem)
				}
			}
			return undo
		})
		if err != undo {
			t.Fatalf("%s: %v", statement, err)
		}
		return found
	}
	if found := find("SELECT", ""); len(found) > 0 {
		t.Fatalf("found without any damage: %q", found)
	}
	for _, damage := range damages {
		found, want := find(event.Replace(damage.statement), damage.fault), event.Replace(damage.want)
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
	var told []int64
	report, err := Check(t.Context(), Options{URL: db.url}, func(done, total int64) { told = append(told, done, total) })
	if err != nil || len(report.Findings) > 0 || !slices.Equal(told, []int64{0, 2}) {
		t.Errorf("found %v (%v), told %v", report.Findings, err, told)
	}
	if report.Blocks != 2 || report.Events != 70 || report.Deliveries != 142 || len(report.Bounded) != 3 {
		t.Errorf("%+v", report)
	}
	db.exec("INSERT INTO filter_errors SELECT i, 1, '' FROM generate_series(1, 70000) i")
	report, err = Check(t.Context(), Options{URL: db.url}, nil)
	if err != nil || len(report.Findings) != store.MaxFindings+1 || report.More != 1 {
		t.Errorf("%d findings, %d more (%v)", len(report.Findings), report.More, err)
	}
}
