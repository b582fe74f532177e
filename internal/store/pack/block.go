// Package pack writes what a store keeps of events and deliveries as bytes, and
// reads it again: blocks of events, dedupe keys, outcomes, attempts, responses
// and counters. Every store writes the same bytes, so that what one has kept
// can move to another; where they lie, and when they are on disk, is its own.
package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// maxBlockBytes closes a block early, so that reading one event never costs
// much more than the event.
const maxBlockBytes = 256 << 10

// The first byte of a summary tells how the block is written.
const blockFormat = 1

// ErrCorrupt says that bytes are not what was written.
var ErrCorrupt = errors.New("the store is damaged: a block cannot be read")

// Block is a block of events on its way to disk.
//
// Its summary is: the format; the event types, counted, each with its length;
// then for each event the source, the index of its type, published less
// received in µs (zigzag), the uuid (see appendUUID) and the length of its JSON.
type Block struct {
	ID     int64
	Events []*hook.Event
	size   int // bytes of JSON
}

// Full reports whether the next event, of so many bytes, begins another block.
func (b *Block) Full(next int) bool {
	return len(b.Events) == hook.BlockSlots || len(b.Events) > 0 && b.size+next > maxBlockBytes
}

// Add puts an event into the block and numbers it.
func (b *Block) Add(e *hook.Event) {
	e.Seq = hook.MakeSeq(b.ID, len(b.Events))
	b.Events = append(b.Events, e)
	b.size += len(e.JSON)
}

// Encode returns what lists need of the block, and its events' JSON.
func (b *Block) Encode(received time.Time) (summary, payload []byte) {
	var types []string
	indexes := make(map[string]uint64, 8)
	room := borrow(b.size)
	defer giveBack(room)
	raw := (*room)[:0]
	for _, e := range b.Events {
		if _, known := indexes[e.Type]; !known {
			indexes[e.Type] = uint64(len(types))
			types = append(types, e.Type)
		}
		raw = append(raw, e.JSON...)
	}
	summary = make([]byte, 0, 64+32*len(b.Events))
	summary = append(summary, blockFormat)
	summary = binary.AppendUvarint(summary, uint64(len(types)))
	for _, t := range types {
		summary = binary.AppendUvarint(summary, uint64(len(t)))
		summary = append(summary, t...)
	}
	for _, e := range b.Events {
		summary = binary.AppendUvarint(summary, uint64(e.Source))
		summary = binary.AppendUvarint(summary, indexes[e.Type])
		summary = binary.AppendVarint(summary, e.Published.UnixMicro()-received.UnixMicro())
		summary = appendUUID(summary, e.UUID)
		summary = binary.AppendUvarint(summary, uint64(len(e.JSON)))
	}
	return summary, compressBlock(raw, len(b.Events))
}

// cutter cuts numbers and texts off the front of a summary.
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

// Summary reads a block's summary into events without JSON, and the length
// of each one's JSON.
func Summary(id int64, received time.Time, summary []byte) ([]hook.Event, []int, error) {
	if len(summary) == 0 || summary[0] != blockFormat {
		return nil, nil, fmt.Errorf("block %d: %w", id, ErrCorrupt)
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
		return nil, nil, fmt.Errorf("block %d: %w", id, ErrCorrupt)
	}
	return events, sizes, nil
}

// Payload gives events that Summary has read their JSON.
func Payload(payload []byte, events []hook.Event, sizes []int) error {
	raw, err := Decompress(payload)
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrCorrupt, err)
	}
	if !shareOut(raw, events, sizes) {
		return ErrCorrupt
	}
	return nil
}

// Agrees reports whether an event's JSON has the type and uuid that its summary
// tells. Almost always they stand there literally.
func Agrees(e *hook.Event) bool {
	if bytes.Contains(e.JSON, []byte(`"`+e.UUID+`"`)) && bytes.Contains(e.JSON, []byte(`"`+e.Type+`"`)) {
		return true
	}
	var said struct{ UUID, EventType string }
	err := json.Unmarshal(e.JSON, &said)
	return err == nil && said.UUID == e.UUID && said.EventType == e.Type
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
