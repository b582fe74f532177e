// Package internal_test holds the house to its plan: which package may import
// which, and why.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/grapnel-hooks/grapnel/"

// layers lists for each package the packages of ours that it may import. An
// import that is not listed fails the test: add it here only with a reason, and
// never upwards. Tests of a package may import what they like.
var layers = map[string][]string{
	"internal/hook":       {}, // the nouns: everybody may speak of them
	"internal/okta":       {"internal/hook"},
	"internal/expression": {"internal/hook"},
	"internal/scim":       {}, // a language over the bytes of an event; needs no noun of ours
	"internal/secret":     {},
	"internal/reach":      {"internal/secret"},
	"internal/store":      {"internal/hook"},
	"internal/store/pack": {"internal/hook"},
	"internal/store/pack/makedict": {
		"internal/traffic", // a dictionary is made of what events have in common
	},
	"internal/store/sqlite": {
		"internal/hook", "internal/store",
		"internal/store/pack", // the bytes that every store keeps
	},
	"internal/store/postgres": {
		"internal/hook", "internal/store",
		"internal/store/pack", // the bytes that every store keeps
	},
	"internal/store/postgres/postgrestest": {}, // servers for tests: knows PostgreSQL, not us
	"internal/store/storetest": {
		"internal/hook", "internal/store",
	},
	"internal/route": {
		"internal/hook",
		"internal/expression", // filters decide where an event goes
	},
	"internal/intake": {
		"internal/hook", "internal/store",
		"internal/route", // events and their deliveries are one commit
	},
	"internal/receive": {
		"internal/hook", "internal/okta", "internal/secret", "internal/store",
		"internal/intake", // it hands over what it reads
	},
	"internal/deliver": {
		"internal/hook", "internal/store",
	},
	"internal/deliver/webhook": {
		"internal/hook", "internal/okta", "internal/reach", "internal/store",
		"internal/deliver", // it is one of its channels
	},
	"internal/replay": {
		"internal/hook", "internal/store",
	},
	"internal/upkeep": {
		"internal/hook", "internal/store",
	},
	"internal/access": {
		"internal/okta", // a refusal on Okta's paths has Okta's shape
	},
	"internal/admin": {
		"internal/hook", "internal/okta", "internal/expression", "internal/secret", "internal/store",
		"internal/route", // what an item of a hook covers is decided there
	},
	"internal/oktaapi": {
		"internal/hook", "internal/okta", "internal/admin", "internal/store",
	},
	"internal/api": {
		"internal/hook", "internal/admin", "internal/replay", "internal/store",
		"internal/okta", // it shows the catalogue of event types
	},
	"internal/move": {
		"internal/hook", "internal/store", // from one store to another, whichever they are
	},
	"internal/app": {"*"}, // the only package that knows all
	"internal/traffic": {
		"internal/okta", // invented events have Okta's shape
	},
	"internal/bench": {
		"internal/traffic",                // stores are filled with an invented org's events
		"internal/hook", "internal/store", // through the contract, as HTTP would take hours
		"internal/store/sqlite", "internal/store/postgres",
	},
	"internal/demo": {
		"internal/app", "internal/okta", "internal/traffic", // a gateway and an org side by side
	},
	"cmd/grapnel": {"*"}, // flags and signals
}

func TestLayers(t *testing.T) {
	seen := make(map[string]bool)
	for _, root := range []string{"../internal", "../cmd"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
			seen[pkg] = true
			allowed, known := layers[pkg]
			if !known {
				t.Errorf("%s is not in the table of layers", pkg)
				return nil
			}
			for _, imported := range imports(t, path) {
				if !slices.Contains(allowed, imported) && !slices.Contains(allowed, "*") {
					t.Errorf("%s imports %s, which the table of layers does not allow", path, imported)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for pkg := range layers {
		if !seen[pkg] {
			t.Errorf("the table of layers has %s, which does not exist", pkg)
		}
	}
}

// imports returns which packages of ours a file imports.
func imports(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(name, module); ok {
			ours = append(ours, rest)
		}
	}
	return ours
}
