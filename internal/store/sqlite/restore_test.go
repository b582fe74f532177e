package sqlite

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
)

// backedUp is a backup of a store that has something of everything.
func backedUp(t *testing.T) (path string) {
	t.Helper()
	from, dir := filepath.Join(t.TempDir(), "grapnel.db"), t.TempDir()
	lived(t, from)
	path = filepath.Join(dir, "backup.db")
	if err := Backup(t.Context(), from, path, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// names are the names of the files in a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// TestRestore restores a backup, of which it only reads, and opens what it made.
func TestRestore(t *testing.T) {
	backup := backedUp(t)
	to := filepath.Join(t.TempDir(), "deep", "grapnel.db")
	var copied, checked []int64
	report, err := Restore(t.Context(), backup, to, RestoreProgress{
		Copied:  func(done, total int64) { copied = append(copied, done, total) },
		Checked: func(done, total int64) { checked = append(checked, done, total) },
	})
	if err != nil || report.Blocks != 2*chunkBlocks+2 || report.Deliveries != 11 {
		t.Fatalf("%+v, %v", report, err)
	}
	if n := len(copied); n == 0 || copied[n-1] != copied[n-2] || !slices.Equal(checked, []int64{0, 2*chunkBlocks + 2}) {
		t.Errorf("told of %v copied and %v checked", copied, checked)
	}
	if got := names(t, filepath.Dir(backup)); !slices.Equal(got, []string{"backup.db"}) {
		t.Errorf("beside the backup: %q", got)
	}
	if got := names(t, filepath.Dir(to)); !slices.Equal(got, []string{"grapnel.db", "grapnel.db.lock"}) {
		t.Errorf("beside the store: %q", got)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s, again := openAt(t, to), openAt(t, backup)
	if s.Identity() != again.Identity() {
		t.Errorf("%v is restored as %v", again.Identity(), s.Identity())
	}
	stats, err := s.Stats(t.Context())
	if want, failed := again.Stats(t.Context()); err != nil || failed != nil || !maps.Equal(stats.Hooks, want.Hooks) || len(stats.Hooks) == 0 {
		t.Errorf("%+v is restored as %+v (%v, %v)", want, stats, failed, err)
	}
}

// TestRestoreOfAnOlderBackup brings it up to date, and leaves the backup alone.
func TestRestoreOfAnOlderBackup(t *testing.T) {
	backup := filepath.Join(t.TempDir(), "old.db")
	old(t, backup, 0, time.Unix(1, 0))
	raw(t, backup, func(conn *sqlite.Conn) { exec1(t, conn, "INSERT INTO meta VALUES ('identity', randomblob(20))") })
	to := filepath.Join(t.TempDir(), "grapnel.db")
	if report, err := Restore(t.Context(), backup, to, RestoreProgress{}); err != nil {
		t.Fatal(report, err)
	}
	for path, want := range map[string]int{backup: 2, to: len(migrations)} {
		raw(t, path, func(conn *sqlite.Conn) {
			if got := version(t, conn); got != want {
				t.Errorf("%s has version %d", path, got)
			}
		})
	}
}

// TestRestoreOfADamagedBackup makes nothing of one, however it is damaged.
func TestRestoreOfADamagedBackup(t *testing.T) {
	backup := backedUp(t)
	image, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "grapnel.db")
	refused := func(how string, image []byte) (report store.Report, err error) {
		t.Helper()
		if err := os.WriteFile(backup, image, 0o600); err != nil {
			t.Fatal(err)
		}
		if report, err = Restore(t.Context(), backup, to, RestoreProgress{}); err == nil {
			t.Fatalf("%s: it is restored", how)
		}
		if got := names(t, filepath.Dir(to)); !slices.Equal(got, []string{"grapnel.db.lock"}) {
			t.Fatalf("%s: it leaves %q", how, got)
		}
		return report, err
	}
	refused("no page of it", image[:100])
	refused("the half of it", image[:len(image)/8192*4096])
	damaged := slices.Clone(image)
	copy(damaged[len(damaged)/8192*4096:], strings.Repeat("\xa5", 4096))
	if report, err := refused("a page", damaged); !errors.Is(err, ErrDamaged) || len(report.Findings) == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := os.WriteFile(backup, image, 0o600); err != nil {
		t.Fatal(err)
	}
	raw(t, backup, func(conn *sqlite.Conn) { exec1(t, conn, "DELETE FROM seen WHERE key = (SELECT min(key) FROM seen)") })
	report, err := Restore(t.Context(), backup, to, RestoreProgress{})
	if !errors.Is(err, ErrDamaged) || len(report.Findings) != 1 || report.Findings[0].Fault != store.FaultKey {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	backup := backedUp(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	used := openNew(t)
	for name, text := range map[string]string{"there.db": "mine", "past.db-wal": "", "text.db": strings.Repeat("this is no database\n", 100)} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unfinished, err := OpenArchiveWriter(in("unfinished.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unfinished.Begin(t.Context(), "the command"); err != nil {
		t.Fatal(err)
	}
	if err := unfinished.Close(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx        context.Context
		backup, to string
		want       string
	}{
		"to overwrite":                {t.Context(), backup, in("there.db"), "exists already"},
		"a store in use":              {t.Context(), backup, used.path, "is in use by another process; stop it first"},
		"beside an old WAL":           {t.Context(), backup, in("past.db"), "past.db-wal is there, of a store that was at"},
		"from nowhere":                {t.Context(), in("none.db"), in("a.db"), "there is no backup"},
		"what is no store":            {t.Context(), in("text.db"), in("a.db"), "text.db is not a store"},
		"what is being served from":   {t.Context(), used.path, in("a.db"), "restore from a backup of it"},
		"a copy that is not finished": {t.Context(), in("unfinished.db"), in("a.db"), "finish it with: the command"},
		"once it is interrupted":      {ended, backup, in("a.db"), "context canceled"},
	} {
		if _, err := Restore(c.ctx, c.backup, c.to, RestoreProgress{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, ".") || name == "a.db" {
			t.Errorf("%s is left", name)
		}
	}
	if got, err := os.ReadFile(in("there.db")); err != nil || string(got) != "mine" {
		t.Errorf("the file that was there: %q, %v", got, err)
	}
}
