package store

import "fmt"

// Finding is something that a check of a store has found wrong.
type Finding struct {
	Thing   string `json:"thing"`   // what it is about: "block 12", "hook 3"
	Problem string `json:"problem"` // what is wrong with it
}

// MaxFindings bounds what a check tells. The last of so many says that there may
// be more.
const MaxFindings = 1000

// Findings gathers what a check finds.
type Findings []Finding

// Add adds a finding, while there is room.
func (f *Findings) Add(thing, problem string, args ...any) {
	switch len(*f) {
	case MaxFindings:
	case MaxFindings - 1:
		*f = append(*f, Finding{"the store", fmt.Sprintf("there may be more than these %d", MaxFindings-1)})
	default:
		*f = append(*f, Finding{thing, fmt.Sprintf(problem, args...)})
	}
}

// Full reports whether there is no more room.
func (f Findings) Full() bool { return len(f) == MaxFindings }
