package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackupUnderLoad backs up a store, with the real program, while a gateway
// serves from it under load, kills that gateway, and starts another on the
// backup: every event that was acknowledged before the backup began must be in
// it. What is left behind, at each of these moments, has nothing wrong with it.
func TestBackupUnderLoad(t *testing.T) {
	binary := program(t)
	c := newCrash(t, binary)
	live, dir := "sqlite:"+filepath.Join(c.site.dir, "grapnel.db"), filepath.Join(t.TempDir(), "restored")
	backup, restored := filepath.Join(t.TempDir(), "backup.db"), "sqlite:"+filepath.Join(dir, "grapnel.db")
	grapnel := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("grapnel %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	l := c.site.serve()
	c.open(l)
	c.untilAcknowledged(1500)
	before := c.acknowledged()
	grapnel("store", "backup", live, backup)
	if len(c.acknowledged()) == len(before) {
		t.Error("nothing was acknowledged while the backup was made")
	}
	grapnel("store", "check", live)
	c.untilAcknowledged(500)
	l.kill()
	c.open(nil)
	for _, s := range c.sinks {
		s.drain()
	}
	c.books.end(true)
	grapnel("store", "check", live)
	// The backup has done no harm: everything is delivered.
	c.finish()
	grapnel("store", "check", live)

	grapnel("store", "check", "sqlite:"+backup)
	grapnel("store", "restore", backup, restored)
	for _, name := range []string{"secret-key", "admin-token"} {
		credential, err := os.ReadFile(filepath.Join(c.site.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), credential, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l = newSite(t, dir, binary).serve()
	there := l.uuids()
	for uuid := range before {
		if !there[uuid] {
			t.Errorf("event %s was acknowledged before the backup was made, and is not in it", uuid)
		}
	}
	if all := len(c.acknowledged()); len(there) >= all {
		t.Errorf("the backup has %d events of %d: nothing came after it", len(there), all)
	}
	until(t, "the backup's deliveries are made", func() bool {
		for _, h := range l.stats().Hooks {
			if h.Waiting > 0 {
				return false
			}
		}
		return true
	})
	l.stop()
	grapnel("store", "check", restored)
}

// untilAcknowledged waits until so many more events are acknowledged.
func (c *crash) untilAcknowledged(more int) {
	c.Helper()
	var acks int
	c.books.look(func() { acks = c.books.acks + more })
	c.books.wait("so many acknowledged", func() bool { return c.books.acks >= acks })
}

// acknowledged are the uuids of all events that were acknowledged so far.
func (c *crash) acknowledged() map[string]bool {
	uuids := make(map[string]bool)
	c.books.look(func() {
		for uuid, e := range c.books.events {
			if e.acked {
				uuids[uuid] = true
			}
		}
	})
	return uuids
}

// uuids are those of all events that a gateway lists.
func (l *life) uuids() map[string]bool {
	l.Helper()
	uuids := make(map[string]bool)
	for after := ""; ; {
		var page struct {
			Items []struct{ UUID string }
			Next  string
		}
		l.call(http.MethodGet, "/v1/events?limit=1000&after="+after, "", http.StatusOK, &page)
		for _, e := range page.Items {
			uuids[e.UUID] = true
		}
		if after = page.Next; after == "" {
			return uuids
		}
	}
}
