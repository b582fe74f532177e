package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestArchiveAfterCrash copies a store whose process was killed: what it had
// committed is in the WAL. Nothing of it is touched.
func TestArchiveAfterCrash(t *testing.T) {
	s, dir := openNew(t), t.TempDir()
	source := hook.Source{Name: "acme"}
	if err := s.CreateSource(t.Context(), &source); err != nil {
		t.Fatal(err)
	}
	e := &store.Event{Event: hook.Event{Source: source.Number, UUID: "x", JSON: []byte("{}")}}
	if _, err := s.Commit(t.Context(), &store.Group{Received: time.Now(), Events: []*store.Event{e}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "it's 100% crashed?#.db")
	files := make(map[string][]byte)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(s.path + suffix)
		if err != nil || len(b) == 0 {
			t.Fatalf("%d bytes (%v)", len(b), err)
		}
		files[path+suffix] = b
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := OpenArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = a.Export(t.Context(), store.Mark{}, 100, func(items []store.Item) error {
		for _, item := range items {
			got = append(got, item.Mark().String())
		}
		return nil
	})
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	if want := "head 0 0 0, source 1 0 0, counter 1 1 0, block 1 0 0"; strings.Join(got, ", ") != want {
		t.Errorf("exported %s, want %s", got, want)
	}
	for name, before := range files {
		if after, err := os.ReadFile(name); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s has changed (%v)", name, err)
		}
	}
}

// TestArchiveLeavesNoTrace reads a store that was closed without making files
// beside it.
func TestArchiveLeavesNoTrace(t *testing.T) {
	s := openNew(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := OpenArchive(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil || len(files) != 2 {
		t.Errorf("there are %v (%v), want the store and its lock", files, err)
	}
}

// TestArchiveOfOtherVersion refuses what this program cannot read as it is.
func TestArchiveOfOtherVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	set := func(script string) {
		t.Helper()
		conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate)
		if err == nil {
			err = errors.Join(sqlitex.ExecuteScript(conn, script, nil), conn.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		if a, err := OpenArchive(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want %q", a, err, want)
		}
	}
	set("CREATE TABLE t (a)")
	refused("is not a store")
	set("PRAGMA user_version = 1")
	refused("start and stop grapnel serve on it once")
	if _, err := OpenArchiveWriter(path); !errors.Is(err, store.ErrHolds) {
		t.Errorf("filling an older store: %v", err)
	}
	set("PRAGMA user_version = 1000000")
	refused("run the newer grapnel")
	if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("is not a store")
	// Whoever was refused has left nothing locked.
	refused("is not a store")
}

// TestSetPastLast goes on with the numbers after those that are gone.
func TestSetPastLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	a, err := OpenArchiveWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	head := &store.HeadItem{LastBlock: 1 << 50, LastRevision: 0, LastReplay: 7, LastRejected: 9}
	head.Identity.Tag = 5
	_, begun := a.Begin(t.Context(), "a command")
	err = errors.Join(begun, a.Import(t.Context(), []store.Item{head}), a.Finish(t.Context()), a.Close())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := hook.EventHook{ID: "who", Verified: true, Status: hook.Active}
	if err := s.CreateEventHook(t.Context(), &h, func([]hook.EventHook) error { return nil }); err != nil {
		t.Fatal(err)
	}
	r := store.Replay{Hook: h.Number}
	g := &store.Group{Revision: h.Revision, Events: []*store.Event{{}}, Rejected: []*store.Rejected{{}}}
	_, err = s.Commit(t.Context(), g)
	if err := errors.Join(err, s.CreateReplay(t.Context(), &r)); err != nil {
		t.Fatal(err)
	}
	if g.Events[0].Seq.Block() != 1<<50+1 || r.Number != 8 || g.Rejected[0].ID != 10 || h.Revision != 1 || s.Identity().Tag != 5 {
		t.Errorf("block %d, replay %d, rejected %d, revision %d, tag %d", g.Events[0].Seq.Block(), r.Number, g.Rejected[0].ID, h.Revision, s.Identity().Tag)
	}
}

// TestDaysGoOn numbers blocks by their day once a store has such numbers.
func TestDaysGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapnel.db")
	a, err := OpenArchiveWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	first := day.Unix() / 86400 << 36
	_, begun := a.Begin(t.Context(), "a command")
	err = errors.Join(begun, a.Import(t.Context(), []store.Item{&store.HeadItem{LastBlock: first + 7}}), a.Finish(t.Context()), a.Close())
	if err != nil {
		t.Fatal(err)
	}
	commit := func(at time.Time, uuid string) int64 {
		t.Helper()
		s, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		g := &store.Group{Received: at, Events: []*store.Event{{Event: hook.Event{UUID: uuid}}}}
		if _, err := s.Commit(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if _, err := s.PruneOldest(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		return g.Events[0].Seq.Block() - first
	}
	for _, step := range []struct {
		at   time.Time
		uuid string
		want int64
	}{
		{day.Add(time.Hour), "a", 8},
		{day.Add(23 * time.Hour), "b", 9},
		{day.Add(24 * time.Hour), "c", 1 << 36},
		{day.Add(72 * time.Hour), "c", 1 << 36}, // a duplicate
		{day.Add(25 * time.Hour), "d", 1<<36 + 1},
		{day, "e", 1<<36 + 2}, // the clock was set back
		{day.Add(72 * time.Hour), "f", 3 << 36},
	} {
		if got := commit(step.at, step.uuid); got != step.want {
			t.Errorf("%s of %v is in block %d after the first, want %d", step.uuid, step.at, got, step.want)
		}
	}
}
