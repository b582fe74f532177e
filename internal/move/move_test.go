package move

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)

func open(t rapid.TB, path string) store.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// aLife makes a store at path that has lived.
func aLife(t rapid.TB, chance *rapid.T, path string, steps int) *world {
	w := newWorld(t, open(t, path), start)
	w.live(chance, steps)
	closeStore(t, w.s)
	return w
}

func closeStore(t rapid.TB, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// with opens a store for one question.
func (w *world) with(path string, do func()) {
	w.Helper()
	w.s = open(w.TB, path)
	defer closeStore(w.TB, w.s)
	do()
}

// try copies one file into another.
func try(t rapid.TB, from, to string, change func(*Options)) (*Report, error) {
	t.Helper()
	source, err := sqlite.OpenArchive(from)
	if err != nil {
		t.Fatal(err)
	}
	defer closeArchive(t, source)
	target, err := sqlite.OpenArchiveWriter(to)
	if err != nil {
		t.Fatal(err)
	}
	defer closeArchive(t, target)
	o := Options{From: source, To: target, FromName: "sqlite:" + from, ToName: "sqlite:" + to}
	if change != nil {
		change(&o)
	}
	return Copy(context.Background(), o)
}

func closeArchive(t rapid.TB, a store.Archive) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCopy copies stores of every past and asks both everything.
func TestCopy(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "deep", "to.db")
		w := aLife(rt, rt, from, rapid.IntRange(1, 60).Draw(rt, "steps"))
		var before, after told
		w.with(from, func() { before = w.tell() })
		report, err := try(rt, from, to, func(o *Options) { o.Batch = rapid.SampledFrom([]int{0, 1, 5}).Draw(rt, "batch") })
		if err != nil {
			rt.Fatal(err)
		}
		if report.Resumed {
			rt.Errorf("the report is %+v", report)
		}
		var left, right []any
		w.with(from, func() { left = w.goOn() })
		w.with(to, func() { after, right = w.tell(), w.goOn() })
		same(rt, "what the stores tell", after, before)
		same(rt, "how they go on", right, left)
	})
}
