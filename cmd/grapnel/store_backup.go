package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

// storeBackup is `grapnel store backup`.
type storeBackup struct {
	output
	From   string `arg:"" help:"The SQLite store to back up, which a gateway may be serving from: sqlite:PATH"`
	ToFile string `arg:"" name:"to-file" help:"The file to make. It must not exist, and its directory must."`
}

// Run backs up.
func (c *storeBackup) Run(ctx context.Context) error {
	line := newStatus(os.Stderr)
	err := app.Backup(ctx, c.From, c.ToFile, bytesProgress(line, "copying"))
	line.clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; no backup was made")
	}
	if err != nil {
		return usage(err)
	}
	info, err := os.Stat(c.ToFile)
	if err != nil {
		return err
	}
	made := row{"from": app.StoreName(c.From), "file": c.ToFile, "bytes": info.Size()}
	if err := c.printMade(made, []column{{"FILE", "file", true}, {"BYTES", "bytes", false}}); err != nil {
		return err
	}
	talk("The secret key is NOT in the backup: without it no gateway starts on it. Keep with it a copy of the key, and of the admin token:\n\n  %s\n  %s\n",
		beside(c.From, app.KeyFile, "--secret-key-file"), beside(c.From, app.TokenFile, "--admin-token-file"))
	talk("Restore it with:\n\n  grapnel store restore %s sqlite:PATH\n", quote(c.ToFile))
	return nil
}

// beside tells where a gateway on a SQLite store has a credential.
func beside(store, file, flag string) string {
	path := app.Beside(store, file)
	if _, err := os.Stat(path); err != nil {
		return fmt.Sprintf("what the gateway is given with %s", flag)
	}
	return quote(path)
}

// printMade prints one thing that was made.
func (o *output) printMade(made row, columns []column) error {
	if !o.json() {
		return printFields(made, columns)
	}
	raw, err := json.Marshal(made)
	if err != nil {
		return err
	}
	return printJSON(raw)
}

// bytesProgress shows how many bytes are done.
func bytesProgress(line *status, doing string) func(done, total int64) {
	begin := time.Now()
	return func(done, total int64) {
		elapsed := time.Since(begin)
		line.show(fmt.Sprintf("%s: %s of %s MB%s", doing, thousands(done/1e6), thousands(total/1e6), left(elapsed, done, total)), elapsed)
	}
}

// blocksProgress shows how many blocks are checked.
func blocksProgress(line *status) func(done, total int64) {
	begin := time.Now()
	return func(done, total int64) {
		elapsed := time.Since(begin)
		line.show(fmt.Sprintf("checking: %s of %s blocks%s", thousands(done), thousands(total), left(elapsed, done, total)), elapsed)
	}
}

// left guesses how long something takes that goes on as it went.
func left(elapsed time.Duration, done, total int64) string {
	if done == 0 || elapsed < time.Second {
		return ""
	}
	left := time.Duration(float64(elapsed) / float64(done) * float64(total-done)).Round(time.Second)
	if left < time.Second {
		return ""
	}
	return fmt.Sprintf(", about %v left", left)
}

// storeRestore is `grapnel store restore`.
type storeRestore struct {
	output
	Backup string `arg:"" help:"The file that grapnel store backup has made."`
	To     string `arg:"" help:"The SQLite store to make, which must not exist: sqlite:PATH"`
}

// Run restores.
func (c *storeRestore) Run(ctx context.Context) error {
	line := newStatus(os.Stderr)
	report, err := app.Restore(ctx, c.Backup, c.To, sqlite.RestoreProgress{Copied: bytesProgress(line, "copying"), Checked: blocksProgress(line)})
	line.clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was restored")
	}
	if errors.Is(err, sqlite.ErrDamaged) {
		if err := c.printFindings(&report); err != nil {
			return err
		}
		return fmt.Errorf("%s is damaged, and nothing was restored; take another backup, or read in docs/store.md how to use this one as it is", c.Backup)
	}
	if err != nil {
		return usage(err)
	}
	made := row{"backup": c.Backup, "to": app.StoreName(c.To), "blocks": report.Blocks, "events": report.Events, "deliveries": report.Deliveries}
	if err := c.printMade(made, []column{{"STORE", "to", true}, {"EVENTS", "events", false}, {"DELIVERIES", "deliveries", false}}); err != nil {
		return err
	}
	talk("Everything in it was checked. The secret key is NOT in the backup: start the gateway with the key that it had, and its admin token:\n\n  %s\n", c.next())
	talk("What was delivered after the backup was made is sent again, and what came in after it is gone.")
	return nil
}

// next is the command that serves from what was restored. Beside the store a
// gateway finds its credentials by itself.
func (c *storeRestore) next() string {
	command := "grapnel serve --store " + quote(app.StoreName(c.To))
	for _, of := range []struct{ flag, file string }{{"--secret-key-file", app.KeyFile}, {"--admin-token-file", app.TokenFile}} {
		if _, err := os.Stat(app.Beside(c.To, of.file)); err != nil {
			command += " " + of.flag + " FILE"
		}
	}
	return command
}
