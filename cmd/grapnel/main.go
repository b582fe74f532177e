// Command grapnel takes one Okta hook in and puts as many out as you need.
//
// Each command has a file of its own, which holds its flags and what it
// prints; the work is done by the packages under internal/.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is the command line: one field for each command.
type commands struct {
	Serve      serveCmd      `cmd:"" help:"Run the gateway."`
	Hooks      hooksCmd      `cmd:"" help:"Show and change event hooks."`
	Sources    sourcesCmd    `cmd:"" help:"Show and change sources, the Okta orgs that call."`
	Events     eventsCmd     `cmd:"" help:"Show events and send them again."`
	EventTypes eventTypesCmd `cmd:"" help:"Show Okta's event types; needs no gateway."`
	Deliveries deliveriesCmd `cmd:"" help:"Show deliveries and send them again."`
	Store      storeCmd      `cmd:"" help:"Copy, back up, restore and check a store."`
	Bench      benchCmd      `cmd:"" help:"Measure what this machine can do."`
	Demo       demoCmd       `cmd:"" help:"Show the gateway at work: a made-up org, four destinations."`

	Version kong.VersionFlag `help:"Print the version."`
}

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is wrong usage that only shows when a command runs.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	parser, err := kong.New(&commands{},
		kong.Name("grapnel"),
		kong.Description("One Okta hook in, as many out as you need, nothing lost."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		defaults,
		kong.Vars{"token_file": tokenFile, "version": version()},
	)
	if err != nil {
		panic(err) // the struct tags above are wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		hint := "grapnel --help"
		var wrong *kong.ParseError
		if errors.As(err, &wrong) && wrong.Context.Selected() != nil {
			hint = "grapnel " + wrong.Context.Selected().Path() + " --help"
		}
		fmt.Fprintf(os.Stderr, "grapnel: %v\nSee %s\n", err, hint)
		return exitUsage
	}
	err = command.Run()
	if err == nil {
		return exitFine
	}
	fmt.Fprintf(os.Stderr, "grapnel: %v\n", err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}
