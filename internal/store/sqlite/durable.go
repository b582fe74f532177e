//go:build !unsynced

package sqlite

// full is the synchronous mode in which a commit is on disk when it returns.
const full = "FULL"
