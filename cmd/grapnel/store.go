package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
	"github.com/grapnel-hooks/grapnel/internal/move"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

// storeCmd holds the commands that work on a store itself, without a gateway.
type storeCmd struct {
	Copy    storeCopy    `cmd:"" help:"Copy everything a store keeps into another, empty one."`
	Backup  storeBackup  `cmd:"" help:"Copy a SQLite store into a file while a gateway serves from it."`
	Restore storeRestore `cmd:"" help:"Make a SQLite store from a backup, and check it."`
	Check   storeCheck   `cmd:"" help:"Look for what is damaged in a store or does not add up."`
}

// storeCopy is `grapnel store copy`.
type storeCopy struct {
	output
	From string `arg:"" help:"The store to copy, which nobody may use meanwhile: sqlite:PATH or postgres://…"`
	To   string `arg:"" help:"The store to fill, which must be empty, or an unfinished copy of the same store."`
}

// Run copies, or goes on with a copy.
func (c *storeCopy) Run(ctx context.Context) (err error) {
	if c.From == c.To {
		return usageError{errors.New("FROM and TO are the same")}
	}
	from, err := app.OpenArchive(ctx, c.From)
	if err != nil {
		return usage(err)
	}
	defer closing(from, &err)
	to, err := app.OpenArchiveWriter(ctx, c.To)
	if err != nil {
		return usage(err)
	}
	defer closing(to, &err)
	line := newStatus(os.Stderr)
	report, err := move.Copy(ctx, move.Options{
		From: from, To: to, FromName: app.StoreName(c.From), ToName: app.StoreName(c.To),
		Command:  "grapnel store copy " + quote(app.StoreName(c.From)) + " " + quote(app.StoreName(c.To)),
		Progress: func(p move.Progress) { line.show(progressLine(p), p.Elapsed) },
	})
	line.clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; the same command goes on where it was")
	}
	if err != nil {
		return err
	}
	if err := c.print(report); err != nil {
		return err
	}
	talk("Everything is the same in both. Leases were not copied: what was being sent waits.")
	talk("The secrets are sealed with the same key as before. Start the gateway with that key:\n\n  %s\n", c.next())
	return nil
}

// usage marks a wrong setting as wrong usage.
func usage(err error) error {
	if wrong := (*app.SettingError)(nil); errors.As(err, &wrong) {
		return usageError{err}
	}
	return err
}

func closing(a store.Archive, err *error) { *err = errors.Join(*err, a.Close()) }

// next is the command that serves from the copy.
func (c *storeCopy) next() string {
	key, token := app.Beside(c.From, app.KeyFile), app.Beside(c.From, app.TokenFile)
	if key == "" {
		key, token = "FILE", "FILE"
	}
	return fmt.Sprintf("grapnel serve --store %s --secret-key-file %s --admin-token-file %s", quote(app.StoreName(c.To)), quote(key), quote(token))
}

// quote writes a word for a shell (POSIX, Shell Command Language §2.2.2).
func quote(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@,%+=") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// copied names the kinds of items for people.
var copied = map[store.Kind]string{
	store.KindHead: "identity and numbers", store.KindSource: "sources", store.KindHook: "event hooks", store.KindCount: "counters",
	store.KindRevision: "revisions of hooks", store.KindReplay: "replays", store.KindRemoved: "dedupe keys of removed events",
	store.KindBlock: "blocks of events", store.KindFilterError: "filter errors", store.KindDelivery: "deliveries with a row of their own",
	store.KindOwed: "deliveries, by block and hook", store.KindRejected: "rejected bodies",
}

var copyColumns = []column{
	{"COPIED", "copied", false},
	{"ITEMS", "items", false},
	{"SHA-256 OF BOTH", "sha256", true},
}

func (c *storeCopy) print(report *move.Report) error {
	rows, events := make([]row, len(report.Sums)), int64(0)
	for i, sum := range report.Sums {
		rows[i] = row{"kind": sum.Kind.String(), "items": sum.Items}
		if sum.Items > 0 {
			rows[i]["sha256"] = hex.EncodeToString(sum.SHA256[:])
		}
		events += sum.Events
	}
	if c.json() {
		raw, err := json.Marshal(row{"from": app.StoreName(c.From), "to": app.StoreName(c.To), "resumed": report.Resumed, "events": events, "items": rows})
		if err != nil {
			return err
		}
		return printJSON(raw)
	}
	for i, sum := range report.Sums {
		rows[i]["copied"] = copied[sum.Kind]
		if sum.Kind == store.KindBlock {
			rows[i]["copied"] = fmt.Sprintf("%s (%d events)", copied[sum.Kind], sum.Events)
		}
	}
	return printTable(rows, copyColumns)
}

// progressLine tells how far a copy has come.
func progressLine(p move.Progress) string {
	line := fmt.Sprintf("%s: %s %s of %s", p.Phase, copied[p.Kind], thousands(p.Items), thousands(p.Total))
	if seconds := p.Elapsed.Seconds(); seconds > 0 && p.Events > 0 {
		line += fmt.Sprintf(", %s events, %s/s", thousands(p.Events), thousands(int64(float64(p.Events)/seconds)))
	}
	if p.Left >= time.Second {
		line += fmt.Sprintf(", about %v left", p.Left.Round(time.Second))
	}
	return line
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
