package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"zombiezen.com/go/sqlite"
)

// seenKey is the dedupe key of a uuid. Okta's uuids are of version 1: their
// time, rearranged, comes first, so that the keys of events of one hour lie
// beside each other (and version 7 likewise). Others are spread by a hash. The
// key may collide; the entries under it hold the uuids themselves.
func seenKey(uuid string) int64 {
	sum := sha256.Sum256([]byte(uuid))
	hash := binary.BigEndian.Uint64(sum[:])
	b, ok := compactUUID(uuid)
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

// compactUUID returns the 16 bytes of a uuid in its canonical form (RFC 9562
// §4, lower case). ok is false for every other text.
func compactUUID(text string) (b [16]byte, ok bool) {
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

func expandUUID(b []byte) string {
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
	if b, ok := compactUUID(uuid); ok {
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
		return expandUUID(b[:16]), b[16:], true
	}
	if n--; uint64(len(b)) < n {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}

type seenEntry struct {
	source int64
	seq    hook.Seq
	uuid   string
}

func appendSeen(dst []byte, e seenEntry) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.source))
	dst = binary.AppendUvarint(dst, uint64(e.seq))
	return appendUUID(dst, e.uuid)
}

func parseSeen(b []byte) []seenEntry {
	var entries []seenEntry
	for len(b) > 0 {
		source, n := binary.Uvarint(b)
		if n <= 0 {
			break
		}
		seq, m := binary.Uvarint(b[n:])
		if m <= 0 {
			break
		}
		uuid, rest, ok := cutUUID(b[n+m:])
		if !ok {
			break
		}
		entries = append(entries, seenEntry{source: int64(source), seq: hook.Seq(seq), uuid: uuid})
		b = rest
	}
	return entries
}

// remember keeps the key of an event that is about to become seq. When the
// source has sent its uuid before, it returns that event's number instead.
func remember(conn *sqlite.Conn, e seenEntry) (before hook.Seq, err error) {
	key := seenKey(e.uuid)
	insert := conn.Prep("INSERT INTO seen (key, entries) VALUES (?, ?) ON CONFLICT DO NOTHING")
	insert.BindInt64(1, key)
	insert.BindBytes(2, appendSeen(make([]byte, 0, 48), e))
	if err := run(insert); err != nil {
		return 0, err
	}
	if conn.Changes() == 1 {
		return 0, nil
	}
	raw, err := seenEntries(conn, key)
	if err != nil {
		return 0, err
	}
	for _, other := range parseSeen(raw) {
		if other.source == e.source && other.uuid == e.uuid {
			return other.seq, nil
		}
	}
	update := conn.Prep("UPDATE seen SET entries = ? WHERE key = ?")
	update.BindBytes(1, appendSeen(raw, e))
	update.BindInt64(2, key)
	return 0, run(update)
}

// seenEntries returns the raw entries under a key, nil when there are none.
func seenEntries(conn *sqlite.Conn, key int64) ([]byte, error) {
	stmt := conn.Prep("SELECT entries FROM seen WHERE key = ?")
	stmt.BindInt64(1, key)
	var raw []byte
	err := each(stmt, func() error { raw = blob(stmt, 0); return nil })
	return raw, err
}
