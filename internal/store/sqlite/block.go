package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/klauspost/compress/zstd"
	"zombiezen.com/go/sqlite"
)

// maxBlockBytes closes a block early, so that reading one event never costs
// much more than the event.
const maxBlockBytes = 256 << 10

// The first byte of a summary tells how the block is written.
const blockFormat = 1

var errCorrupt = errors.New("the store is damaged: a block cannot be read")

var (
	compressor   = newCompressor()
	decompressor = newDecompressor()
)

func newCompressor() *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(maxBlockBytes))
	if err != nil {
		panic(err) // the options above are wrong
	}
	// It makes its pool at the first call: now, not in one store's hands.
	e.EncodeAll(nil, nil)
	return e
}

func newDecompressor() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		panic(err) // the options above are wrong
	}
	return d
}

// block is a block on its way to disk.
//
// Its summary is: the format; the event types, counted, each with its length;
// then for each event the source, the index of its type, published less
// received in µs (zigzag), the uuid (see appendUUID) and the length of its JSON.
type block struct {
	id     int64
	events []*hook.Event
	size   int
}

func (b *block) full(next int) bool {
	return len(b.events) == hook.BlockSlots || len(b.events) > 0 && b.size+next > maxBlockBytes
}

func (b *block) add(e *hook.Event) {
	e.Seq = hook.MakeSeq(b.id, len(b.events))
	b.events = append(b.events, e)
	b.size += len(e.JSON)
}

func (b *block) encode(received time.Time) (summary, payload []byte) {
	var types []string
	indexes := make(map[string]uint64, 8)
	raw := make([]byte, 0, b.size)
	for _, e := range b.events {
		if _, known := indexes[e.Type]; !known {
			indexes[e.Type] = uint64(len(types))
			types = append(types, e.Type)
		}
		raw = append(raw, e.JSON...)
	}
	summary = make([]byte, 0, 64+32*len(b.events))
	summary = append(summary, blockFormat)
	summary = binary.AppendUvarint(summary, uint64(len(types)))
	for _, t := range types {
		summary = binary.AppendUvarint(summary, uint64(len(t)))
		summary = append(summary, t...)
	}
	for _, e := range b.events {
		summary = binary.AppendUvarint(summary, uint64(e.Source))
		summary = binary.AppendUvarint(summary, indexes[e.Type])
		summary = binary.AppendVarint(summary, e.Published.UnixMicro()-received.UnixMicro())
		summary = appendUUID(summary, e.UUID)
		summary = binary.AppendUvarint(summary, uint64(len(e.JSON)))
	}
	return summary, compressor.EncodeAll(raw, make([]byte, 0, b.size/3))
}

// insert writes the block and returns how many bytes it takes.
func (b *block) insert(conn *sqlite.Conn, received time.Time, revision int64) (stored int, err error) {
	summary, payload := b.encode(received)
	stmt := conn.Prep("INSERT INTO blocks (id, received, revision, summary, payload) VALUES (?, ?, ?, ?, ?)")
	stmt.BindInt64(1, b.id)
	stmt.BindInt64(2, micros(received))
	stmt.BindInt64(3, revision)
	stmt.BindBytes(4, summary)
	stmt.BindBytes(5, payload)
	return len(summary) + len(payload), run(stmt)
}

// reader cuts numbers and texts off the front of a summary.
type cutter struct {
	b   []byte
	bad bool
}

func (c *cutter) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cutter) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cutter) text() string {
	n := c.uvarint()
	if uint64(len(c.b)) < n {
		c.bad, c.b = true, nil
		return ""
	}
	t := string(c.b[:n])
	c.b = c.b[n:]
	return t
}

func (c *cutter) uuid() string {
	uuid, rest, ok := cutUUID(c.b)
	c.b = rest
	c.bad = c.bad || !ok
	return uuid
}

// summaryOf reads a block's summary into events without JSON, and the length
// of each one's JSON.
func summaryOf(id int64, received time.Time, summary []byte) ([]hook.Event, []int, error) {
	if len(summary) == 0 || summary[0] != blockFormat {
		return nil, nil, fmt.Errorf("block %d: %w", id, errCorrupt)
	}
	c := cutter{b: summary[1:]}
	types := make([]string, 0, 8)
	for range min(c.uvarint(), hook.BlockSlots) {
		types = append(types, c.text())
	}
	var events []hook.Event
	var sizes []int
	for len(c.b) > 0 && !c.bad {
		e := hook.Event{Seq: hook.MakeSeq(id, len(events)), Received: received, Source: int64(c.uvarint())}
		kind := c.uvarint()
		if kind >= uint64(len(types)) {
			c.bad = true
			break
		}
		e.Type = types[kind]
		e.Published = time.UnixMicro(received.UnixMicro() + c.varint()).UTC()
		e.UUID = c.uuid()
		sizes = append(sizes, int(c.uvarint()))
		events = append(events, e)
	}
	if c.bad || len(events) > hook.BlockSlots {
		return nil, nil, fmt.Errorf("block %d: %w", id, errCorrupt)
	}
	return events, sizes, nil
}

// loadBlock reads a block, with its events' JSON or without. It returns no
// events when there is no such block.
func loadBlock(conn *sqlite.Conn, id int64, withJSON bool) ([]hook.Event, error) {
	stmt := conn.Prep("SELECT received, summary, CASE WHEN ?2 THEN payload END FROM blocks WHERE id = ?1")
	stmt.BindInt64(1, id)
	stmt.BindBool(2, withJSON)
	var events []hook.Event
	err := each(stmt, func() (err error) {
		var sizes []int
		events, sizes, err = summaryOf(id, fromMicros(stmt.ColumnInt64(0)), blob(stmt, 1))
		if err != nil || !withJSON {
			return err
		}
		raw, err := decompressor.DecodeAll(blob(stmt, 2), nil)
		if err != nil {
			return fmt.Errorf("block %d: %w (%w)", id, errCorrupt, err)
		}
		if !shareOut(raw, events, sizes) {
			return fmt.Errorf("block %d: %w", id, errCorrupt)
		}
		return nil
	})
	return events, err
}

// shareOut gives a block's events their JSON. ok is false when the sizes do not
// add up to it.
func shareOut(raw []byte, events []hook.Event, sizes []int) (ok bool) {
	for i, n := range sizes {
		if n < 0 || n > len(raw) {
			return false
		}
		events[i].JSON, raw = raw[:n:n], raw[n:]
	}
	return len(raw) == 0
}
