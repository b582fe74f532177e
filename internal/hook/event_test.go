package hook

import (
	"math"
	"testing"
)

func TestSeq(t *testing.T) {
	for _, c := range []struct {
		block int64
		slot  int
		seq   Seq
	}{{1, 0, 64}, {1, 63, 127}, {2, 0, 128}, {1 << 50, 7, 1<<56 + 7}} {
		if got := MakeSeq(c.block, c.slot); got != c.seq {
			t.Errorf("slot %d of block %d is number %d, want %d", c.slot, c.block, got, c.seq)
		}
		if c.seq.Block() != c.block || c.seq.Slot() != c.slot {
			t.Errorf("number %d is slot %d of block %d, want %d of %d", c.seq, c.seq.Slot(), c.seq.Block(), c.slot, c.block)
		}
	}
	for _, s := range []Seq{-1, -64, -65, math.MinInt64} {
		if slot := s.Slot(); slot < 0 || slot >= BlockSlots {
			t.Errorf("number %d has slot %d", s, slot)
		}
	}
}

func TestParseSeqRefuses(t *testing.T) {
	for _, text := range []string{"", "0", "1", "63", "-64", "+64", "064", " 64", "64 ", "6 4", "0x40", "64.0", "1e3", "9223372036854775808", "٦٤"} {
		if s, ok := ParseSeq(text); ok {
			t.Errorf("%q is read as %d", text, s)
		}
	}
}

func FuzzParseSeq(f *testing.F) {
	for _, text := range []string{"64", "9223372036854775807", "064", "-1", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := ParseSeq(text); ok && (s.String() != text || s < BlockSlots) {
			t.Errorf("%q is read as %d, which is written %q", text, s, s)
		}
	})
}
