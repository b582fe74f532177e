package move

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
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
func aFullLife(t *testing.T, fresh func() place) *world {
	t.Helper()
	for seed := range 100 {
		at := fresh()
		w := rapid.Custom(func(chance *rapid.T) *world { return aLife(t, chance, at, 150) }).Example(seed)
		counts := make(map[store.Kind]int)
		waiting, partly, deleted := 0, 0, make(map[bool]int)
		export(t, at, func(item store.Item) {
			counts[item.Mark().Kind]++
			switch i := item.(type) {
			case *store.DeliveryItem:
				if i.State == hook.Waiting {
					waiting++
				}
			case *store.OwedItem:
				if i.Open != 0 && len(i.Outcomes) > 0 {
					partly++
				}
			case *store.HookItem:
				deleted[i.Deleted]++
			}
		})
		least := min(waiting, partly, deleted[true], deleted[false])
		for _, kind := range store.Kinds()[1:] {
			least = min(least, counts[kind])
		}
		if least >= 1 {
			return w
		}
	}
	t.Fatal("no past has enough of every kind")
	return nil
}

// export reads a store.
func export(t testing.TB, at place, each func(store.Item)) {
	t.Helper()
	a, err := at.source()
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

// pairs are a store that has lived and a place to copy it to, of every sort.
func pairs(t *testing.T, run func(t *testing.T, w *world, to place)) {
	aFile := func(t *testing.T) place { return inDir(t.TempDir(), "grapnel.db") }
	aDatabase := func(t *testing.T) place { return database(t) }
	for name, ends := range map[string][2]func(*testing.T) place{
		"file to file": {aFile, aFile}, "file to database": {aFile, aDatabase}, "database to file": {aDatabase, aFile},
		"database to database": {aDatabase, aDatabase},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "database to database" {
				t.Skip("the others have both ends of it")
			}
			t.Parallel()
			run(t, aFullLife(t, func() place { return ends[0](t) }), ends[1](t))
		})
	}
}

// TestResume cuts a copy off after every one of its steps and goes on.
func TestResume(t *testing.T) {
	pairs(t, func(t *testing.T, w *world, to place) {
		from := w.at
		before := from.contents(t)
		cuts, imports := 0, 0
		for {
			report, err := try(t, from, to, func(o *Options) {
				o.Batch = 30
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
			_, err = to.open()
			if command := "finish it with: copy " + from.name + " " + to.name; !errors.Is(err, store.ErrUnfinished) || !strings.Contains(err.Error(), command) {
				t.Fatalf("opening an unfinished copy: %v; want %q in it", err, command)
			}
			if _, err := to.source(); !errors.Is(err, store.ErrUnfinished) {
				t.Fatalf("copying an unfinished copy: %v", err)
			}
			// After the first, every run gets one step further.
			if cuts, imports = cuts+1, 1; cuts > 1000 {
				t.Fatal("the copy does not get further")
			}
		}
		if cuts < 20 {
			t.Errorf("the copy was cut off %d times", cuts)
		}
		same(t, "the source itself", from.contents(t), before)
		var want, got told
		w.with(from, func() { want = w.tell() })
		w.with(to, func() { got = w.tell() })
		same(t, "what the stores tell", got.roughly(), want.roughly())
	})
}

// TestRefused tells what cannot be copied where.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) place { return inDir(dir, name) }
	life := func(name string) *world {
		w := newWorld(t, at(name), start)
		w.must(w.s.CreateSource(w.ctx, &hook.Source{Name: "acme"}))
		w.must(w.s.Close())
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

	s := at("b").mustOpen(t)
	defer closeStore(t, s)
	for _, open := range []func() (store.Archive, error){
		at("b").source,
		func() (store.Archive, error) { return at("b").target() },
	} {
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("copying what is in use: %v", err)
		}
	}
	if _, err := at("c").source(); err == nil || !strings.Contains(err.Error(), "there is no store to copy") {
		t.Errorf("copying what is not there: %v", err)
	}
}

// TestDatabaseInUse refuses what gateways use, until they are gone.
func TestDatabaseInUse(t *testing.T) {
	at := database(t)
	s := at.mustOpen(t)
	defer s.Close()
	members, err := s.Beat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("gateways use the store (nodes [%d]); stop them first", members.Self)
	if _, err := at.source(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("copying what is in use: %v; want %q", err, want)
	}
	if _, err := at.target(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("filling what is in use: %v; want %q", err, want)
	}
	closeStore(t, s)
	a, err := at.source()
	if err != nil {
		t.Fatal(err)
	}
	defer closeArchive(t, a)
	if _, err := at.target(); err == nil || !strings.Contains(err.Error(), "is being copied already") {
		t.Errorf("filling what is being copied: %v", err)
	}
	if _, err := database(t).source(); err == nil || !strings.Contains(err.Error(), "there is no store in the database") {
		t.Errorf("copying what is not there: %v", err)
	}
}
