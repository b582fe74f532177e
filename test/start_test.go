package test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStartRefused starts gateways that cannot serve. Each must end by itself
// and say why.
func TestStartRefused(t *testing.T) {
	first := newSite(t, t.TempDir(), program(t)).serve()
	foreign := newSite(t, t.TempDir(), program(t))
	foreign.serve().stop()
	store := func(s *site) string { return "sqlite:" + filepath.Join(s.dir, "grapnel.db") }

	for name, c := range map[string]struct {
		flags []string
		says  string
	}{
		"store in use":         {[]string{"--store", store(first.site)}, "is in use by another process"},
		"address in use":       {[]string{"--listen", first.public}, "--listen: "},
		"admin address in use": {[]string{"--admin-listen", first.admin}, "--admin-listen: "},
		"another key":          {[]string{"--store", store(foreign), "--secret-key", strings.Repeat("B", 42) + "A="}, "is not the one this store was made with"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir(), program(t))
			s.command = append(s.command, c.flags...)
			l := s.start()
			select {
			case <-l.exited:
			case <-time.After(patience):
				t.Fatal("it does not end")
			}
			text := l.log.String()
			if l.process.ProcessState.ExitCode() != 1 || !strings.Contains(text, c.says) || strings.Contains(text, "panic") {
				t.Errorf("%v, and it says:\n%s", l.end, text)
			}
		})
	}
}
