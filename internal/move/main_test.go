package move

import (
	"flag"
	"os"
	"testing"
)

// TestMain copies fewer random stores under -short, unless told how many.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "rapid.checks" })
	if testing.Short() && !told {
		// Of which rapid takes a fifth.
		if err := flag.Set("rapid.checks", "15"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
