//go:build unsynced

package sqlite

// full gives durability up. Only the durability test builds with this tag, to
// show that it would notice.
const full = "OFF"
