package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
)

// tellThemselves makes JSON of the events of a group that says what they are, and
// some noise.
func tellThemselves(g *store.Group, noise int) {
	for _, e := range g.Events {
		e.JSON = fmt.Appendf(nil, `{"uuid":%q,"eventType":%q,"noise":"%x"}`, e.UUID, e.Type, bytesOf(noise))
	}
}

// lived fills a store with something of everything: block 1 holds 3 events, of
// which hook 1 has delivered one, waits with one for another attempt, and has
// one open; hook 2 has all of them dead. Block 2 was replayed, and has an event
// that a filter failed on. Hook 3 is deleted. Further blocks fill a chunk.
func lived(t *testing.T, path string) {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	must(s.CreateSource(t.Context(), &hook.Source{Name: "acme"}))
	for i := range 3 {
		h := hook.EventHook{ID: fmt.Sprint("who", i), Status: hook.Active, Verified: true, Created: at}
		must(s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }))
	}
	keep := func(g *store.Group) []store.Claim {
		g.Revision, g.Received = s.revision, at
		g.LeaseFor, g.Lease = time.Minute, func(int64, *store.Event) bool { return true }
		tellThemselves(g, 0)
		claims, err := s.Commit(t.Context(), g)
		must(err)
		return claims
	}
	settle := func(c store.Claim, state hook.State) {
		o := store.Outcome{Key: c.Key, Epoch: c.Epoch, State: state, Attempt: &hook.Attempt{At: at, Status: 200}}
		if state != hook.Delivered {
			o.Reason, o.Response, o.Due = hook.ReasonStatus, &hook.Response{Status: 500}, at.Add(time.Hour)
		}
		_, err := s.Settle(t.Context(), []store.Outcome{o})
		must(err)
	}
	claims := keep(newGroup(1, []int64{1, 2, 3}, []byte("[0]"), []byte("[1]"), []byte("[2]")))
	settle(claims[0], hook.Delivered)
	settle(claims[3], hook.Waiting)
	settle(claims[2], hook.Delivered)
	for _, i := range []int{1, 4, 7} {
		settle(claims[i], hook.Dead)
	}
	g := newGroup(1, []int64{1}, []byte("[3]"))
	g.Events[0].FilterErrors = []store.FilterError{{Hook: 2, Detail: "no"}}
	g.Rejected = []*store.Rejected{{Source: 1, Reason: hook.ReasonMalformed, Raw: []byte("{")}}
	settle(keep(g)[0], hook.Delivered)
	r := store.Replay{ID: "again", Hook: 2, Created: at, OriginHook: 1}
	must(s.CreateReplay(t.Context(), &r))
	if _, err := s.AddToReplay(t.Context(), &r, []hook.Seq{hook.MakeSeq(2, 0)}, at); err != nil {
		t.Fatal(err)
	}
	for range 2 * chunkBlocks {
		keep(newGroup(1, nil, []byte("[]")))
	}
	must(s.DeleteEventHook(t.Context(), "who2", at, func(hook.EventHook) error { return nil }))
	digestAll(t, s)
	must(s.Close())
}

// TestCheckFindsNothing checks stores that are as they must be: while they are
// served from, and when retention has been there.
func TestCheckFindsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	lived(t, path)
	whole := func(when string) store.Report {
		t.Helper()
		report, err := Check(t.Context(), path, nil)
		if err != nil || len(report.Findings) > 0 || report.More > 0 {
			t.Errorf("%s: %+v, %v", when, report, err)
		}
		return report
	}
	report := whole("at rest")
	if report.Blocks != 2*chunkBlocks+2 || report.Events != 2*chunkBlocks+4 || report.Deliveries != 11 || len(report.Bounded) != 3 {
		t.Errorf("%+v", report)
	}
	s := openAt(t, path)
	whole("being served from")
	if claims, _, err := s.Claim(t.Context(), 1, time.Now(), 1, 1, time.Minute); err != nil || len(claims) != 1 {
		t.Fatal(claims, err)
	}
	whole("with something leased")
	if removed, _, err := s.Prune(t.Context(), time.Now(), 100); err != nil || removed == 0 {
		t.Fatal(removed, err)
	}
	report = whole("pruned")
	if said := strings.Join(report.Bounded, "\n"); !strings.Contains(said, "retention has removed events") {
		t.Errorf("of what could not be verified it says %q", said)
	}
	if _, err := s.Forget(t.Context(), time.Now(), 50); err != nil {
		t.Fatal(err)
	}
	whole("some keys forgotten")
}

// TestCheckFindsWhatIsBroken breaks a store in every way.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.db")
	lived(t, good)
	image, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		how   string
		fault store.Fault
		where string
		says  string
	}{
		{"UPDATE blocks SET summary = x'' WHERE id = 1", store.FaultBlock, "block 1", "nothing of it"},
		{"UPDATE blocks SET summary = x'0100' WHERE id = 3", store.FaultBlock, "block 3", "empty"},
		{"UPDATE blocks SET payload = x'0102030405' WHERE id = 1", store.FaultBlock, "block 1", "JSON"},
		{"UPDATE blocks SET payload = (SELECT payload FROM blocks WHERE id = 2) WHERE id = 1", store.FaultBlock, "block 1", "JSON"},
		{"UPDATE blocks SET summary = CAST(replace(CAST(summary AS TEXT), 'user.session.start', 'user.session.stars') AS BLOB) WHERE id = 1", store.FaultBlock, "event 64", "lists say that it is the user.session.stars"},
		{"DELETE FROM meta WHERE name = 'identity'", store.FaultRegistry, "the store", "no identity"},
		{"UPDATE sources SET doc = '{'", store.FaultRegistry, "source acme", "cannot be read"},
		{"UPDATE hooks SET doc = '' WHERE number = 2", store.FaultRegistry, "event hook who1", "cannot be read"},
		{"UPDATE owed SET matched = matched | 8, open = open | 8 WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "no such events"},
		{"UPDATE owed SET open = open | 8 WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "(slots 0x8) are there, but not owed"},
		{"UPDATE owed SET open = open | 1 WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "(slots 0x1) are both open and delivered"},
		{"UPDATE owed SET open = open | 2 WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "(slots 0x2) are both open and in a row"},
		{"UPDATE owed SET open = 0 WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "(slots 0x4) are owed, but nothing tells"},
		{"UPDATE owed SET outcomes = outcomes || x'01000000' WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "(slots 0x2) are both delivered at the first attempt and in a row"},
		{"UPDATE owed SET outcomes = outcomes || outcomes WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "cannot be read"},
		{"UPDATE owed SET outcomes = substr(outcomes, 1, 2) WHERE block = 1 AND hook = 1", store.FaultDelivery, "block 1, hook 1", "cannot be read"},
		{"DELETE FROM deliveries WHERE state = 0", store.FaultDelivery, "block 1, hook 1", "nothing tells"},
		{"UPDATE deliveries SET state = 1 WHERE state = 0", store.FaultDelivery, "event 65, hook 1", "state is 1"},
		{"UPDATE deliveries SET log = NULL WHERE state = 0", store.FaultDelivery, "event 65, hook 1", "attempted 1 times"},
		{"UPDATE deliveries SET response = x'7b' WHERE state = 0", store.FaultDelivery, "event 65, hook 1", "response"},
		{"DELETE FROM owed WHERE block = 1 AND hook = 1", store.FaultOrphan, "block 1, hook 1", "nothing is owed"},
		{"DELETE FROM blocks WHERE id = 1", store.FaultOrphan, "block 1", "owed to hooks"},
		{"DELETE FROM blocks WHERE id = 1", store.FaultOrphan, "block 1", "deliveries of it, but not the block"},
		{"DELETE FROM blocks WHERE id = 2", store.FaultOrphan, "block 2", "filters failed"},
		{"DELETE FROM hooks WHERE number = 2", store.FaultOrphan, "hook 2", "owed deliveries"},
		{"DELETE FROM hooks WHERE number = 2", store.FaultOrphan, "hook 2", "filter failed"},
		{"DELETE FROM hooks WHERE number = 2", store.FaultOrphan, "hook 2", "history"},
		{"DELETE FROM hooks WHERE number = 2", store.FaultOrphan, "hook 2", "replays"},
		{"DELETE FROM hooks WHERE number = 2", store.FaultOrphan, "hook 2", "counters"},
		{"DELETE FROM revisions WHERE hook = 1", store.FaultOrphan, "hook 1", "present revision"},
		{"DELETE FROM sources", store.FaultOrphan, "source 1", "counters"},
		{"DELETE FROM replays", store.FaultOrphan, "replay 1", "owes deliveries"},
		{"DELETE FROM seen WHERE key = (SELECT min(key) FROM seen)", store.FaultKey, "event 6", "kept again"},
		{"UPDATE seen SET entries = (SELECT entries FROM seen ORDER BY key LIMIT 1 OFFSET 5)", store.FaultKey, "event ", "no dedupe key"},
		{"UPDATE seen SET entries = substr(entries, 1, 5) WHERE key = (SELECT min(key) FROM seen)", store.FaultKey, "key ", "cannot be read"},
		{"DELETE FROM blocks WHERE id = 3", store.FaultKey, "key ", "nothing tells when its key is to go"},
		{"INSERT INTO removed_keys VALUES (1, 0, x'')", store.FaultKey, "block 1", "it is there"},
		{"INSERT INTO removed_keys VALUES (999, 0, x'01')", store.FaultKey, "block 999", "cannot be read"},
		{"INSERT INTO removed_keys VALUES (999, 0, x'0000000000000001')", store.FaultKey, "block 999", "kept again"},
		{"UPDATE counts SET value = x'0000000000' WHERE kind = 2 AND number = 1", store.FaultCounter, "hook 1", "matched: 0 are counted, and 4 are there"},
		{"UPDATE counts SET value = x'0302000001' WHERE kind = 2 AND number = 1", store.FaultCounter, "hook 1", "1 deliveries wait by its counters, and 2 do"},
		{"DELETE FROM counts WHERE kind = 2 AND number = 2", store.FaultCounter, "hook 2", "dead: 0 are counted, and 3 are there"},
		{"UPDATE counts SET value = x'00' WHERE kind = 1", store.FaultCounter, "source 1", "received: 0 are counted"},
		{"INSERT INTO rejected (source, received, reason, detail, size, raw) VALUES (1, 0, '', '', 0, x'')", store.FaultCounter, "source 1", "rejected: 1 are counted, and 2"},
		{"UPDATE deliveries SET state = 4 WHERE state = 3 AND hook = 2", store.FaultCounter, "hook 2", "cancelled: 0 are counted, and 3"},
		{"INSERT INTO filter_errors VALUES (65, 1, '')", store.FaultCounter, "hook 1", "filter errors: 0 are counted, and 1"},
		{"INSERT INTO counts VALUES (7, 7, x'')", store.FaultCounter, "counters", "unknown"},
		{"UPDATE blocks SET summary = x'010104' || CAST('newt' AS BLOB) || x'010000026102' WHERE id = 3", store.FaultDigest, "blocks 0 to 63", "digests"},
		{fmt.Sprintf("INSERT INTO volumes VALUES (0, x'%x')", newDigest().append(nil)), store.FaultDigest, "blocks 0 to 4095", "volumes"},
	} {
		path := filepath.Join(t.TempDir(), "broken.db")
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		raw(t, path, func(conn *sqlite.Conn) { exec1(t, conn, c.how) })
		report, err := Check(t.Context(), path, nil)
		if err != nil {
			t.Errorf("%s: %v", c.how, err)
			continue
		}
		found := false
		for _, f := range report.Findings {
			found = found || f.Fault == c.fault && strings.HasPrefix(f.Thing, c.where) && strings.Contains(f.Problem, c.says)
		}
		if !found {
			t.Errorf("%s: found %+v", c.how, report.Findings)
		}
	}
}

// TestCheckOfADamagedFile writes over pages, as a disk does.
func TestCheckOfADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	lived(t, path)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for page := 2; page < len(image)/4096; page++ {
		damaged := append([]byte(nil), image...)
		copy(damaged[page*4096:], strings.Repeat("\xa5", 4096))
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := Check(t.Context(), path, nil)
		if err == nil && len(report.Findings) == 0 {
			t.Errorf("page %d is overwritten, and nothing is found", page+1)
		}
	}
}

func TestCheckIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	lived(t, path)
	raw(t, path, func(conn *sqlite.Conn) { exec1(t, conn, "DELETE FROM seen") })
	told := 0
	report, err := Check(t.Context(), path, func(done, total int64) { told++ })
	if err != nil || len(report.Findings) != store.MaxFindings || report.More != 2*chunkBlocks+4-store.MaxFindings || told == 0 {
		t.Errorf("%d findings, %d more, %v", len(report.Findings), report.More, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	raw(t, path, func(conn *sqlite.Conn) { exec1(t, conn, "INSERT INTO meta VALUES ('copy_command', 'finish it')") })
	if _, err := Check(t.Context(), path, nil); !errors.Is(err, store.ErrUnfinished) {
		t.Errorf("an unfinished copy: %v", err)
	}
	raw(t, path, func(conn *sqlite.Conn) { exec1(t, conn, "DELETE FROM meta WHERE name = 'copy_command'") })
	raw(t, path, func(conn *sqlite.Conn) { exec1(t, conn, "PRAGMA user_version = 2") })
	if _, err := Check(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("an older store: %v", err)
	}
}
