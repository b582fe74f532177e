package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"time"
)

const uuidLength = 36

// eventID makes and knows the uuids of one phase: version 1 (RFC 9562 §5.1), as
// Okta's are, with the event's index in the last four bytes of the node and the
// phase's tag before them. So the sink tells which event it holds, and whether
// it is of this phase, from the uuid alone.
type eventID struct {
	tag uint16
}

// gregorian is the number of 100 ns from 1582-10-15 to 1970-01-01 (RFC 9562 §5.1).
const gregorian = 0x01B21DD213814000

// multicast marks a node that is no network card's address (RFC 9562 §6.10).
const multicast = 0x0100

func newEventID(tag uint16) eventID { return eventID{tag: tag | multicast} }

// put writes the uuid of event index, made at now, over the first 36 bytes of dst.
func (e eventID) put(dst []byte, index int64, now time.Time) {
	ticks := uint64(now.UnixNano()/100) + gregorian
	var raw [16]byte
	binary.BigEndian.PutUint32(raw[0:], uint32(ticks))
	binary.BigEndian.PutUint16(raw[4:], uint16(ticks>>32))
	binary.BigEndian.PutUint16(raw[6:], uint16(ticks>>48)&0x0fff|0x1000)
	binary.BigEndian.PutUint16(raw[8:], 0x8000)
	binary.BigEndian.PutUint16(raw[10:], e.tag)
	binary.BigEndian.PutUint32(raw[12:], uint32(index))
	putUUID(dst, raw)
}

// index returns which event of this phase text names; false if it names none.
func (e eventID) index(text []byte) (int64, bool) {
	if len(text) != uuidLength || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return 0, false
	}
	var node [6]byte
	if _, err := hex.Decode(node[:], text[24:]); err != nil {
		return 0, false
	}
	if text[14] != '1' || binary.BigEndian.Uint16(node[:]) != e.tag {
		return 0, false
	}
	return int64(binary.BigEndian.Uint32(node[2:])), true
}

func putUUID(dst []byte, raw [16]byte) {
	hex.Encode(dst[0:8], raw[0:4])
	dst[8] = '-'
	hex.Encode(dst[9:13], raw[4:6])
	dst[13] = '-'
	hex.Encode(dst[14:18], raw[6:8])
	dst[18] = '-'
	hex.Encode(dst[19:23], raw[8:10])
	dst[23] = '-'
	hex.Encode(dst[24:36], raw[10:16])
}

var uuidKey = []byte(`"uuid"`)

// nextUUID returns the first value of a member named uuid in body, and what
// follows it; nil when there is none. It scans rather than parses, since the
// sink shares the machine with what is measured; the load's events hold that
// name once.
func nextUUID(body []byte) (uuid, rest []byte) {
	for {
		i := bytes.Index(body, uuidKey)
		if i < 0 {
			return nil, nil
		}
		body = bytes.TrimLeft(body[i+len(uuidKey):], " \t\r\n:")
		if len(body) > uuidLength+1 && body[0] == '"' && body[uuidLength+1] == '"' {
			return body[1 : uuidLength+1], body[uuidLength+2:]
		}
	}
}
