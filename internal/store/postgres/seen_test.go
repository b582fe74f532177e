package postgres

import (
	"bytes"
	"fmt"
	"testing"
)

// Keys of later uuids are greater, so that those of one hour lie together.
func TestKeysFollowTime(t *testing.T) {
	for name, uuid := range map[string]func(ms uint64) string{
		"version 1": func(ms uint64) string {
			ticks := 0x1f05dd2a2e3d1f0 + ms*10_000
			return fmt.Sprintf("%08x-%04x-1%03x-9c1a-0242ac120002", uint32(ticks), uint16(ticks>>32), ticks>>48&0xfff)
		},
		"version 7": func(ms uint64) string {
			stamp := 0x01890a5dac96 + ms
			return fmt.Sprintf("%08x-%04x-774b-bcce-b302099a8057", stamp>>16, uint16(stamp))
		},
	} {
		var last [16]byte
		for ms := uint64(0); ms < 1<<40; ms = ms*3 + 1 {
			key := dedupeKey(uuid(ms))
			if bytes.Compare(key[:], last[:]) <= 0 {
				t.Errorf("%s: the key %x of %s is not above %x", name, key, uuid(ms), last)
			}
			last = key
		}
	}
}

// FuzzDedupeKey makes sure that two texts never have one key.
func FuzzDedupeKey(f *testing.F) {
	f.Add("a2e3d1f0-5dd2-11f0-9c1a-0242ac120002", "a2e3d1f0-5dd2-61f0-9c1a-0242ac120002")
	f.Add("f05dd2a2-e3d1-11f0-9c1a-0242ac120002", "a2e3d1f0-5dd2-11f0-9c1a-0242ac120002")
	f.Add("1f05dd2a-2e3d-11f0-9c1a-0242ac120002", "1f05dd2a-2e3d-61f0-9c1a-0242ac120002")
	f.Add("", "a2e3d1f05dd211f09c1a0242ac120002")
	f.Add("A2E3D1F0-5DD2-11F0-9C1A-0242AC120002", "a2e3d1f0-5dd2-11f0-9c1a-0242ac120002")
	f.Fuzz(func(t *testing.T, a, b string) {
		if same := dedupeKey(a) == dedupeKey(b); same != (a == b) {
			t.Errorf("%q and %q have the keys %x and %x", a, b, dedupeKey(a), dedupeKey(b))
		}
	})
}
