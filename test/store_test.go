package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
)

// TestStoreSessions types the sessions of docs/store.md, line by line, where a
// gateway has been: what it had is there after each of its moves.
func TestStoreSessions(t *testing.T) {
	binary, dir := program(t), t.TempDir()
	if err := os.Symlink(binary, filepath.Join(dir, "grapnel")); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, filepath.Join(dir, "grapnel-data"), binary)
	l := s.serve()
	l.createSource()
	// Nobody listens on port 1: deliveries wait.
	l.createHook("down", "http://127.0.0.1:1/", everything, `{"verification":"none","retry":{"initial":"24h","max":"24h","for":"72h"}}`)
	l.send(event("a", "user.session.start"), event("b", "user.session.end"))
	until(t, "both deliveries were attempted", func() bool {
		_, answer, err := l.try(http.MethodGet, "/v1/deliveries", "")
		return err == nil && strings.Count(string(answer), `"attemptCount":1`) == 2
	})
	want := toldOf(l)
	l.stop()

	url := postgrestest.Shared(t).Database(t)
	serves := 0
	for line := range strings.Lines(sessions(t, "../docs/store.md")) {
		line = strings.ReplaceAll(strings.TrimSpace(line), "postgres://grapnel@db.example.com/grapnel", "'"+url+"'")
		if rest, ok := strings.CutPrefix(line, "grapnel serve "); ok {
			serves++
			s.command = []string{"bash", "-c", "cd " + dir + " && exec ./grapnel serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --allow-http --allow-destination 127.0.0.1/32 " + rest}
			l := s.serve()
			if diff := cmp.Diff(want, toldOf(l)); diff != "" {
				t.Errorf("after %s (-want +got):\n%s", line, diff)
			}
			known := l.stats().Sources[0].Duplicates
			l.send(event("a", "user.session.start"))
			if n := l.stats().Sources[0].Duplicates; n != known+1 {
				t.Errorf("after %s %d duplicates are known, want %d", line, n, known+1)
			}
			l.stop()
			continue
		}
		bash := exec.CommandContext(t.Context(), "bash", "-c", "set -e; PATH=.:$PATH; "+line)
		bash.Dir = dir
		if out, err := bash.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	if serves != 2 {
		t.Errorf("%d sessions start a gateway", serves)
	}
}

// toldOf is what a gateway tells of its deliveries.
func toldOf(l *life) (list any) {
	l.Helper()
	l.call(http.MethodGet, "/v1/deliveries", "", http.StatusOK, &list)
	return list
}

// sessions are the commands of a document that are marked to be typed.
func sessions(t *testing.T, file string) (commands string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "<!-- session -->\n```sh\n") {
		session, _, found := strings.Cut(part, "\n```\n")
		if i == 0 {
			continue
		}
		if !found {
			t.Fatalf("session %d of %s has no end", i, file)
		}
		commands += session + "\n"
	}
	if commands == "" {
		t.Fatalf("%s has no sessions", file)
	}
	return commands
}
