package main

import (
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
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
	// kong calls this for GRAPNEL_CONFIG whatever the command is.
	command := ctx.Selected()
	if !ok || path == "" || command == nil || !slices.Contains(command.Flags, trace.Flag) {
		return nil
	}
	settings, err := readSettings(string(path))
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, flag := range command.Flags {
		known[flag.Name] = flag != trace.Flag
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !known[name] {
			return fmt.Errorf("%s: there is no setting %q; the names are those of the flags in: grapnel serve --help", path, name)
		}
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, env := range flag.Tag.Envs {
			if _, set := os.LookupEnv(env); set {
				return nil, nil
			}
		}
		return settings[flag.Name], nil
	}))
	return nil
}

// readSettings reads a YAML file of names with a value or a list of values
// each. Values become the texts that flags take; a name without one is left
// out.
func readSettings(path string) (map[string]any, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var nodes map[string]yaml.Node
	if err := yaml.Unmarshal(raw, &nodes); err != nil {
		return nil, fmt.Errorf("%s: write a setting a line, like \"listen: 127.0.0.1:8080\": %w", path, err)
	}
	settings := make(map[string]any, len(nodes))
	for name, node := range nodes {
		switch {
		case node.Tag == "!!null":
		case node.Kind == yaml.ScalarNode:
			settings[name] = node.Value
		case node.Kind == yaml.SequenceNode:
			values := []any{}
			for _, item := range node.Content {
				if item.Kind != yaml.ScalarNode {
					return nil, fmt.Errorf("%s: %s: the list may only hold single values", path, name)
				}
				values = append(values, item.Value)
			}
			settings[name] = values
		default:
			return nil, fmt.Errorf("%s: %s: expected a value or a list of values", path, name)
		}
	}
	return settings, nil
}
