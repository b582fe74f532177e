package pack

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// AppendOutcome notes that a slot of a block went through at its first attempt:
// the slot, then the attempt's start in ms after created (zigzag), its duration
// in µs, and its status.
func AppendOutcome(outcomes []byte, created time.Time, slot int, a hook.Attempt) []byte {
	outcomes = append(outcomes, byte(slot))
	outcomes = binary.AppendVarint(outcomes, a.At.Sub(created).Milliseconds())
	outcomes = binary.AppendUvarint(outcomes, uint64(max(0, a.Duration.Microseconds())))
	return binary.AppendUvarint(outcomes, uint64(a.Status))
}

// Outcomes reads the attempts that AppendOutcome noted, by slot, as far as they
// can be read.
func Outcomes(outcomes []byte, created time.Time) map[int]hook.Attempt {
	attempts := make(map[int]hook.Attempt, min(hook.BlockSlots, len(outcomes)/6))
	c := cutter{b: outcomes}
	for len(c.b) > 0 && !c.bad {
		slot := int(c.b[0])
		c.b = c.b[1:]
		a := hook.Attempt{
			At:       created.Add(time.Duration(c.varint()) * time.Millisecond),
			Duration: time.Duration(c.uvarint()) * time.Microsecond,
			Status:   int(c.uvarint()),
		}
		if c.bad || slot >= hook.BlockSlots {
			break // damaged; whoever looks for the slot will tell
		}
		attempts[slot] = a
	}
	return attempts
}

// CheckOutcomes returns the slots that AppendOutcome noted. ok is false when it
// noted one twice, or when there is more than can be read.
func CheckOutcomes(outcomes []byte) (slots uint64, ok bool) {
	for c := (cutter{b: outcomes}); len(c.b) > 0; {
		slot := int(c.b[0])
		c.b = c.b[1:]
		c.varint()
		c.uvarint()
		c.uvarint()
		if c.bad || slot >= hook.BlockSlots || slots>>slot&1 != 0 {
			return slots, false
		}
		slots |= 1 << slot
	}
	return slots, true
}

// Slots calls f for every slot in mask, the lowest first, until it returns false.
func Slots(mask uint64, f func(slot int) bool) {
	for ; mask != 0; mask &= mask - 1 {
		if !f(bits.TrailingZeros64(mask)) {
			return
		}
	}
}

// SplitOutcomes cuts outcomes apart; put together again they are the same. ok is
// false when the last part is what cannot be read.
func SplitOutcomes(outcomes []byte) (parts [][]byte, ok bool) {
	for c := (cutter{b: outcomes}); len(c.b) > 0; {
		begin := c.b
		slot := c.b[0]
		c.b = c.b[1:]
		c.varint()
		c.uvarint()
		c.uvarint()
		if c.bad || slot >= hook.BlockSlots {
			return append(parts, begin), false
		}
		parts = append(parts, begin[:len(begin)-len(c.b)])
	}
	return parts, true
}

// SortOutcomes puts outcomes in the order of their slots. Nothing is lost: what
// cannot be read stays at the end as it is.
func SortOutcomes(outcomes []byte) []byte {
	parts, ok := SplitOutcomes(outcomes)
	sorted := parts
	if !ok {
		sorted = parts[:len(parts)-1]
	}
	bySlot := func(a, b []byte) int { return cmp.Compare(a[0], b[0]) }
	if slices.IsSortedFunc(sorted, bySlot) {
		return outcomes
	}
	slices.SortStableFunc(sorted, bySlot)
	return slices.Concat(parts...)
}

// Rebase writes outcomes that were noted with one created as those of another.
// Where an attempt then does not begin whole milliseconds after it, it begins the
// next before, or, with up, the next after that. What was rebased down comes back
// to the same when it is rebased up, and the other way round.
func Rebase(outcomes []byte, from, to time.Time, up bool) ([]byte, error) {
	const farthest = 1 << 50 // milliseconds
	shift := from.UnixMicro() - to.UnixMicro()
	rebased := make([]byte, 0, len(outcomes)+8)
	for c := (cutter{b: outcomes}); len(c.b) > 0; {
		slot := c.b[0]
		c.b = c.b[1:]
		begins, duration, status := c.varint(), c.uvarint(), c.uvarint()
		if c.bad || slot >= hook.BlockSlots || begins > farthest || begins < -farthest {
			return nil, fmt.Errorf("outcomes: %w", ErrCorrupt)
		}
		begins = begins*1000 + shift
		after := begins / 1000 // towards zero
		switch rest := begins % 1000; {
		case up && rest > 0:
			after++
		case !up && rest < 0:
			after--
		}
		rebased = append(rebased, slot)
		rebased = binary.AppendVarint(rebased, after)
		rebased = binary.AppendUvarint(rebased, duration)
		rebased = binary.AppendUvarint(rebased, status)
	}
	return rebased, nil
}
