package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// TestCopyKilled kills a copy again and again.
func TestCopyKilled(t *testing.T) {
	dir := t.TempDir()
	binary, from, to := filepath.Join(dir, "grapnel"), filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const events, blocks = 2560, 40
	size := fill(t, from, events, blocks)
	kills := 0
	for {
		before := sizeOf(to) + sizeOf(to+"-wal")
		var out, talk bytes.Buffer
		command := exec.Command(binary, "store", "copy", "sqlite:"+from, "sqlite:"+to, "-o", "json")
		command.Stdout, command.Stderr = &out, &talk
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- command.Wait() }()
		err, killed := killAfter(command, done, func() bool { return sizeOf(to)+sizeOf(to+"-wal") > before+size/4 })
		if killed {
			kills++
			continue
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, talk.Bytes())
		}
		var report struct {
			Resumed bool
			Events  int
		}
		if err := json.Unmarshal(out.Bytes(), &report); err != nil || !report.Resumed || report.Events != events {
			t.Errorf("the report says %+v (%v), want a resumed copy of %d events", report, err, events)
		}
		break
	}
	if kills < 3 {
		t.Errorf("the copy was killed %d times", kills)
	}
}

// killAfter kills a command as soon as it is time, or returns how it ended before.
func killAfter(command *exec.Cmd, done <-chan error, due func() bool) (err error, killed bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err, false
		case <-tick.C:
			if due() {
				_ = command.Process.Kill()
				<-done
				return nil, true
			}
		}
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// fill makes a store whose events cannot be compressed, and returns its size.
func fill(t *testing.T, path string, events, blocks int) int64 {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for b := range blocks {
		g := &store.Group{Received: time.Now()}
		for i := range events / blocks {
			noise := make([]byte, 6000)
			for n := range noise {
				noise[n] = byte(rand.Uint32())
			}
			uuid := fmt.Sprintf("%08x-5dd2-11f0-9c1a-%012x", b, i)
			g.Events = append(g.Events, &store.Event{Event: hook.Event{UUID: uuid, JSON: fmt.Appendf(nil, "%q", noise)}})
		}
		if _, err := s.Commit(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return sizeOf(path)
}
