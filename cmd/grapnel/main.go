// Command grapnel takes one Okta hook in and puts as many out as you need.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var root struct {
		Bench BenchCmd `cmd:"" help:"Measure what this machine can do."`
	}
	command := kong.Parse(&root, kong.BindTo(ctx, (*context.Context)(nil)))
	command.FatalIfErrorf(command.Run())
}
