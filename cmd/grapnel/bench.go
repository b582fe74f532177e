package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/bench"
)

// benchCmd is `grapnel bench`. The report goes to stdout, progress to stderr.
type benchCmd struct {
	Connections []int         `default:"16,64" help:"Numbers of connections to measure with."`
	FanOut      []int         `default:"1" help:"Numbers of event hooks that every event goes to, to measure with; with 0 it goes to none, and intake alone is compared with a handler that reads and answers."`
	Duration    time.Duration `default:"10s" help:"How long each load lasts. Two are run, relay and gateway, for each number of connections, fan-out and round."`
	WarmUp      time.Duration `default:"2s" help:"How long the load before it lasts, which does not count."`
	Events      int64         `placeholder:"N" help:"End a load after so many events if that comes first; 0 for no such limit."`
	Rounds      int           `default:"3" help:"How often relay and gateway are measured in turn; medians are shown."`
	Stored      int           `placeholder:"N" help:"Measure also a gateway whose store holds so many events already, with their deliveries settled: throughput, start, pages of lists, disk."`
	Waiting     int           `placeholder:"N" help:"The same with so many deliveries that wait for a destination that is down."`
	Prune       bool          `help:"Measure also a gateway that removes as many events that are too old as come in. It does so once a minute: give --duration 3m."`
	Store       string        `placeholder:"URL" help:"postgres://… of a database whose role may make others: the gateway's store is a new one, dropped afterwards. The server's CPU is counted if it runs on this machine. Without it: SQLite."`
	Dir         string        `default:"." type:"existingdir" help:"Where the gateway's store gets a new directory, which is removed afterwards: name one on the disk that the gateway will use."`
	Expect      int           `placeholder:"N" help:"Events/s that the relay is known to reach on this machine when it is idle: a run in which it stays under 0.8 of that is marked as not to be quoted."`
	Output      string        `enum:"table,json" default:"table" short:"o" help:"How to print: ${enum}."`

	// The relay is this same binary, started by Run with these two.
	RelayListen string   `hidden:""`
	RelayTo     []string `hidden:""`
}

// Validate is called by kong.
func (c *benchCmd) Validate() error {
	o := c.options()
	return o.Check()
}

func (c *benchCmd) options() bench.Options {
	return bench.Options{
		RelayArguments: func(address string, to []string) []string {
			return []string{"bench", "--relay-listen", address, "--relay-to", strings.Join(to, ",")}
		},
		Connections: c.Connections, FanOut: c.FanOut, Expect: c.Expect, Duration: c.Duration, WarmUp: c.WarmUp, Events: c.Events, Rounds: c.Rounds,
		Stored: c.Stored, Waiting: c.Waiting, Prune: c.Prune, Store: c.Store, Dir: c.Dir,
		Progress: func(line string) { fmt.Fprintln(os.Stderr, line) },
	}
}

// Run measures, until it is done or ctx ends.
func (c *benchCmd) Run(ctx context.Context) error {
	if c.RelayListen != "" {
		return bench.ServeRelay(ctx, c.RelayListen, c.RelayTo)
	}
	o := c.options()
	var err error
	if o.Executable, err = os.Executable(); err != nil {
		return err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	report, err := bench.Run(ctx, o)
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing is left running, and no figures were kept")
	}
	if err != nil {
		return err
	}
	if c.Output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.Write(os.Stdout)
	}
	return errors.Join(err, report.Err())
}
