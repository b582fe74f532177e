package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var sourceTests = []test{
	{"a source comes back whole", keepsSource},
	{"sources are listed oldest first", listsSources},
	{"a name is never used again", namesSourcesOnce},
	{"a change is kept, a refused one is not", updatesSource},
	{"changes at once never mix", updatesSourceConcurrently},
	{"what is not there", missesSources},
	{"events stay when their source is deleted", deletesSource},
}

func (k *kit) sources() []hook.Source {
	k.t.Helper()
	list, err := k.s.Sources(k.ctx)
	k.must(err)
	return list
}

func keepsSource(k *kit) {
	want := hook.Source{
		Name: "acme", Host: "acme.okta.com", Created: k.now(), Updated: k.now().Add(123 * time.Microsecond),
		Sealed:    []byte("\x00\xff sealed"),
		Challenge: hook.Challenge{At: k.now(), Secret: hook.SecretWrong},
	}
	k.must(k.s.CreateSource(k.ctx, &want))
	k.check(want.Number > 0, "number %d", want.Number)
	k.equal("sources", k.sources(), []hook.Source{want})
	k.restart()
	k.equal("sources after a restart", k.sources(), []hook.Source{want})
}

func listsSources(k *kit) {
	k.check(len(k.sources()) == 0, "a new store has sources")
	var want []string
	for _, name := range []string{"zebra", "grapnel", "acme"} {
		k.must(k.s.CreateSource(k.ctx, &hook.Source{Name: name, Created: k.now()}))
		want = append(want, name)
	}
	var got []string
	numbers := make(map[int64]bool)
	for _, s := range k.sources() {
		got = append(got, s.Name)
		numbers[s.Number] = true
	}
	k.equal("names", got, want)
	k.check(len(numbers) == 3, "numbers %v", numbers)
}

func namesSourcesOnce(k *kit) {
	first := hook.Source{Name: "acme", Sealed: []byte("first")}
	k.must(k.s.CreateSource(k.ctx, &first))
	again := func() {
		k.t.Helper()
		s := hook.Source{Name: "acme", Sealed: []byte("second")}
		err := k.s.CreateSource(k.ctx, &s)
		k.check(errors.Is(err, store.ErrExists), "CreateSource again: %v, want ErrExists", err)
		k.check(s.Number == 0, "a refused source has the number %d", s.Number)
	}
	again()
	k.equal("sources", k.sources(), []hook.Source{first})
	k.must(k.s.DeleteSource(k.ctx, "acme"))
	again()
	k.restart()
	again()
	next := hook.Source{Name: "acme2"}
	k.must(k.s.CreateSource(k.ctx, &next))
	k.check(next.Number > first.Number, "number %d after %d", next.Number, first.Number)
}

func updatesSource(k *kit) {
	s := hook.Source{Name: "acme", Host: "old", Sealed: []byte("old")}
	k.must(k.s.CreateSource(k.ctx, &s))
	_, err := k.s.UpdateSource(k.ctx, "acme", func(s *hook.Source) error {
		s.Host = "refused"
		return errRefused
	})
	k.check(err == errRefused, "UpdateSource: %v, want the error of change as it is", err)
	k.equal("sources", k.sources(), []hook.Source{s})

	got, err := k.s.UpdateSource(k.ctx, "acme", func(now *hook.Source) error {
		k.equal("what change sees", *now, s)
		now.Host, now.Sealed = "new", nil
		return nil
	})
	k.must(err)
	s.Host, s.Sealed = "new", nil
	k.equal("returned", got, s)
	k.restart()
	k.equal("sources", k.sources(), []hook.Source{s})
}

func updatesSourceConcurrently(k *kit) {
	k.must(k.s.CreateSource(k.ctx, &hook.Source{Name: "acme"}))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 5 {
				if _, err := k.s.UpdateSource(k.ctx, "acme", func(s *hook.Source) error { s.Host += "x"; return nil }); err != nil {
					k.t.Errorf("UpdateSource: %v", err)
				}
			}
		})
	}
	wait.Wait()
	k.check(len(k.sources()[0].Host) == 40, "%d of 40 changes are kept", len(k.sources()[0].Host))
}

func missesSources(k *kit) {
	k.must(k.s.CreateSource(k.ctx, &hook.Source{Name: "gone"}))
	k.must(k.s.DeleteSource(k.ctx, "gone"))
	for _, name := range []string{"", "never", "gone"} {
		_, err := k.s.UpdateSource(k.ctx, name, func(*hook.Source) error {
			k.t.Errorf("change was called for %q", name)
			return nil
		})
		k.check(errors.Is(err, store.ErrNotFound), "UpdateSource(%q): %v, want ErrNotFound", name, err)
		err = k.s.DeleteSource(k.ctx, name)
		k.check(errors.Is(err, store.ErrNotFound), "DeleteSource(%q): %v, want ErrNotFound", name, err)
	}
}

func deletesSource(k *kit) {
	s := hook.Source{Name: "acme"}
	k.must(k.s.CreateSource(k.ctx, &s))
	other, h := k.source(), k.hook()
	e := k.event(s.Number, h.Number)
	k.commit(e)
	k.must(k.s.DeleteSource(k.ctx, "acme"))
	for range 2 {
		list := k.sources()
		k.check(len(list) == 1 && list[0].Number == other, "sources %v", list)
		k.sameEvent(e)
		k.equal("counters", k.stats().Sources[s.Number], hook.SourceCount{Received: 1})
		k.restart()
	}
	k.again(e)
	k.settle(k.delivered(k.one(h.Number)))
}
