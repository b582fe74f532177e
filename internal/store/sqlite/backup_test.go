package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// backUpElsewhere names, in the environment, a store and a copy that this test
// binary makes of it instead of running tests: the store is another process's.
// With diesMidway after them it is killed before the copy is whole.
const (
	backUpElsewhere = "GRAPNEL_TEST_BACKUP"
	diesMidway      = "and dies"
)

func backedUpElsewhere(from, to string) error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), backUpElsewhere+"="+from+"\n"+to)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// TestBackupOfALiveStore has another process copy a store that is being written
// to: the copy must hold every event that was kept before, be whole, and be
// served from.
func TestBackupOfALiveStore(t *testing.T) {
	s := openNew(t)
	if err := s.CreateSource(t.Context(), &hook.Source{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	h := hook.EventHook{ID: "who1", Status: hook.Active, Verified: true}
	if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	keep := func() (hook.Seq, error) {
		g := newGroup(1, []int64{h.Number}, nil, nil)
		tellThemselves(g, 1000)
		g.Revision, g.LeaseFor, g.Lease = h.Revision, time.Minute, func(_ int64, e *store.Event) bool { return e == g.Events[0] }
		claims, err := s.Commit(context.Background(), g)
		if err != nil {
			return 0, err
		}
		done := store.Outcome{Key: claims[0].Key, Epoch: claims[0].Epoch, State: hook.Delivered, Attempt: &hook.Attempt{At: time.Now()}}
		_, err = s.Settle(context.Background(), []store.Outcome{done})
		return g.Events[1].Seq, err
	}
	for range 2000 {
		if _, err := keep(); err != nil {
			t.Fatal(err)
		}
	}
	before, err := keep()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	var last hook.Seq
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if last, err = keep(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	copied := filepath.Join(t.TempDir(), "copy.db")
	err = backedUpElsewhere(s.path, copied)
	close(stop)
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if last <= before {
		t.Fatal("nothing was kept meanwhile")
	}

	info, err := os.Stat(copied)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	report, err := Check(t.Context(), copied, nil)
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("the copy: %+v, %v", report, err)
	}
	c := openAt(t, copied)
	if diff := cmp.Diff(s.Identity(), c.Identity()); diff != "" {
		t.Error(diff)
	}
	newest, _, _, err := c.Events(t.Context(), store.EventQuery{Limit: 1})
	if err != nil || len(newest) != 1 || newest[0].Seq < before || newest[0].Seq >= last {
		t.Errorf("the copy ends with %v, %v; the store had %d before it was made and %d after", newest, err, before, last)
	}
	stats, err := c.Stats(t.Context())
	if counted := stats.Hooks[h.Number]; err != nil || counted.Matched != newest[0].Seq.Block()*2 {
		t.Errorf("%d events are counted up to block %d, %v", counted.Matched, newest[0].Seq.Block(), err)
	}
	g := newGroup(1, nil, []byte("{}"))
	g.Revision = h.Revision
	if _, err := c.Commit(t.Context(), g); err != nil || g.Events[0].Seq.Block() != newest[0].Seq.Block()+1 {
		t.Errorf("the copy goes on with %v, %v", g.Events[0].Seq, err)
	}
}

func TestBackupRefuses(t *testing.T) {
	s := openNew(t)
	commit(t, s, "one", time.Now())
	dir := t.TempDir()
	there := filepath.Join(dir, "there.db")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx      context.Context
		from, to string
		want     string
	}{
		"to overwrite":     {t.Context(), s.path, there, "exists already"},
		"what is nowhere":  {t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "a.db"), "there is no store"},
		"what is no store": {t.Context(), text, filepath.Join(dir, "a.db"), text},
		"what is empty":    {t.Context(), empty, filepath.Join(dir, "a.db"), "is not a store"},
		"nowhere to":       {t.Context(), s.path, filepath.Join(dir, "none", "a.db"), "no such file"},
	} {
		err := Backup(c.ctx, c.from, c.to, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Backup(ended, s.path, filepath.Join(dir, "a.db"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		if strings.Contains(file.Name(), "part") {
			t.Errorf("%s is left", file.Name())
		}
	}
	if got, err := os.ReadFile(there); err != nil || string(got) != "mine" {
		t.Errorf("the file that was there: %q, %v", got, err)
	}
}

// large is a store that takes several steps to copy.
func large(t *testing.T) *Store {
	t.Helper()
	s := openNew(t)
	for range 12 {
		if _, err := s.Commit(t.Context(), newGroup(1, nil, bytesOf(1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestBackupInterrupted ends a backup midway: nothing has the backup's name, and
// what was not killed leaves nothing at all.
func TestBackupInterrupted(t *testing.T) {
	s, dir := large(t), t.TempDir()
	to := filepath.Join(dir, "copy.db")
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	err := Backup(ctx, s.path, to, func(int64, int64) { steps++; cancel() })
	if !errors.Is(err, context.Canceled) || steps != 1 {
		t.Errorf("interrupted after %d steps: %v", steps, err)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("interrupted, it leaves %q", left)
	}
	if err := backedUpElsewhere(s.path, to+"\n"+diesMidway); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("killed, it ended with %v", err)
	}
	if left := names(t, dir); len(left) != 1 || !strings.HasPrefix(left[0], ".copy.db.part-") {
		t.Errorf("killed, it leaves %q", left)
	}
	if err := Backup(t.Context(), s.path, to, nil); err != nil {
		t.Errorf("the next backup: %v", err)
	}
}

// TestBackupTellsHowFarItIs copies a store of several steps.
func TestBackupTellsHowFarItIs(t *testing.T) {
	s := large(t)
	var told []int64
	total := int64(0)
	err := Backup(t.Context(), s.path, filepath.Join(t.TempDir(), "copy.db"), func(done, of int64) {
		told, total = append(told, done), of
	})
	if err != nil || len(told) < 3 || told[len(told)-1] != total || total < 12<<20 || told[0] >= told[1] {
		t.Errorf("told %v of %d: %v", told, total, err)
	}
}
