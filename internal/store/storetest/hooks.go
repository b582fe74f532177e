package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

var hookTests = []test{
	{"a hook comes back whole", keepsHook},
	{"hooks are listed oldest first", listsHooks},
	{"an id is used once", identifiesHooksOnce},
	{"every change is a new revision", revises},
	{"a guard sees the others and may refuse", guardsCreation},
	{"a change sees the others and may refuse", guardsUpdate},
	{"changes at once never mix", updatesHookConcurrently},
	{"what is not there", missesHooks},
}

func (k *kit) hooks() ([]hook.EventHook, int64) {
	k.t.Helper()
	list, revision, err := k.s.EventHooks(k.ctx)
	k.must(err)
	return list, revision
}

func (k *kit) update(id string, change func(*hook.EventHook)) hook.EventHook {
	k.t.Helper()
	h, err := k.s.UpdateEventHook(k.ctx, id, k.now(), func(h *hook.EventHook, _ []hook.EventHook) error {
		change(h)
		return nil
	})
	k.must(err)
	return h
}

func keepsHook(k *kit) {
	description := "all sign-ins"
	full := k.newHook()
	full.Description = &description
	full.Created, full.LastUpdated = k.now().Add(time.Microsecond), k.now().Add(2*time.Microsecond)
	full.Types = []string{"user.session.*", "group.user_membership.add"}
	full.Filters = []hook.Filter{{Type: "user.session.*", Expression: `event.actor.id == "łódź"`}}
	full.Sealed = []byte("\x00\xff sealed")
	full.Policy.Verification = hook.VerifyNone
	full.Policy.Retry = hook.Retry{Schedule: []hook.Duration{hook.Duration(5 * time.Second), 0}, On: []string{"network", "5xx"}}
	full.Policy.Sources = []string{"acme"}
	full.Policy.RateLimit = hook.RateLimit{Count: 600, Per: time.Minute}
	full.Policy.Signing = &hook.Signing{}
	sparse := hook.EventHook{ID: "sparse", Created: k.now(), LastUpdated: k.now()}
	noRetries := k.newHook()
	noRetries.Policy.Retry = hook.Retry{Schedule: []hook.Duration{}, On: []string{}}
	short := k.newHook()
	short.Policy.Retry.For = 0

	all := []*hook.EventHook{&full, &sparse, &noRetries, &short}
	for _, h := range all {
		h.Channel = hook.Channel{URI: "https://example.com/secret"}
		k.must(k.s.CreateEventHook(k.ctx, h, anyone))
		k.check(h.Number > 0 && h.Revision > 0, "number %d, revision %d", h.Number, h.Revision)
		k.check(h.Channel.URI != "", "the opened channel of the caller is gone")
		h.Channel = hook.Channel{}
	}
	for range 2 {
		list, revision := k.hooks()
		k.check(len(list) == len(all) && revision == short.Revision, "%d hooks, revision %d", len(list), revision)
		for i, h := range list {
			h.Hold = all[i].Hold
			k.equal("the hook", h, *all[i])
			k.check((h.Policy.Retry.Schedule == nil) == (all[i].Policy.Retry.Schedule == nil), "no schedule and an empty one are not the same")
		}
		k.restart()
	}
}

func listsHooks(k *kit) {
	list, revision := k.hooks()
	k.check(len(list) == 0 && revision == 0, "a new store has %d hooks, revision %d", len(list), revision)
	var want []string
	for _, id := range []string{"zz", "aa", "mm"} {
		h := k.newHook()
		h.ID = id
		k.must(k.s.CreateEventHook(k.ctx, &h, anyone))
		want = append(want, id)
	}
	k.update("zz", func(h *hook.EventHook) { h.Name = "changed last" })
	list, _ = k.hooks()
	var got []string
	for _, h := range list {
		got = append(got, h.ID)
	}
	k.equal("ids", got, want)
}

func identifiesHooksOnce(k *kit) {
	h := k.hook()
	again := func() {
		k.t.Helper()
		second := k.newHook()
		second.ID = h.ID
		err := k.s.CreateEventHook(k.ctx, &second, anyone)
		k.check(errors.Is(err, store.ErrExists), "CreateEventHook again: %v, want ErrExists", err)
		k.check(second.Number == 0 && second.Revision == 0, "a refused hook has the number %d", second.Number)
	}
	again()
	k.deleteHook(h)
	again()
	k.restart()
	again()
	next := k.hook()
	k.check(next.Number > h.Number, "number %d after %d", next.Number, h.Number)
	ids, err := k.s.HookIDs(k.ctx)
	k.must(err)
	k.equal("ids", ids, map[int64]string{h.Number: h.ID, next.Number: next.ID})
}

func revises(k *kit) {
	var revisions []int64
	note := func() {
		k.t.Helper()
		_, revision := k.hooks()
		revisions = append(revisions, revision)
	}
	note()
	a, b := k.hook(), k.hook()
	note()
	got := k.update(a.ID, func(h *hook.EventHook) { h.Name = "renamed" })
	note()
	k.check(got.Revision == revisions[2], "the change made revision %d, the hooks have %d", got.Revision, revisions[2])
	k.update(a.ID, func(*hook.EventHook) {})
	note()
	k.restart()
	k.deleteHook(b)
	note()
	list, _ := k.hooks()
	k.check(list[0].Revision == revisions[3], "the hook left is of revision %d, want %d", list[0].Revision, revisions[3])
	k.restart()
	k.hook()
	note()
	for i := range revisions[1:] {
		k.check(revisions[i] < revisions[i+1], "revisions %v", revisions)
	}
	_, err := k.s.Hold(k.ctx, a.Number, hook.ReasonGone, k.now(), time.Time{})
	k.must(err)
	_, revision := k.hooks()
	k.check(revision == revisions[len(revisions)-1], "a hold is revision %d after %v", revision, revisions)
}

func guardsCreation(k *kit) {
	a, b, gone := k.hook(), k.hook(), k.hook()
	k.deleteHook(gone)
	before := k.dump()
	refused := k.newHook()
	err := k.s.CreateEventHook(k.ctx, &refused, func(others []hook.EventHook) error {
		k.equal("the others", hookIDs(others), []string{a.ID, b.ID})
		return errRefused
	})
	k.check(err == errRefused, "CreateEventHook: %v, want the error of guard as it is", err)
	k.check(refused.Number == 0 && refused.Revision == 0, "a refused hook has the number %d", refused.Number)
	err = k.s.DeleteEventHook(k.ctx, a.ID, k.now(), func(h hook.EventHook) error {
		k.equal("what the guard sees", h, a)
		return errRefused
	})
	k.check(err == errRefused, "DeleteEventHook: %v, want the error of guard as it is", err)
	k.equal("the store", k.dump(), before)
	k.restart()
	k.equal("the store after a restart", k.dump(), before)
}

func hookIDs(hooks []hook.EventHook) (ids []string) {
	for _, h := range hooks {
		ids = append(ids, h.ID)
	}
	return ids
}

func guardsUpdate(k *kit) {
	a, b, c, gone := k.hook(), k.hook(), k.hook(), k.hook()
	k.deleteHook(gone)
	before := k.dump()
	_, err := k.s.UpdateEventHook(k.ctx, b.ID, k.now(), func(h *hook.EventHook, others []hook.EventHook) error {
		k.equal("the hook", *h, b)
		k.equal("the others", hookIDs(others), []string{a.ID, c.ID})
		h.Status = hook.Inactive
		return errRefused
	})
	k.check(err == errRefused, "UpdateEventHook: %v, want the error of change as it is", err)
	k.equal("the store", k.dump(), before)
}

// updatesHookConcurrently has many callers count up in one hook: a change that
// saw another state than the one it replaced would lose a count.
func updatesHookConcurrently(k *kit) {
	a, b := k.hook(), k.hook()
	var wait sync.WaitGroup
	var mu sync.Mutex
	revisions := make(map[int64]bool)
	for caller := range 8 {
		id := []string{a.ID, b.ID}[caller%2]
		wait.Go(func() {
			for range 5 {
				h, err := k.s.UpdateEventHook(k.ctx, id, k.now(), func(h *hook.EventHook, others []hook.EventHook) error {
					if len(others) != 1 || others[0].ID == h.ID {
						k.t.Errorf("others: %v", others)
					}
					h.Types = append(h.Types, "x")
					return nil
				})
				if err != nil {
					k.t.Errorf("UpdateEventHook: %v", err)
				}
				mu.Lock()
				revisions[h.Revision] = true
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	list, revision := k.hooks()
	for _, h := range list {
		k.check(len(h.Types) == 21, "%d of 20 changes are kept", len(h.Types)-1)
	}
	k.check(len(revisions) == 40, "%d revisions of 40 changes", len(revisions))
	k.check(revision == max(list[0].Revision, list[1].Revision), "revision %d of %d and %d", revision, list[0].Revision, list[1].Revision)
}

func missesHooks(k *kit) {
	gone := k.hook()
	k.deleteHook(gone)
	for _, id := range []string{"", "never", gone.ID} {
		_, err := k.s.UpdateEventHook(k.ctx, id, k.now(), func(*hook.EventHook, []hook.EventHook) error {
			k.t.Errorf("change was called for %q", id)
			return nil
		})
		k.check(errors.Is(err, store.ErrNotFound), "UpdateEventHook(%q): %v, want ErrNotFound", id, err)
		err = k.s.DeleteEventHook(k.ctx, id, k.now(), func(hook.EventHook) error {
			k.t.Errorf("guard was called for %q", id)
			return nil
		})
		k.check(errors.Is(err, store.ErrNotFound), "DeleteEventHook(%q): %v, want ErrNotFound", id, err)
	}
	for _, number := range []int64{0, gone.Number, gone.Number + 1000} {
		_, err := k.s.Hold(k.ctx, number, hook.ReasonGone, k.now(), time.Time{})
		k.check(errors.Is(err, store.ErrNotFound), "Hold(%d): %v, want ErrNotFound", number, err)
	}
}
