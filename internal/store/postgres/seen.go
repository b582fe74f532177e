package postgres

import (
	"crypto/sha256"

	"github.com/grapnel-hooks/grapnel/internal/store/pack"
)

// dedupeKey is a uuid as the dedupe keys have it. Canonical ones are kept whole,
// those of version 1 with their time rearranged to the front (RFC 9562 §5.6), so
// that keys of one hour lie beside each other. Of any other text it is the
// beginning of its hash, 128 bits of which nobody can find two alike.
func dedupeKey(uuid string) [16]byte {
	b, ok := pack.CompactUUID(uuid)
	if !ok {
		sum := sha256.Sum256([]byte(uuid))
		return [16]byte(sum[:16])
	}
	if b[6]>>4 != 1 {
		return b
	}
	// The 60 bits of time, greatest first, around the version, which stays where
	// it is: so no key of another version is the same.
	high, middle, low := [2]byte{b[6], b[7]}, [2]byte{b[4], b[5]}, [4]byte{b[0], b[1], b[2], b[3]}
	key := b
	key[0] = high[0]<<4 | high[1]>>4
	key[1] = high[1]<<4 | middle[0]>>4
	key[2] = middle[0]<<4 | middle[1]>>4
	key[3] = middle[1]<<4 | low[0]>>4
	key[4] = low[0]<<4 | low[1]>>4
	key[5] = low[1]<<4 | low[2]>>4
	key[6] = 1<<4 | low[2]&0xf
	key[7] = low[3]
	return key
}
