package test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// TestPowerLoss traces a gateway from its first start and shows that whatever
// it acknowledged was on disk before: in the order of its system calls, and by
// opening what a power cut would have left behind.
func TestPowerLoss(t *testing.T) {
	s := trace(t, program(t))
	calls := readTrace(t, s.trace)
	wal := filepath.Join(s.dir, "grapnel.db-wal")
	for _, violation := range unsyncedAnswers(calls, wal) {
		t.Error(violation)
	}
	all := answers(calls)
	marks := 0
	for _, a := range all {
		marks += len(a.marks)
	}
	if want := alone + together*perCaller + 2; marks < want {
		t.Fatalf("only %d marks in %d answers, want %d", marks, len(all), want)
	}
	t.Logf("%d system calls, %d answers with %d marks", len(calls), len(all), marks)

	paths := []string{s.dir}
	for _, name := range []string{"admin-token", "secret-key", "grapnel.db", "grapnel.db-wal"} {
		paths = append(paths, filepath.Join(s.dir, name))
	}
	for _, path := range paths {
		if why := unsyncedFile(calls, path, all[0].line); why != "" {
			t.Error(why)
		}
	}
	for i := 0; i < len(all); i += 1 + len(all)/6 {
		lost, err := cutPower(t, calls, s.dir, all[:i+1])
		if len(lost) > 0 || err != nil {
			t.Errorf("a power cut after answer %d would have lost %q, %v", i, lost, err)
		}
	}
}

// TestPowerLossIsNoticed does the same to a gateway that does not sync. Were it
// to pass, TestPowerLoss would prove nothing.
func TestPowerLossIsNoticed(t *testing.T) {
	s := trace(t, program(t, "-tags", "unsynced"))
	calls := readTrace(t, s.trace)
	violations := unsyncedAnswers(calls, filepath.Join(s.dir, "grapnel.db-wal"))
	if len(violations) < alone {
		t.Errorf("only %d violations found", len(violations))
	}
	if lost, err := cutPower(t, calls, s.dir, answers(calls)); len(lost) == 0 && err == nil {
		t.Error("nothing was lost")
	}
}

// Load of a traced gateway, which is slow: events sent one after the other, and
// by callers at the same time.
const (
	alone     = 25
	together  = 6
	perCaller = 8
)

// trace runs a gateway under strace from its first start, under a light load,
// and kills it.
func trace(t *testing.T, program string) *site {
	t.Helper()
	s := newSite(t, filepath.Join(t.TempDir(), "data"), program)
	s.trace = filepath.Join(t.TempDir(), "trace")
	s.command = append(traceCommand(s.trace), s.command...)
	l := s.serve()
	l.call("POST", "/v1/sources", `{"name":"mark-source","auth":{"key":"Authorization","value":"`+orgSecret+`"}}`, http.StatusCreated, nil)
	l.createSource()
	sink := newSink(t, func(parcel, http.ResponseWriter, *http.Request) {})
	l.createHook("mark-hook", sink.url, everything, `{"verification":"none"}`)
	for n := range alone {
		l.send(markedEvent("alone", n))
	}
	// Together they share commits; every second event is sent by two at once.
	var callers sync.WaitGroup
	for caller := range together {
		callers.Go(func() {
			for n := range perCaller {
				events := []string{markedEvent(fmt.Sprintf("caller-%d", caller), n), markedEvent(fmt.Sprintf("pair-%d", caller/2), n)}
				if status, _, err := l.post(context.Background(), events...); status != http.StatusOK {
					t.Errorf("answered %d, %v", status, err)
				}
			}
		})
	}
	callers.Wait()
	l.kill()
	return s
}

// markedEvent is an event whose uuid can be found in what is written.
func markedEvent(who string, n int) string {
	return event(fmt.Sprintf("mark-%s-%03d", who, n), "user.session.start")
}

// cutPower makes the store that a power cut at the last of some answers would
// have left at worst, and returns what it lacks of what they acknowledged.
func cutPower(t *testing.T, calls []*tracedCall, dir string, given []answer) (lost []string, err error) {
	t.Helper()
	left := t.TempDir()
	for _, name := range []string{"grapnel.db", "grapnel.db-wal"} {
		contents := onDisk(calls, filepath.Join(dir, name), given[len(given)-1].line)
		if err := os.WriteFile(filepath.Join(left, name), contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(left, "grapnel.db")})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	for _, a := range given {
		for _, mark := range a.marks {
			if ok, err := kept(t.Context(), store, mark); err != nil {
				return lost, err
			} else if !ok {
				lost = append(lost, mark)
			}
		}
	}
	return lost, nil
}

// kept reports whether a store holds what a mark names.
func kept(ctx context.Context, store *sqlite.Store, mark string) (bool, error) {
	switch mark {
	case "mark-source":
		sources, err := store.Sources(ctx)
		return slices.ContainsFunc(sources, func(s hook.Source) bool { return s.Name == mark }), err
	case "mark-hook":
		hooks, _, err := store.EventHooks(ctx)
		return slices.ContainsFunc(hooks, func(h hook.EventHook) bool { return h.Name == mark }), err
	default:
		events, err := store.FindEvents(ctx, mark)
		return len(events) == 1, err
	}
}
