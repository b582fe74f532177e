package store

import "fmt"

// Fault is a kind of finding.
type Fault string

// The kinds of findings. The list is closed.
const (
	FaultFile     Fault = "file"     // the database itself cannot be read, or contradicts itself
	FaultRegistry Fault = "registry" // the store's identity, a source, a hook, a hook's history
	FaultBlock    Fault = "block"    // events that cannot be read
	FaultDelivery Fault = "delivery" // what is owed, and what became of it, do not fit together
	FaultOrphan   Fault = "orphan"   // something belongs to what is not there
	FaultKey      Fault = "key"      // an event without its dedupe key, or a key without end
	FaultCounter  Fault = "counter"  // a counter is not what there is
	FaultDigest   Fault = "digest"   // a search would pass by what it seeks
)

// Finding is something that is not as it must be.
type Finding struct {
	Fault   Fault  `json:"fault"`
	Thing   string `json:"thing"`   // what it is about: "block 12", "hook 3"
	Problem string `json:"problem"` // what is wrong with it
}

// Report is what a check of a store has looked at, and what it has found.
type Report struct {
	Blocks     int64 `json:"blocks"`
	Events     int64 `json:"events"`
	Deliveries int64 `json:"deliveries"`
	// Findings are all that is wrong, but of each kind no more than MaxFindings.
	Findings []Finding `json:"findings"`
	// More is how many findings there are beyond those, at least.
	More int64 `json:"more"`
	// Bounded says which counters could only be held to a bound, and why.
	Bounded []string `json:"bounded"`

	of map[Fault]int // findings, by kind
}

// MaxFindings is how many findings of each kind a Report holds.
const MaxFindings = 100

// Add adds a finding, while there is room.
func (r *Report) Add(fault Fault, thing, problem string, args ...any) {
	if r.of == nil {
		r.of = make(map[Fault]int)
	}
	if r.of[fault] == MaxFindings {
		r.More++
		return
	}
	r.of[fault]++
	r.Findings = append(r.Findings, Finding{fault, thing, fmt.Sprintf(problem, args...)})
}
