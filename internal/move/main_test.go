package move

import (
	"flag"
	"os"
	"testing"
)

// TestMain copies fewer random stores than usual, as each is asked everything
// several times, and fewer still under -short, unless told how many.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "rapid.checks" })
	if !told {
		// Under -short rapid takes a fifth.
		if err := flag.Set("rapid.checks", "25"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
