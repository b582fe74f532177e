package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestFirstStartKilled kills first starts before each of the steps that they
// take on disk: the next start must serve, whatever was left behind.
func TestFirstStartKilled(t *testing.T) {
	for _, call := range []string{"mkdirat", "openat", "write", "linkat", "fsync", "pwrite64"} {
		t.Run(call, func(t *testing.T) {
			steps := 0
			for n := 1; killedAtStep(t, call, n); {
				steps++
				n += 1 + n/4 // not every page is a story of its own
			}
			if steps == 0 {
				t.Errorf("a first start makes no call of %s", call)
			}
			t.Logf("killed before %d of them", steps)
		})
	}
}

// killedAtStep kills a first start as it begins its nth call of some kind on
// its files, and starts again. It reports false when there is no such step.
func killedAtStep(t *testing.T, call string, n int) bool {
	t.Helper()
	s := newSite(t, filepath.Join(t.TempDir(), "data"), program(t))
	plain := s.command
	s.trace = filepath.Join(t.TempDir(), "trace")
	// Only calls on these paths count, by each thread for itself, but every write
	// counts: drafts have random names.
	strace := []string{"strace", "-f", "-o", s.trace, "-e", "signal=none", "-e", "trace=execve," + call, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n)}
	paths := []string{filepath.Dir(s.dir), s.dir, s.command[0]}
	for _, name := range []string{"admin-token", "secret-key", "grapnel.db", "grapnel.db-journal", "grapnel.db-wal"} {
		paths = append(paths, filepath.Join(s.dir, name))
	}
	for _, path := range paths {
		if call != "write" {
			strace = append(strace, "-P", path)
		}
	}
	s.command = append(strace, s.command...)
	if s.start().serves() {
		s.life.kill()
		return false
	}
	s.command, s.trace = plain, ""
	l := s.start()
	if !l.serves() {
		left, _ := os.ReadDir(s.dir)
		t.Fatalf("killed before %s %d, it does not start again: %v\n%s%v", call, n, l.end, l.log.String(), left)
	}
	l.createSource()
	l.send(event("after", "user.session.start"))
	l.kill()
	return true
}
