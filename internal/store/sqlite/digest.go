package sqlite

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"
)

// A digest tells what is in a chunk of blocks: which event types, which sources
// and whose deliveries, with a bit for each block, and from when to when. A
// search reads it instead of the blocks, so that looking for something rare costs
// little however much is kept. Digests are made beside the writer, once a chunk
// is full; a chunk that has none yet is searched itself.
//
// The digests of a volume of chunks, once all are made, are summed up in one of
// the volume, with a bit for each chunk.
const (
	chunkBlocks  = 64
	volumeChunks = 64
	volumeBlocks = volumeChunks * chunkBlocks
	digestFormat = 2 // in 1 a chunk had 256 blocks, and no volume
)

// digest is of one chunk or volume, on its way to disk: the format, then for
// received and for created the least time in µs and the greatest (zigzag), the
// parts that could not be read, then the types, the sources and the hooks, each
// counted and each with the parts it is in (64 bits, big-endian).
//
// Hooks are those that were owed something when it was made: a replay removes
// the digests of what it owes anew.
type digest struct {
	received, created period
	unsure            uint64
	types             map[string]uint64
	sources, hooks    map[int64]uint64
}

// period is from one time to another, in µs since 1970; empty when they are the
// wrong way round.
type period struct{ from, to int64 }

func (p *period) include(at time.Time) {
	p.from, p.to = min(p.from, micros(at)), max(p.to, micros(at))
}

func newDigest() *digest {
	none := period{math.MaxInt64, math.MinInt64}
	return &digest{none, none, 0, make(map[string]uint64), make(map[int64]uint64), make(map[int64]uint64)}
}

func (d *digest) append(b []byte) []byte {
	b = append(b, digestFormat)
	for _, p := range []period{d.received, d.created} {
		b = binary.AppendVarint(b, p.from)
		b = binary.AppendVarint(b, p.to)
	}
	b = binary.BigEndian.AppendUint64(b, d.unsure)
	b = binary.AppendUvarint(b, uint64(len(d.types)))
	for _, name := range slices.Sorted(maps.Keys(d.types)) {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.BigEndian.AppendUint64(b, d.types[name])
	}
	for _, of := range []map[int64]uint64{d.sources, d.hooks} {
		b = binary.AppendUvarint(b, uint64(len(of)))
		for _, number := range slices.Sorted(maps.Keys(of)) {
			b = binary.AppendUvarint(b, uint64(number))
			b = binary.BigEndian.AppendUint64(b, of[number])
		}
	}
	return b
}

// sumUp adds to a volume's digest that of one of its chunks, the one with a bit.
func (d *digest) sumUp(body []byte, bit uint64) {
	c := reader{b: body}
	format := c.uvarint()
	for _, p := range []*period{&d.received, &d.created} {
		of := c.period()
		p.from, p.to = min(p.from, of.from), max(p.to, of.to)
	}
	if c.bits() != 0 {
		d.unsure |= bit
	}
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		kind := string(c.text())
		c.bits()
		d.types[kind] |= bit
	}
	for _, of := range []map[int64]uint64{d.sources, d.hooks} {
		for n := c.uvarint(); n > 0 && !c.bad; n-- {
			number := int64(c.uvarint())
			c.bits()
			of[number] |= bit
		}
	}
	if c.bad || format != digestFormat {
		d.unsure |= bit
	}
}

// sought is what a search looks for; zero fields do not matter.
type sought struct {
	kind         string
	source, hook int64
	since, until time.Time // of receipt, or with owed of being owed
	owed         bool
}

// in returns the parts of a chunk or volume in which it may be, by the digest,
// and when the last of it came, in µs. A digest that cannot be read tells
// nothing: it may be everywhere.
func (q *sought) in(body []byte) (parts uint64, last int64) {
	c := reader{b: body}
	format := c.uvarint()
	received, created := c.period(), c.period()
	unsure := c.bits()
	parts = math.MaxUint64
	ofKind := uint64(0)
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		if kind, in := c.text(), c.bits(); string(kind) == q.kind {
			ofKind = in
		}
	}
	if q.kind != "" {
		parts &= ofKind
	}
	for _, wanted := range []int64{q.source, q.hook} {
		of := uint64(0)
		for n := c.uvarint(); n > 0 && !c.bad; n-- {
			if number, in := int64(c.uvarint()), c.bits(); number == wanted {
				of = in
			}
		}
		if wanted != 0 {
			parts &= of
		}
	}
	if c.bad || format != digestFormat {
		return math.MaxUint64, math.MaxInt64
	}
	when := received
	if q.owed {
		when = created
	}
	if !q.since.IsZero() && when.to < micros(q.since) || !q.until.IsZero() && when.from >= micros(q.until) {
		parts = 0
	}
	if unsure != 0 {
		received.to = math.MaxInt64
	}
	return parts | unsure, received.to
}

// reader reads what a digest is made of.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *reader) period() period {
	from, n := binary.Varint(r.b)
	r.skip(n)
	to, n := binary.Varint(r.b)
	r.skip(n)
	return period{from, to}
}

func (r *reader) bits() uint64 {
	if len(r.b) < 8 {
		r.bad = true
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) text() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	t := r.b[:n]
	r.b = r.b[n:]
	return t
}

// skip goes on after a number of n bytes, which is no number if n is not above 0.
func (r *reader) skip(n int) {
	if n <= 0 {
		r.bad, n = true, 0
	}
	r.b = r.b[n:]
}
