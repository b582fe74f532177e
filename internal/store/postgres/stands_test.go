package postgres

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/upkeep"
)

// waiting fills retries with deliveries that wait, as an outage of a
// destination leaves them.
func (d *database) waiting(number int64, n int) {
	d.exec(`INSERT INTO retries (seq, created, due, first, held, hook, replay, attempts, reason, log)
		SELECT s, 1, 1, 1, 0, $1, 0, 1, 'http_status', ARRAY['\x00112233445566778899'::bytea]
		FROM generate_series(1, $2::bigint) s`, number, n)
	d.exec("ANALYZE retries")
}

// A claim has leased a thousand deliveries when the primary fails: neither can
// their events be read nor can they be given back. Afterwards the node beats.
func TestBeatAfterAFailedClaim(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h := d.hook(s)
	d.beat(s)
	d.waiting(h.Number, 300_000)
	// The database leases, and then it can neither read nor settle.
	d.exec("ALTER TABLE blocks RENAME TO blocks_gone")
	d.exec("ALTER FUNCTION settle RENAME TO settle_gone")
	if _, _, err := s.Claim(t.Context(), h.Number, d.now(), 1024, 4<<20, lease); err == nil {
		t.Fatal("claimed")
	}
	d.exec("ALTER TABLE blocks_gone RENAME TO blocks")
	d.exec("ALTER FUNCTION settle_gone RENAME TO settle")
	d.beat(s)
	claims, _, err := s.Claim(t.Context(), h.Number, d.now(), 1024, 4<<20, lease)
	d.must(err)
	d.equal("claims", len(claims), 0) // none can be read: they are dead
	stats, err := s.Stats(t.Context())
	d.must(err)
	d.equal("dead", stats.Hooks[h.Number].Dead, int64(1024))
}

// The queue of a hook that was down was large once, and is empty now. The store
// holds nothing worth mentioning, and is far under its limit.
func TestSizeLimitAfterABacklog(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h := d.hook(s)
	events := d.commit(s, 50, h.Number)
	d.waiting(h.Number, 200_000)
	d.exec("DELETE FROM retries WHERE seq < 200000")
	d.exec("VACUUM retries")
	d.exec("DELETE FROM retries")
	stats, err := s.Stats(t.Context())
	d.must(err)
	t.Logf("stats.Bytes %d", stats.Bytes)
	up := upkeep.New(upkeep.Options{Store: s, Events: 90 * 24 * time.Hour, Keys: 100 * 24 * time.Hour, Size: 20 << 20, Log: slog.New(slog.DiscardHandler)})
	up.Once(t.Context(), d.now())
	stats, err = s.Stats(t.Context())
	d.must(err)
	if n := stats.Hooks[h.Number].Dead; n > 0 {
		t.Errorf("%d deliveries ended dead (store_full) to make room; the store counts %d bytes", n, stats.Bytes)
	}
	if _, err := s.Event(t.Context(), events[0].Seq); err != nil {
		t.Errorf("an event that was owed: %v", err)
	}
}

// A change of the hooks is lost in a fail-over, as its wait for the standby was
// given up (the caller heard of an error), and then another is made. A node that
// has seen the first one goes on with it.
func TestRegistryThatWentBack(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	d.beat(a)
	first := d.hook(a)
	before := d.beat(a)
	lost := d.hook(a)
	seen := d.beat(a)
	_, revision, err := a.EventHooks(t.Context())
	d.must(err)
	// The standby that is promoted has everything but the last change.
	d.exec("DELETE FROM hooks WHERE number = $1", lost.Number)
	d.exec("DELETE FROM revisions WHERE hook = $1", lost.Number)
	d.exec("UPDATE registry SET changes = $1, revision = $2", before.Changes, first.Revision)
	d.advance(time.Second)
	other := d.hook(b)
	now := d.beat(a)
	if now.Changes == seen.Changes {
		t.Errorf("the node is not told to look again: changes %d, then %d", seen.Changes, now.Changes)
	}
	// Routed with what the node knows: nothing of it is owed to the other hook.
	g := d.group(b, d.events(1, first.Number))
	g.Revision = revision
	if _, err := a.Commit(t.Context(), g); err == nil {
		t.Errorf("an event that was routed without hook %d is acknowledged", other.Number)
	}
}

// The server that takes over, or the one that is, commits without waiting for
// its disk from now on.
func TestSynchronousCommitTurnedOff(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	d.commit(s, 1)
	name := ask[string](d, "SELECT current_database()")
	d.exec("ALTER DATABASE " + name + " SET synchronous_commit = off")
	s.pool.Reset() // as after a fail-over
	if _, err := s.Commit(t.Context(), d.group(s, d.events(1))); err == nil {
		t.Error("an event is acknowledged that a power cut may lose")
	}
}

// A node that was counted as gone (cut off for eight seconds) finds the database
// again while its store is being copied.
func TestCommitDuringACopy(t *testing.T) {
	d := newDatabase(t)
	d.clock = time.Now()
	s := d.open()
	d.beat(s)
	d.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'grapnel'")
	d.exec("UPDATE nodes SET beat = beat - 9000000") // nine seconds later
	d.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'grapnel'")
	a, err := OpenArchive(t.Context(), Options{URL: d.url})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s.pool.Reset()
	if _, err := s.Commit(t.Context(), d.group(s, d.events(1))); err == nil {
		t.Error("an event is acknowledged that the copy may not have")
	}
}

// One block cannot be read, as docs/store.md has it: "deliveries of them end
// dead with the reason damaged, and nothing else is affected".
func TestDamagedBlock(t *testing.T) {
	for _, damage := range []string{
		"UPDATE blocks SET payload = '\\xdeadbeef' WHERE id = $1",
		"UPDATE blocks SET summary = '\\xdeadbeef' WHERE id = $1",
		"DELETE FROM blocks WHERE id = $1",
	} {
		d := newStopped(t)
		s := d.open()
		h := d.hook(s)
		bad := d.commit(s, 1, h.Number)
		d.commit(s, 3, h.Number)
		d.exec(damage, bad[0].Seq.Block())
		claims, _, err := s.Claim(t.Context(), h.Number, d.now(), 10, 1<<20, lease)
		if err != nil || len(claims) < 3 {
			t.Errorf("%s: the hook's other deliveries cannot be claimed: %d, %v", damage, len(claims), err)
		}
	}
}

// The server closes sessions that are idle (idle_session_timeout, as some hosted
// databases have it): a copy loses what keeps gateways out, and goes on.
func TestArchiveLosesItsLock(t *testing.T) {
	d := newDatabase(t)
	d.clock = time.Now()
	d.exec("ALTER DATABASE " + ask[string](d, "SELECT current_database()") + " SET idle_session_timeout = 500")
	a, err := OpenArchive(t.Context(), Options{URL: d.url})
	d.must(err)
	defer a.Close()
	var timeout string
	d.must(a.lock.QueryRow(t.Context(), "SHOW idle_session_timeout").Scan(&timeout))
	d.equal("the timeout of the connection with the lock", timeout, "0")
}

// The standby that takes over has a clock that is ten minutes behind, and one
// node died with the primary.
func TestDatabaseClockBehind(t *testing.T) {
	d := newStopped(t)
	a, b := d.open(), d.open()
	h := d.hook(a)
	d.beat(a)
	d.beat(b)
	d.commit(a, 1, h.Number)
	d.claim(a, h.Number, 1, lease)
	crash(a)
	d.advance(-10 * time.Minute)
	for range 60 { // five minutes
		d.advance(5 * time.Second)
		d.beat(b)
	}
	if m := d.beat(b); len(m.All) != 1 {
		t.Errorf("five minutes after its end a node is still a member: %v", m.All)
	}
	if n := len(d.claim(b, h.Number, 1, lease)); n != 1 {
		t.Errorf("five minutes after its end a node still has its lease")
	}
}

// The role or the database has another default_transaction_isolation. A commit
// waits for a change of the hooks, and must not be kept as if there was none.
func TestIsolationLevel(t *testing.T) {
	d := newStopped(t)
	d.exec("ALTER DATABASE " + ask[string](d, "SELECT current_database()") + " SET default_transaction_isolation = 'repeatable read'")
	s := d.open()
	d.commit(s, 1)
	g := d.group(s, d.events(1))
	conn := d.connect()
	defer conn.Close(t.Context())
	for _, q := range []string{"BEGIN ISOLATION LEVEL READ COMMITTED", "SELECT pg_advisory_xact_lock(1735549185, 2)", "UPDATE registry SET revision = revision + 1, changes = changes + 1"} {
		_, err := conn.Exec(t.Context(), q)
		d.must(err)
	}
	result := make(chan error, 1)
	go func() { _, err := s.Commit(t.Context(), g); result <- err }()
	watcher := d.connect()
	defer watcher.Close(t.Context())
	d.waitFor(watcher)
	_, err := conn.Exec(t.Context(), "COMMIT")
	d.must(err)
	if err := <-result; !errors.Is(err, store.ErrRevision) {
		t.Errorf("a commit that was routed with older hooks: %v, want ErrRevision", err)
	}
}

// Sixteen calls of the API that take their time (a slow disk, a lock that a
// migration or VACUUM FULL holds): is there a connection left for intake?
func TestPoolIsTaken(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	d.commit(s, 1)
	d.beat(s)
	conn := d.connect()
	defer conn.Close(t.Context())
	for _, q := range []string{"BEGIN", "LOCK TABLE rejected IN ACCESS EXCLUSIVE MODE"} { // intake does not need it
		_, err := conn.Exec(t.Context(), q)
		d.must(err)
	}
	g := d.group(s, d.events(1))
	for range 16 {
		go s.RejectedList(t.Context(), 0, 0, 10)
	}
	for ask[int](d, "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") < cap(s.limits.reads) {
	}
	if _, err := s.Beat(t.Context()); err != nil {
		t.Errorf("the node cannot beat, so it sends nothing: %v", err)
	}
	if _, err := s.Commit(t.Context(), g); err != nil {
		t.Errorf("intake: %v", err)
	}
}

// Dedupe keys are kept for a hundred days (the default), whatever the size limit:
// once they alone are more than it, nothing that is owed is safe.
func TestSizeLimitAndDedupeKeys(t *testing.T) {
	d := newStopped(t)
	s := d.open()
	h := d.hook(s)
	d.exec("INSERT INTO seen (key, source, seq) SELECT gen_random_uuid(), 1, (SELECT last_value * 64 FROM block_ids) FROM generate_series(1, 250000)")
	events := d.commit(s, 50, h.Number)
	stats, err := s.Stats(t.Context())
	d.must(err)
	t.Logf("stats.Bytes %d", stats.Bytes)
	up := upkeep.New(upkeep.Options{Store: s, Events: 90 * 24 * time.Hour, Keys: 100 * 24 * time.Hour, Size: 20 << 20, Log: slog.New(slog.DiscardHandler)})
	up.Once(t.Context(), d.now())
	stats, err = s.Stats(t.Context())
	d.must(err)
	if n := stats.Hooks[h.Number].Dead; n > 0 {
		t.Errorf("%d deliveries ended dead (store_full) to make room; the store counts %d bytes", n, stats.Bytes)
	}
	if _, err := s.Event(t.Context(), events[0].Seq); err != nil {
		t.Errorf("an event that was owed: %v", err)
	}
}
