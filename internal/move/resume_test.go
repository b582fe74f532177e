package move

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
	"pgregory.net/rapid"
)

var errCut = errors.New("cut off")

// cut is a store that is gone after some Imports.
type cut struct {
	store.ArchiveWriter
	imports int
}

func (c *cut) Import(ctx context.Context, items []store.Item) error {
	if c.imports--; c.imports < 0 {
		return errCut
	}
	return c.ArchiveWriter.Import(ctx, items)
}

func (c *cut) Finish(ctx context.Context) error {
	if c.imports--; c.imports < 0 {
		return errCut
	}
	return c.ArchiveWriter.Finish(ctx)
}

// aFullLife makes a store that has something of every kind, always the same.
func aFullLife(t *testing.T, path string) *world {
	t.Helper()
	for seed := range 100 {
		w := rapid.Custom(func(chance *rapid.T) *world {
			_ = os.Remove(path)
			return aLife(t, chance, path, 150)
		}).Example(seed)
		counts := make(map[store.Kind]int)
		export(t, path, func(item store.Item) { counts[item.Mark().Kind]++ })
		least := 1 << 30
		for _, kind := range store.Kinds()[1:] {
			least = min(least, counts[kind])
		}
		if least >= 3 {
			return w
		}
	}
	t.Fatal("no past has enough of every kind")
	return nil
}

// export reads a store.
func export(t rapid.TB, path string, each func(store.Item)) {
	t.Helper()
	a, err := sqlite.OpenArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closeArchive(t, a)
	err = a.Export(context.Background(), store.Mark{}, 7, func(items []store.Item) error {
		if len(items) == 0 || len(items) > 7 {
			t.Errorf("%d items at once", len(items))
		}
		for _, item := range items {
			if item.Mark().Kind != items[0].Mark().Kind {
				t.Errorf("%s and %s at once", items[0].Mark(), item.Mark())
			}
			each(item)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestResume cuts a copy off at every one of its steps, each time with less
// left, and goes on.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	w := aFullLife(t, from)
	files := contents(t, from)
	var want, got told
	cuts, imports := 0, 0
	for {
		report, err := try(t, from, to, func(o *Options) {
			o.Batch = 9
			o.To = &cut{o.To, imports}
		})
		if err == nil {
			if !report.Resumed {
				t.Error("the copy does not say that it was resumed")
			}
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		// Nobody serves from what is not finished.
		_, err = sqlite.Open(t.Context(), sqlite.Options{Path: to})
		if command := "grapnel store copy sqlite:" + from + " sqlite:" + to; !errors.Is(err, store.ErrUnfinished) || !strings.Contains(err.Error(), command) {
			t.Fatalf("opening an unfinished copy: %v; want %q in it", err, command)
		}
		if _, err := sqlite.OpenArchive(to); !errors.Is(err, store.ErrUnfinished) {
			t.Fatalf("copying an unfinished copy: %v", err)
		}
		// 0, 1, 1, ...: every Import is the first of a run once, and the last.
		cuts, imports = cuts+1, 1
	}
	if cuts < 50 {
		t.Errorf("the copy was cut off %d times", cuts)
	}
	same(t, "the files of the source", contents(t, from), files)
	w.with(from, func() { want = w.tell() })
	w.with(to, func() { got = w.tell() })
	same(t, "what the stores tell", got, want)
}

// contents are the sums of the files beside a store.
func contents(t *testing.T, path string) map[string][sha256.Size]byte {
	t.Helper()
	sums := make(map[string][sha256.Size]byte)
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sums[name] = sha256.Sum256(b)
	}
	return sums
}

// TestRefused tells what cannot be copied where.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	life := func(name string) *world {
		s := open(t, at(name))
		w := newWorld(t, s, start)
		w.must(s.CreateSource(w.ctx, &hook.Source{Name: "acme"}))
		w.must(s.Close())
		return w
	}
	w := life("a")
	life("b")
	refused := func(from, to, want string, cause error) {
		t.Helper()
		_, err := try(t, at(from), at(to), nil)
		if err == nil || !strings.Contains(err.Error(), want) || cause != nil && !errors.Is(err, cause) {
			t.Errorf("from %s to %s: %v; want %q", from, to, err, want)
		}
	}
	refused("a", "b", "holds something already", store.ErrHolds)
	// A store that was opened, and no more, is empty.
	w.with(at("opened"), func() {})
	if _, err := try(t, at("a"), at("opened"), nil); err != nil {
		t.Error(err)
	}
	if report, err := try(t, at("a"), at("opened"), nil); err != nil || !report.Resumed {
		t.Errorf("copied again: %+v, %v", report, err)
	}
	w.with(at("opened"), func() { w.must(w.s.CreateSource(w.ctx, &hook.Source{Name: "beta"})) })
	refused("a", "opened", "one of both was used since: the copy has source beta, which is not in the source", store.ErrHolds)

	begin := func(o *Options) {
		o.Batch = 1
		o.To = &cut{o.To, 2}
	}
	if _, err := try(t, at("a"), at("begun"), begin); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	refused("b", "begun", "holds the beginning of a copy of another store", nil)
	w.with(at("a"), func() { w.must(w.s.CreateSource(w.ctx, &hook.Source{Name: "beta"})) })
	if _, err := try(t, at("a"), at("begun"), nil); err != nil {
		t.Errorf("what is not copied yet may change: %v", err)
	}
	if _, err := try(t, at("a"), at("begun again"), begin); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	w.with(at("a"), func() {
		_, err := w.s.UpdateSource(w.ctx, "acme", func(s *hook.Source) error { s.Host = "acme.okta.com"; return nil })
		w.must(err)
	})
	refused("a", "begun again", "source acme is not the same in the copy: its doc differs", ErrChanged)

	s := open(t, at("b"))
	defer closeStore(t, s)
	for name, open := range map[string]func() (*sqlite.Archive, error){
		"in use by another process": func() (*sqlite.Archive, error) { return sqlite.OpenArchive(at("b")) },
		"in use by another":         func() (*sqlite.Archive, error) { return sqlite.OpenArchiveWriter(at("b")) },
		"there is no store to copy": func() (*sqlite.Archive, error) { return sqlite.OpenArchive(at("c")) },
	} {
		if _, err := open(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want %q", err, name)
		}
	}
}
