package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/grapnel-hooks/grapnel/internal/app"
	"go.yaml.in/yaml/v3"
)

// defaults are what the flags' help shows, told once.
var defaults = kong.Vars{
	"listen":           app.DefaultListen,
	"admin_listen":     app.DefaultAdminListen,
	"store":            app.DefaultStore,
	"retention":        app.DefaultRetention.String(),
	"dedupe_retention": app.DefaultDedupeRetention.String(),
}

// version is the module's, as the Go toolchain knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}

// byteSize is a number of bytes, written "512", "32MiB" or "50GB".
type byteSize int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// UnmarshalText reads a size.
func (b *byteSize) UnmarshalText(text []byte) error {
	for _, unit := range units {
		digits, ok := strings.CutSuffix(string(text), unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/unit.bytes {
			break
		}
		*b = byteSize(n * unit.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size; write it like 32MiB or 50GB", text)
}

// configFile is the path of a YAML file whose keys are the names of flags.
type configFile string

// BeforeResolve reads the file, so that flags and the environment still win.
func (c configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path, ok := ctx.FlagValue(trace.Flag).(configFile)
	if !ok || path == "" {
		return nil
	}
	raw, err := os.ReadFile(string(path))
	if err != nil {
		return err
	}
	var settings map[string]any
	if err := yaml.Unmarshal(raw, &settings); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	known := make(map[string]bool)
	for _, group := range ctx.Flags() {
		known[group.Name] = true
	}
	for name := range settings {
		if !known[name] {
			return fmt.Errorf("%s: there is no setting %q; the names are those of the flags in: grapnel serve --help", path, name)
		}
	}
	doc, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	resolver, err := kong.JSON(bytes.NewReader(doc))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ctx.AddResolver(resolver)
	return nil
}
