package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// SeenKey is the dedupe key of a uuid. Okta's uuids are of version 1: their
// time, rearranged, comes first, so that the keys of events of one hour lie
// beside each other (and version 7 likewise). Others are spread by a hash. The
// key may collide; the entries under it hold the uuids themselves.
func SeenKey(uuid string) int64 {
	sum := sha256.Sum256([]byte(uuid))
	hash := binary.BigEndian.Uint64(sum[:])
	b, ok := CompactUUID(uuid)
	if !ok {
		return int64(hash >> 1)
	}
	var slow uint64 // moves on every 0.4 ms (version 1) or 1 ms (version 7)
	switch b[6] >> 4 {
	case 1:
		time := uint64(binary.BigEndian.Uint16(b[6:])&0x0fff)<<48 |
			uint64(binary.BigEndian.Uint16(b[4:]))<<32 |
			uint64(binary.BigEndian.Uint32(b[0:]))
		slow = time >> 12
	case 7:
		slow = binary.BigEndian.Uint64(b[0:]) >> 16
	default:
		return int64(hash >> 1)
	}
	return int64(slow<<15 | hash&0x7fff)
}

// CompactUUID returns the 16 bytes of a uuid in its canonical form (RFC 9562
// §4, lower case). ok is false for every other text.
func CompactUUID(text string) (b [16]byte, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return b, false
	}
	var digits [32]byte
	n := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '-':
			if i != 8 && i != 13 && i != 18 && i != 23 {
				return b, false
			}
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
			if n == len(digits) {
				return b, false
			}
			digits[n] = c
			n++
		default:
			return b, false
		}
	}
	_, err := hex.Decode(b[:], digits[:n])
	return b, err == nil && n == len(digits)
}

// ExpandUUID writes 16 bytes as a uuid in its canonical form.
func ExpandUUID(b []byte) string {
	text := make([]byte, 36)
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text)
}

// appendUUID writes 0 and 16 bytes, or the length plus 1 and the text.
func appendUUID(dst []byte, uuid string) []byte {
	if b, ok := CompactUUID(uuid); ok {
		return append(append(dst, 0), b[:]...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(uuid))+1), uuid...)
}

// cutUUID reads what appendUUID wrote.
func cutUUID(b []byte) (uuid string, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return "", nil, false
	}
	b = b[k:]
	if n == 0 {
		if len(b) < 16 {
			return "", nil, false
		}
		return ExpandUUID(b[:16]), b[16:], true
	}
	if n--; uint64(len(b)) < n {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}

// Seen is a dedupe key in full: which event first bore a uuid of a source.
type Seen struct {
	Source int64
	Seq    hook.Seq
	UUID   string
	// Hash stands for a uuid that another store kept no more of.
	Hash Key
}

// Is reports whether the entry is of a source's uuid.
func (e Seen) Is(source int64, uuid string) bool {
	if e.Hash != (Key{}) {
		return e.Source == source && e.Hash == KeyOf(uuid)
	}
	return e.Source == source && e.UUID == uuid
}

// Key is the 16-byte form of the entry's uuid.
func (e Seen) Key() Key {
	if e.Hash != (Key{}) {
		return e.Hash
	}
	return KeyOf(e.UUID)
}

// hashFollows is written before a Hash, in the place of a uuid's length.
const hashFollows = 1 << 40

// AppendSeen writes a dedupe entry.
func AppendSeen(dst []byte, e Seen) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.Source))
	dst = binary.AppendUvarint(dst, uint64(e.Seq))
	if e.Hash != (Key{}) {
		return append(binary.AppendUvarint(dst, hashFollows), e.Hash[:]...)
	}
	return appendUUID(dst, e.UUID)
}

// hash cuts hashFollows and a Hash.
func (c *cutter) hash() (k Key) {
	c.uvarint()
	if len(c.b) < len(k) {
		c.bad = true
		return k
	}
	k, c.b = Key(c.b), c.b[len(k):]
	c.bad = k.version() != versionHash
	return k
}

// ParseSeen reads what AppendSeen wrote, as far as it can be read.
func ParseSeen(b []byte) []Seen {
	var entries []Seen
	for c := (cutter{b: b}); len(c.b) > 0; {
		e := Seen{Source: int64(c.uvarint()), Seq: hook.Seq(c.uvarint())}
		if n, _ := binary.Uvarint(c.b); n == hashFollows {
			e.Hash = c.hash()
		} else {
			e.UUID = c.uuid()
		}
		if c.bad {
			break
		}
		entries = append(entries, e)
	}
	return entries
}
