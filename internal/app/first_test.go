package app

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstSourceAfterAFailedStart: a first start with its port in use has made
// the credentials already; the next one still tells what to paste into Okta.
func TestFirstSourceAfterAFailedStart(t *testing.T) {
	ctx := t.Context()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	options := Options{
		Listen: busy.Addr().String(), AdminListen: "127.0.0.1:0",
		Store: "sqlite:" + filepath.Join(t.TempDir(), "grapnel.db"), Log: slog.New(slog.DiscardHandler),
	}
	if _, err := New(ctx, options); err == nil || !strings.Contains(err.Error(), "give another address") {
		t.Fatalf("on a port in use: %v", err)
	}
	options.Listen = "127.0.0.1:0"
	for i, want := range []bool{true, false, false} {
		a, err := New(ctx, options)
		if err != nil {
			t.Fatal(err)
		}
		first, err := a.FirstSource(ctx)
		if err != nil || (first != nil) != want {
			t.Errorf("start %d: %v, %v", i, first, err)
		}
		if first != nil && len(a.Made) != 0 {
			t.Errorf("made %v again", a.Made)
		}
		if i == 1 { // one that had a source never gets another by itself
			if err := a.admin.DeleteSource(ctx, "okta"); err != nil {
				t.Fatal(err)
			}
		}
		a.Stop(ctx)
	}
}
