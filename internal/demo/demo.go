// Package demo shows a gateway at work, with nothing to set up: an org that
// plays Okta's part, a gateway, and four destinations of different temper, all
// in one process and over TCP on 127.0.0.1. In the end it accounts for every
// event, by the books of all three.
//
// What the org's people do is made up by package traffic, the gateway is put
// together by package app; neither knows that this is a demo. Once it runs, the
// demo speaks to the gateway as anybody does, through its APIs.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

// settleWithin is how long deliveries may take when the org has stopped: twice
// what the flaky destination's retries take.
const settleWithin = 12 * time.Second

// poll is how often the gateway is asked for its counters.
const poll = 250 * time.Millisecond

// Options are what a Demo is made of.
type Options struct {
	Version string
	Screen  *Screen
	// Network replaces the system's network; nil is the system's.
	Network *app.Network
}

// Demo is a demo that runs: the gateway and its destinations are there, and the
// org does nothing until Play.
type Demo struct {
	screen  *Screen
	gateway *gateway
	org     *org
	orgWeb  *http.Client
	hooks   []*eventHook
	started time.Time
	end     context.CancelFunc // of what runs in the background
	running sync.WaitGroup
}

// Start sets everything up. Stop ends it and leaves nothing behind.
func Start(ctx context.Context, o Options) (*Demo, error) {
	if o.Network == nil {
		o.Network = &app.Network{Listen: net.Listen}
	}
	d := &Demo{screen: o.Screen, orgWeb: newClient(o.Network), started: time.Now()}
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	d.end = end
	if err := d.start(ctx, background, o); err != nil {
		d.Stop()
		if ctx.Err() != nil {
			return nil, errors.New("interrupted before anything was sent; nothing is left behind")
		}
		return nil, err
	}
	return d, nil
}

func (d *Demo) start(ctx, background context.Context, o Options) (err error) {
	if d.gateway, err = startGateway(ctx, o.Version, o.Network); err != nil {
		return err
	}
	d.hooks = newHooks(o.Network, func() time.Time { return d.started })
	for _, h := range d.hooks {
		if h.downAtFirst {
			err = h.destination.stayDown()
		} else {
			err = h.destination.open(anyPort)
		}
		if err != nil {
			return err
		}
	}
	if err := d.setUp(ctx); err != nil {
		return err
	}
	d.started = time.Now()
	for _, h := range d.hooks {
		if h.downAtFirst {
			d.running.Go(func() { h.destination.openLater(background, downFor) })
		}
	}
	return nil
}

// setUp does what people do who begin with Grapnel: make a source, have Okta
// verify its address, make event hooks.
func (d *Demo) setUp(ctx context.Context) error {
	secret := rand.Text()
	var source struct {
		URL       string
		Challenge struct{ Secret string }
	}
	err := d.gateway.call(ctx, http.MethodPost, "/v1/sources", map[string]any{
		"name": sourceName, "auth": map[string]any{"key": authKey, "value": secret},
	}, &source)
	if err != nil {
		return err
	}
	d.org = newOrg(d.orgWeb, source.URL, authKey, secret, time.Now())
	if err := d.org.verify(ctx); err != nil {
		return fmt.Errorf("the org could not verify %s: %w", source.URL, err)
	}
	if err := d.gateway.call(ctx, http.MethodGet, "/v1/sources/"+sourceName, nil, &source); err != nil {
		return err
	}
	if source.Challenge.Secret != "right" {
		return fmt.Errorf("the gateway says that the org verified it with a secret that is %s", source.Challenge.Secret)
	}
	for _, h := range d.hooks {
		if err := h.create(ctx, d.gateway); err != nil {
			return err
		}
	}
	return nil
}

// Play lets the org send, and shows how it goes, until ctx ends or length is
// over; 0 is no such limit.
func (d *Demo) Play(ctx context.Context, length time.Duration) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if length > 0 {
		ctx, stop = context.WithTimeout(ctx, length)
		defer stop()
	}
	var sending sync.WaitGroup
	sending.Go(func() { d.org.run(ctx) })
	err := d.watch(ctx, time.Time{}, func(stats) bool { return false })
	stop()
	sending.Wait()
	return err
}

// Settle waits until no delivery waits any more, at most settleWithin or until
// ctx ends.
func (d *Demo) Settle(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, settleWithin)
	defer stop()
	return d.watch(ctx, time.Now().Add(settleWithin), func(s stats) bool {
		for _, h := range d.hooks {
			if s.hook(h.id).Waiting > 0 {
				return false
			}
		}
		return true
	})
}

// watch shows how it goes until done or until ctx ends. until is when it ends at
// the latest if the org has stopped, else zero.
func (d *Demo) watch(ctx context.Context, until time.Time, done func(stats) bool) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		s, err := d.gateway.stats(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := d.screen.show(d.frame(&s, until)); err != nil {
			return err
		}
		if done(s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.gateway.app.Failed():
			return fmt.Errorf("a listener of the gateway failed: %w", err)
		case <-ticker.C:
		}
	}
}

// Stop ends everything that Start began, and tells what the gateway's log said.
func (d *Demo) Stop() {
	d.end()
	d.running.Wait()
	// A connection that the org has dialled and not used would hold the gateway up.
	d.orgWeb.CloseIdleConnections()
	if d.gateway != nil {
		d.gateway.stop() // first: attempts under way may finish
		d.screen.quote(d.gateway.log)
	}
	for _, h := range d.hooks {
		h.destination.close()
	}
}
