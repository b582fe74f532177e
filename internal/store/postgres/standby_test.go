package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
)

// A commit whose wait for the synchronous standby is cancelled is on the primary
// alone, and not kept for us; nor is a duplicate of it acknowledged before the
// standby has both.
func TestCommitThatIsNotReplicated(t *testing.T) {
	primary := postgrestest.Start(t, postgrestest.Options{})
	standby := primary.Standby(t)
	d := &database{TB: t, url: primary.Database(t), clock: time.Now()}
	s := d.open()
	d.commit(s, 1)
	watcher := d.connect()
	defer watcher.Close(t.Context())
	standby.Pause(t)
	events := d.events(2)
	for range 2 { // the second time as duplicates
		failed := make(chan error, 1)
		group := d.group(s, events)
		go func() {
			_, err := s.Commit(t.Context(), group)
			failed <- err
		}()
		for cancelled := false; !cancelled; {
			err := watcher.QueryRow(t.Context(), `SELECT coalesce(bool_or(pg_cancel_backend(pid)), false)
				FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&cancelled)
			d.must(err)
		}
		if err := <-failed; !errors.Is(err, errNotReplicated) {
			t.Errorf("a commit that was not replicated: %v", err)
		}
	}
	standby.Resume(t)
	_, err := s.Commit(t.Context(), d.group(s, events))
	d.must(err)
	for _, e := range events {
		if !e.Duplicate {
			t.Errorf("%s is new again", e.UUID)
		}
	}
}
