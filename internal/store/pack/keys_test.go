package pack

import (
	"fmt"
	"testing"
)

// TestKeysOfOneInstantCollide makes sure that the uuids by which storetest
// looks for trouble with colliding keys do collide.
func TestKeysOfOneInstantCollide(t *testing.T) {
	for _, version := range []string{"a2e3d1f0-5dd2-11f0-9c1a-%012x", "01890a5d-ac96-7001-bcce-%012x"} {
		keys := make(map[int64]int)
		most := 0
		for i := range 1000 {
			key := SeenKey(fmt.Sprintf(version, i))
			keys[key]++
			most = max(most, keys[key])
		}
		if most < 2 {
			t.Errorf("no two of 1000 keys of one instant are the same: %s", version)
		}
		if len(keys) < 900 {
			t.Errorf("only %d keys of 1000 uuids of one instant: %s", len(keys), version)
		}
	}
}

// TestKeysFollowTime checks that keys of later uuids are greater, so that those
// of one hour lie together, and that none is negative.
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
		last := int64(-1)
		for ms := uint64(0); ms < 1<<36; ms = ms*3 + 1 {
			key := SeenKey(uuid(ms))
			if key <= last {
				t.Errorf("%s: the key %d of %s is not above %d", name, key, uuid(ms), last)
			}
			last = key
		}
	}
	for _, text := range []string{"", "x", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "ffffffff-ffff-1fff-ffff-ffffffffffff", "ffffffff-ffff-7fff-ffff-ffffffffffff"} {
		if key := SeenKey(text); key < 0 {
			t.Errorf("the key of %q is %d", text, key)
		}
	}
}
