package sqlite

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// old writes a store as schema version 2 was written, without any code of
// today but what has not changed since: n blocks of two events owed to hook 1,
// of which one was delivered, and in every tenth block the other is dead.
func old(t *testing.T, path string, n int, at time.Time) {
	raw(t, path, func(conn *sqlite.Conn) {
		for _, m := range migrations[:2] {
			if err := sqlitex.ExecuteScript(conn, m, nil); err != nil {
				t.Fatal(err)
			}
		}
		exec1(t, conn, "PRAGMA user_version = 2")
		exec1(t, conn, `INSERT INTO hooks (id, revision, doc) VALUES ('who1', 1, '{"id":"who1","status":"ACTIVE","verified":true}')`)
		exec1(t, conn, `INSERT INTO revisions (hook, at, doc) VALUES (1, 0, '{}')`)
		exec1(t, conn, "BEGIN")
		insert := func(query string, args ...any) {
			if err := sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args}); err != nil {
				t.Fatal(err)
			}
		}
		for id := int64(1); id <= int64(n); id++ {
			// One type of event of 4 letters, then two events of source 1.
			summary := []byte{1, 1, 4, 'k', 'i', 'n', 'd'}
			for slot := range 2 {
				uuid := fmt.Sprintf("old-%04d-%d", id, slot)
				summary = binary.AppendVarint(append(summary, 1, 0), 0)
				summary = append(append(append(summary, byte(len(uuid))+1), uuid...), 2)
				insert("INSERT INTO seen (key, entries) VALUES (?, ?)", pack.SeenKey(uuid),
					pack.AppendSeen(nil, pack.Seen{Source: 1, Seq: hook.MakeSeq(id, slot), UUID: uuid}))
			}
			insert("INSERT INTO blocks VALUES (?, ?, 1, ?, ?)", id, at.UnixMicro(), summary, pack.Compress([]byte(`{}[]`)))
			open := 0b10
			if id%10 == 0 {
				open = 0
				insert(`INSERT INTO deliveries (seq, hook, replay, state, reason, created, due, first, held, attempts)
					VALUES (?, 1, 0, 3, 'exhausted', ?2, ?2, ?2, 0, 1)`, int64(hook.MakeSeq(id, 1)), at.UnixMicro())
			}
			insert("INSERT INTO owed VALUES (?, 1, 0, ?, 3, ?, ?)", id, at.UnixMicro(), open,
				pack.AppendOutcome(nil, at, 0, hook.Attempt{At: at, Status: 200}))
		}
		exec1(t, conn, "COMMIT")
	})
}

// TestReadsAnOldStore goes on with a store that an older Grapnel has written.
func TestReadsAnOldStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const n = chunkBlocks + 100
	old(t, path, n, at)
	s := openAt(t, path)
	if e, err := s.Event(t.Context(), hook.MakeSeq(7, 1)); err != nil || string(e.JSON) != "[]" || e.UUID != "old-0007-1" {
		t.Errorf("%+v, %v", e, err)
	}
	g := newGroup(1, []int64{1}, []byte("{}"), []byte("{}"))
	g.Events[0].UUID, g.Revision = "old-0007-1", 1
	if _, err := s.Commit(t.Context(), g); err != nil || !g.Events[0].Duplicate || g.Events[1].Seq != hook.MakeSeq(n+1, 0) {
		t.Errorf("%+v, %+v: %v", g.Events[0], g.Events[1], err)
	}
	claims, _, err := s.Claim(t.Context(), 1, at.Add(time.Hour), n, 1<<20, time.Minute)
	if err != nil || len(claims) != n-n/10+1 || string(claims[0].Event.JSON) != "[]" {
		t.Errorf("%d claims: %v", len(claims), err)
	}
	if !slices.IsSortedFunc(claims, func(a, b store.Claim) int { return int(a.Seq - b.Seq) }) {
		t.Error("the claims are in no order")
	}
	for state, want := range map[hook.State]int{hook.Dead: n / 10, hook.Delivered: n, hook.Sending: n - n/10 + 1} {
		if got := len(everyDelivery(t, s, store.DeliveryQuery{States: []hook.State{state}}, at.Add(time.Hour))); got != want {
			t.Errorf("%d are %v, want %d", got, state, want)
		}
	}
	for range 2 {
		if found, _, err := everyEvent(t, s, store.EventQuery{Type: "kind"}); err != nil || len(found) != 2*n {
			t.Errorf("%d of %d events: %v", len(found), 2*n, err)
		}
		digestAll(t, s)
	}
}
