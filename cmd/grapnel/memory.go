package main

import (
	"math"
	"runtime"
	"runtime/debug"
)

// collectAfter is by how much the heap may grow, besides doubling, before the
// collector runs. What a gateway holds on to is a few MiB, and collecting each
// time that has doubled takes a tenth of its CPU under load.
const collectAfter = 16 << 20

// collectLess makes the collector wait for collectAfter, until the end of what
// it returns. It does so with memory that counts as in use and is never written
// to, so that the system never has to find it.
func collectLess() (end func()) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return func() {} // whoever sets GOMEMLIMIT has little
	}
	ballast := make([]byte, collectAfter)
	return func() { runtime.KeepAlive(ballast) }
}
