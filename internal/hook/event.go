package hook

import (
	"strconv"
	"time"
)

// BlockSlots is how many events one block of the store holds at most. A
// sequence number is a block number and a slot in it, so this is part of the
// meaning of every stored Seq and can never change.
const BlockSlots = 64

// Seq numbers the events of one store in the order in which they were
// committed. It grows, but not by one: a block that was not full leaves a gap.
type Seq int64

// MakeSeq returns the number of the event in slot (0 ≤ slot < BlockSlots) of block.
func MakeSeq(block int64, slot int) Seq { return Seq(block*BlockSlots + int64(slot)) }

// Block returns the number of the block that holds the event.
func (s Seq) Block() int64 { return int64(s) / BlockSlots }

// Slot returns the event's place in its block.
func (s Seq) Slot() int { return int(s & (BlockSlots - 1)) }

// String is the decimal form, which is also the event's id in Grapnel's API.
func (s Seq) String() string { return strconv.FormatInt(int64(s), 10) }

// ParseSeq reads what String wrote. ok is false for anything else.
func ParseSeq(text string) (s Seq, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < BlockSlots || strconv.FormatInt(n, 10) != text {
		return 0, false
	}
	return Seq(n), true
}

// Event is one Okta LogEvent, unique by (source, UUID).
type Event struct {
	Seq       Seq
	Source    int64 // the source's number
	UUID      string
	Type      string
	Published time.Time // by Okta's clock; when Okta left it out, the time it was received
	Received  time.Time // by our clock
	JSON      []byte    // byte for byte as Okta sent it
}
