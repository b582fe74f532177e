package demo

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

func quietScreen(out io.Writer) *Screen {
	return &Screen{Out: out, Size: func() (int, int) { return 0, 0 }}
}

// story is a demo to be performed.
type story struct {
	length  time.Duration
	settle  bool
	before  func(*Demo)             // the org sends; may be nil
	between func(*testing.T, *Demo) // deliveries have settled and the account; may be nil
}

// perform runs a demo in fake time, over a network in memory.
func perform(t *testing.T, s story, check func(*Demo, *Account)) {
	synctest.Test(t, func(t *testing.T) {
		d, err := Start(t.Context(), Options{Version: "test", Screen: quietScreen(io.Discard), Network: newMemory().network()})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Stop()
		if s.before != nil {
			s.before(d)
		}
		if err := d.Play(t.Context(), s.length); err != nil {
			t.Fatal(err)
		}
		if s.settle {
			if err := d.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.between != nil {
			s.between(t, d)
		}
		a, err := d.Account(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		check(d, a)
	})
}

func TestHalfAMinute(t *testing.T) {
	perform(t, story{length: 30 * time.Second, settle: true}, func(d *Demo, a *Account) {
		if err := a.Err(); err != nil {
			t.Error(err)
		}
		if a.org.types < 20 || a.org.answered < 150 || a.source.Duplicates < 5 {
			t.Errorf("%d types, %d events, %d duplicates: that is no demo", a.org.types, a.org.answered, a.source.Duplicates)
		}
		if len(a.notes) > 0 {
			t.Errorf("notes: %q", a.notes)
		}
		for i, h := range d.hooks {
			got := a.hooks[i]
			if got.matched == 0 || got.waiting != 0 || got.got != got.delivered {
				t.Errorf("%s: %+v", h.name, got)
			}
			if verified := h.destination.read().verified; verified == h.downAtFirst {
				t.Errorf("%s: verified by handshake: %v", h.name, verified)
			}
			all := got.matched == a.source.Received
			if filtered := h.filter != ""; all == filtered {
				t.Errorf("%s matched %d of %d", h.name, got.matched, a.source.Received)
			}
			again := got.attempts > got.matched
			if flaky := h.name == "flaky"; got.dead > 0 && !flaky || again != (flaky || h.downAtFirst) {
				t.Errorf("%s: %+v", h.name, got)
			}
		}
	})
}

func TestWhatWaitsIsAColumn(t *testing.T) {
	perform(t, story{length: 4 * time.Second}, func(_ *Demo, a *Account) {
		if err := a.Err(); err != nil {
			t.Error(err)
		}
		if late := a.hooks[2]; late.waiting == 0 || late.waiting != late.matched || late.got != 0 {
			t.Errorf("late, which is down: %+v", late)
		}
	})
}

func TestADestinationThatForgetsIsFound(t *testing.T) {
	forgetful := func(d *Demo) {
		good := d.hooks[0].destination
		good.failing = func() bool { clear(good.book.got); return false }
	}
	perform(t, story{length: 3 * time.Second, before: forgetful}, func(_ *Demo, a *Account) {
		err := a.Err()
		if err == nil || !strings.Contains(err.Error(), "good: ") || !strings.Contains(err.Error(), "did not arrive") {
			t.Errorf("the sums close: %v", err)
		}
		var table bytes.Buffer
		if err := a.Write(&table, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(table.String(), "The sums do not close:\n  good: ") {
			t.Errorf("the table says nothing of it:\n%s", &table)
		}
	})
}

// People are invited to use the API: what they do must not look like a loss.
func TestWhatPeopleDoMeanwhileAddsUp(t *testing.T) {
	retried := 0
	failing := func(d *Demo) { d.hooks[1].destination.failing = func() bool { return true } }
	people := func(t *testing.T, d *Demo) {
		flaky, good := d.hooks[1], d.hooks[0]
		flaky.destination.mu.Lock()
		flaky.destination.failing = nil
		flaky.destination.mu.Unlock()
		type dead struct{ ID string }
		err := list(t.Context(), d.gateway, "/v1/deliveries", url.Values{"state": {"dead"}, "hook": {flaky.id}}, func(one dead) {
			retried++
			if err := d.gateway.call(t.Context(), http.MethodPost, "/v1/deliveries/"+one.ID+"/retry", nil, nil); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []string{"deactivate", "activate"} {
			if err := d.gateway.call(t.Context(), http.MethodPost, hookPath(good.id)+"/lifecycle/"+step, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	perform(t, story{length: 3 * time.Second, settle: true, before: failing, between: people}, func(_ *Demo, a *Account) {
		if err := a.Err(); err != nil {
			t.Error(err)
		}
		n := a.source.Received
		want := hookAccount{name: "flaky", matched: 2 * n, delivered: n, dead: n, attempts: 6 * n, got: n}
		if got := a.hooks[1]; retried != n || got != want {
			t.Errorf("%d of %d sent again: %+v, want %+v", retried, n, got, want)
		}
		if len(a.notes) != 2 {
			t.Errorf("notes: %q", a.notes)
		}
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	d, err := Start(t.Context(), Options{Version: "test", Screen: quietScreen(&out)})
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{d.gateway.app.PublicAddr().String(), d.gateway.app.AdminAddr().String()}
	for _, h := range d.hooks {
		addresses = append(addresses, h.destination.address)
	}
	err = d.Introduce()
	if err == nil {
		err = d.Play(t.Context(), 1500*time.Millisecond)
	}
	var a *Account
	if err == nil {
		a, err = d.Account(t.Context())
	}
	d.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Err(); err != nil {
		t.Error(err)
	}
	if a.org.answered == 0 {
		t.Error("nothing was sent")
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, address := range addresses {
		if l, err := net.Listen("tcp", address); err != nil {
			t.Errorf("not given back: %v", err)
		} else {
			l.Close()
		}
	}
	if strings.Contains(out.String(), "log:") {
		t.Errorf("the gateway's log has something to say:\n%s", &out)
	}
}

func TestInterruptedBeforeItBegan(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	network := &app.Network{Listen: func(protocol, address string) (net.Listener, error) {
		if strings.HasPrefix(address, "127.0.0.1:2") { // the last destination but one
			cancel()
		}
		return net.Listen(protocol, address)
	}}
	_, err := Start(ctx, Options{Version: "test", Screen: quietScreen(io.Discard), Network: network})
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error: %v", err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
