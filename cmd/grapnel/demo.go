package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/grapnel-hooks/grapnel/internal/demo"
)

// demoCmd shows the gateway at work. How it prints is told in internal/demo.
type demoCmd struct {
	For time.Duration `help:"How long the org sends, such as 30s; without it until Ctrl-C. Either way every event is accounted for in the end." placeholder:"DURATION"`
}

// Validate is called by kong.
func (c *demoCmd) Validate() error {
	if c.For < 0 {
		return errors.New("--for: give a time like 30s")
	}
	return nil
}

// endings are the signals that end a demo besides those that end any command:
// the terminal is closed, or whoever read what it prints is gone. Nothing may
// be left behind then either.
var endings = []os.Signal{syscall.SIGHUP, syscall.SIGPIPE}

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, endings...)
	defer stop()
	account, err := c.perform(ctx)
	if err != nil {
		return err
	}
	if err := account.Write(os.Stdout, colourful(os.Stdout)); err != nil {
		return err
	}
	return account.Err()
}

func (c *demoCmd) perform(ctx context.Context) (*demo.Account, error) {
	screen := &demo.Screen{Out: os.Stderr, Size: func() (int, int) { return size(os.Stderr) }, Colour: colourful(os.Stderr)}
	d, err := demo.Start(ctx, demo.Options{Version: version(), Screen: screen})
	if err != nil {
		return nil, err
	}
	defer d.Stop()
	if err := d.Introduce(); err != nil {
		return nil, err
	}
	if err := d.Play(ctx, c.For); err != nil {
		return nil, err
	}
	// Ctrl-C once more is for people who do not want to wait.
	hurry, stop := signal.NotifyContext(context.Background(), append(endings, os.Interrupt, syscall.SIGTERM)...)
	defer stop()
	if err := d.Settle(hurry); err != nil {
		return nil, err
	}
	return d.Account(context.Background())
}

func colourful(f *os.File) bool {
	columns, _ := size(f)
	return columns > 0 && os.Getenv("NO_COLOR") == ""
}

// size is 0, 0 when f is no terminal that can move its cursor.
func size(f *os.File) (columns, rows int) {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || os.Getenv("TERM") == "dumb" {
		return 0, 0
	}
	return columns, rows
}
