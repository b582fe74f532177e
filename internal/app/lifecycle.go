package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Start serves. It returns at once; Failed tells if a listener fails later.
func (a *App) Start(ctx context.Context) error {
	if err := a.join(ctx); err != nil {
		return err
	}
	if err := a.reload(ctx); err != nil {
		return err
	}
	a.background("membership", a.beat)
	a.engine.Start()
	a.undo.add("deliveries", a.engine.Stop)
	a.background("upkeep", a.upkeep.Run)
	a.background("intake", a.intake.Run)
	a.background("counters", a.receiver.Run)
	a.background("changes", a.follow)
	a.serve("admin", a.private, a.adminListen)
	a.serve("public", a.public, a.publicListen)
	return nil
}

// background runs do until the gateway stops.
func (a *App) background(name string, do func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { do(ctx) })
	a.undo.add(name, func(context.Context) {
		cancel()
		done.Wait()
	})
}

// answersWithin is how long calls under way may take when the gateway stops.
// Okta does not wait longer than 3 s, and the rest of the time is for attempts.
const answersWithin = 4 * time.Second

func (a *App) serve(name string, server *http.Server, listener net.Listener) {
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- err
		}
	}()
	a.undo.add(name+" listener", func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, answersWithin)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
	})
}

// Failed yields an error when a listener fails.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends the gateway. Calls under way are answered, attempts under way may
// finish until ctx ends, everything else waits in the store for the next start.
func (a *App) Stop(ctx context.Context) { a.undo.run(ctx, a.log) }

// PublicAddr and AdminAddr are where the gateway listens.
func (a *App) PublicAddr() net.Addr { return a.publicListen.Addr() }

// AdminAddr is where the gateway's APIs listen.
func (a *App) AdminAddr() net.Addr { return a.adminListen.Addr() }

// Token is the admin token.
func (a *App) Token() string { return a.token }
