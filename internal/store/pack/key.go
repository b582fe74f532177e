package pack

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key is a dedupe key in 16 bytes, for stores that keep no texts: a uuid of
// version 1 with its time first, so that keys of one hour lie beside each other,
// any other uuid as it is, and of other texts a hash. The upper half of byte 6
// tells which, as in a uuid the version: of a hash it is 15, which no uuid has
// that is kept as it is.
type Key [16]byte

const (
	versionTime = 1
	versionHash = 15
)

func (k Key) version() byte { return k[6] >> 4 }

// KeyOf returns the dedupe key of a uuid. Two uuids have the same only if they
// are the same, or texts that are none with the same 124 bits of SHA-256.
func KeyOf(uuid string) Key {
	b, ok := CompactUUID(uuid)
	k := Key(b)
	switch {
	case !ok || k.version() == versionHash:
		// The first 8 bytes of the hash stay, around byte 6, as SeenKey is
		// made of them.
		sum := sha256.Sum256([]byte(uuid))
		k = Key(sum[:16])
		k[6], k[7], k[8] = versionHash<<4|sum[8]&0x0f, sum[6], sum[7]
	case k.version() == versionTime:
		time := uint64(binary.BigEndian.Uint16(b[6:])&0x0fff)<<48 |
			uint64(binary.BigEndian.Uint16(b[4:]))<<32 |
			uint64(binary.BigEndian.Uint32(b[0:]))
		binary.BigEndian.PutUint64(k[:8], time>>12<<16|versionTime<<12|time&0x0fff)
	}
	return k
}

// UUID returns the uuid of a key. ok is false for a hash.
func (k Key) UUID() (uuid string, ok bool) {
	switch k.version() {
	case versionHash:
		return "", false
	case versionTime:
		front := binary.BigEndian.Uint64(k[:8])
		time := front>>16<<12 | front&0x0fff
		binary.BigEndian.PutUint32(k[0:], uint32(time))
		binary.BigEndian.PutUint16(k[4:], uint16(time>>32))
		binary.BigEndian.PutUint16(k[6:], versionTime<<12|uint16(time>>48))
	}
	return ExpandUUID(k[:]), true
}

// Seen is a dedupe entry with the key's uuid, and the SeenKey it lies under.
func (k Key) Seen() (entry Seen, key int64) {
	if uuid, ok := k.UUID(); ok {
		return Seen{UUID: uuid}, SeenKey(uuid)
	}
	sum := [8]byte(k[:8])
	sum[6], sum[7] = k[7], k[8]
	return Seen{Hash: k}, int64(binary.BigEndian.Uint64(sum[:]) >> 1)
}
