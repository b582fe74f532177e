// Package storetest holds every implementation of store.Store to its contract.
// An implementation joins by one call of Run; there are no optional parts.
//
// What store says in words stands here as tests, by role. The last of them
// (history.go) runs random histories against a model that is kept in the
// plainest way (model.go), and compares all that can be asked of the store.
//
// Every test has a Fixture of its own and runs beside the others.
//
// Times: the contract's times are kept to the microsecond. The start of an
// attempt may be kept to the millisecond, and its duration to the microsecond.
package storetest

import (
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Fixture is one store, empty at first, that the suite may open and close as
// often as it likes, and the clock by which its leases end. The suite passes
// Now to every method that takes a time, so a store that has no clock of its
// own can be given a fake one. Where a database's clock decides, Now is the
// database's time plus what Advance added, and Advance makes the leases that
// are out that much older.
type Fixture struct {
	// Open opens the store: after Close the same one, as a restart would.
	Open func() (store.Store, error)
	// Now is the time by the clock that ends leases. It may tick.
	Now func() time.Time
	// Advance moves that clock on.
	Advance func(d time.Duration)
	// Grain is how long the pieces of time are, from midnight UTC on, that Keeper
	// removes only once all of what came within one is to go. 0: each event goes by
	// itself.
	Grain time.Duration
	// Hold makes a commit that takes e in wait, as late as one may wait for
	// another.
	Hold func(s store.Store, e *store.Event) Held
	// Break makes every later transaction of an open store that writes fail,
	// as late in it as possible, as a full disk or a lost database would, until
	// it is called with false.
	Break func(s store.Store, broken bool)
}

// Held is a commit that is made to wait.
type Held struct {
	// Ready returns when it waits, or at once when nobody can tell.
	Ready   func()
	Release func()
	// Others says that other commits go on meanwhile. If not, they wait too.
	Others bool
}

// Run runs the whole suite. fresh makes a Fixture of its own for every call
// and cleans up after itself with t.Cleanup.
func Run(t *testing.T, fresh func(t testing.TB) Fixture) {
	for _, role := range []struct {
		name  string
		tests []test
	}{
		{"intake", intakeTests},
		{"blocks", blockTests},
		{"rejected", rejectedTests},
		{"dedupe", dedupeTests},
		{"lease at commit", grantTests},
		{"claim", claimTests},
		{"leases", leaseTests},
		{"settle", settleTests},
		{"responses", responseTests},
		{"retry", retryTests},
		{"expire", expireTests},
		{"sources", sourceTests},
		{"event hooks", hookTests},
		{"deleted hooks", deletedTests},
		{"holds", holdTests},
		{"replays", replayTests},
		{"events", eventListTests},
		{"order", orderTests},
		{"deliveries", deliveryListTests},
		{"prune", pruneTests},
		{"forget", forgetTests},
		{"cluster", clusterTests},
		{"whole", wholeTests},
		{"failures", failureTests},
	} {
		t.Run(role.name, func(t *testing.T) {
			for _, test := range role.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					k := newKit(t, fresh(t))
					t.Cleanup(k.close)
					test.run(k)
				})
			}
		})
	}
	t.Run("history", func(t *testing.T) {
		t.Parallel()
		histories(t, fresh)
	})
}

// test is one promise of the contract.
type test struct {
	name string
	run  func(k *kit)
}
