package traffic

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// A clock makes version 1 UUIDs (RFC 9562 §5.1) on a handful of nodes, all from
// one never-repeating time, so that they are unique.
type clock struct {
	last  int64 // 100 ns ticks since 1970
	nodes [6][8]byte
}

// gregorian is the number of ticks from 1582-10-15, where UUID time starts, to
// 1970-01-01.
const gregorian = 0x01b21dd213814000

func (c *clock) init(r *rand.Rand) {
	for i := range c.nodes {
		binary.BigEndian.PutUint64(c.nodes[i][:], r.Uint64())
		c.nodes[i][0] = c.nodes[i][0]&0x3f | 0x80 // variant
		c.nodes[i][2] |= 1                        // multicast: not a real card
	}
}

// stamp returns the UUID and the time of an event happening now, later than all
// before it. The time has the milliseconds that Okta publishes.
func (c *clock) stamp(now time.Time, r *rand.Rand) (string, time.Time) {
	c.last = max(c.last+1, now.UnixNano()/100)
	ticks := uint64(c.last + gregorian)
	var b [16]byte
	binary.BigEndian.PutUint32(b[0:], uint32(ticks))
	binary.BigEndian.PutUint16(b[4:], uint16(ticks>>32))
	binary.BigEndian.PutUint16(b[6:], uint16(ticks>>48)&0x0fff|0x1000)
	copy(b[8:], c.nodes[r.IntN(len(c.nodes))][:])

	var text [36]byte
	hex.Encode(text[0:], b[0:4])
	hex.Encode(text[9:], b[4:6])
	hex.Encode(text[14:], b[6:8])
	hex.Encode(text[19:], b[8:10])
	hex.Encode(text[24:], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:]), time.UnixMilli(c.last / 10_000).UTC()
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// text returns n letters and digits.
func (g *Generator) text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphanumeric[g.random.IntN(len(alphanumeric))]
	}
	return string(b)
}

// id returns an id as Okta's: a prefix for the kind of thing, 20 characters,
// all from one org ending alike.
func (g *Generator) id(prefix string) string { return prefix + g.text(17-len(prefix)) + "1d7" }
