package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/grapnel-hooks/grapnel/internal/app"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// storeCheck is `grapnel store check`.
type storeCheck struct {
	output
	Store string `arg:"" help:"The store to check, which gateways may be using: sqlite:PATH or postgres://…"`
}

// Run checks: what is wrong goes to stdout, and makes it fail.
func (c *storeCheck) Run(ctx context.Context) error {
	line := newStatus(os.Stderr)
	report, err := app.Check(ctx, c.Store, blocksProgress(line))
	line.clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; the check was not finished")
	}
	if err != nil {
		return usage(err)
	}
	if err := c.printFindings(&report); err != nil {
		return err
	}
	talk("Looked at %s events in %s blocks, and at %s deliveries.", thousands(report.Events), thousands(report.Blocks), thousands(report.Deliveries))
	for _, what := range report.Bounded {
		talk("Not known exactly: %s.", what)
	}
	found := int64(len(report.Findings))
	switch {
	case found == 0:
		talk("Nothing is wrong with it.")
		return nil
	case report.More > 0:
		return fmt.Errorf("there are %s faults and at least %s more of the same kinds; docs/store.md says for each kind what to do", thousands(found), thousands(report.More))
	default:
		return fmt.Errorf("there are %s faults; docs/store.md says for each kind what to do", thousands(found))
	}
}

var findingColumns = []column{
	{"FAULT", "fault", false},
	{"THING", "thing", true},
	{"PROBLEM", "problem", true},
}

// printFindings prints what a check has found, in JSON with all it has looked at.
func (o *output) printFindings(report *store.Report) error {
	if o.json() {
		shown := *report
		if shown.Findings == nil {
			shown.Findings = []store.Finding{}
		}
		raw, err := json.Marshal(&shown)
		if err != nil {
			return err
		}
		return printJSON(raw)
	}
	if len(report.Findings) == 0 {
		return nil
	}
	rows := make([]row, len(report.Findings))
	for i, f := range report.Findings {
		rows[i] = row{"fault": string(f.Fault), "thing": f.Thing, "problem": f.Problem}
	}
	return printTable(rows, findingColumns)
}
