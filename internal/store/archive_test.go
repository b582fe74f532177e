package store

import (
	"math"
	"testing"
)

// FuzzMark reads any text as a mark.
func FuzzMark(f *testing.F) {
	for _, text := range []string{"", "head 0 0 0", "delivery 64 2 -1", "block 9223372036854775808 0 0", "block 1 2", "block  1 2 3", "block 1 2 3 4", "block +1 0 0", "unknown 1 2 3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mark, err := ParseMark(text)
		if err == nil && mark.String() != text {
			t.Errorf("%q is read as %q", text, mark)
		}
		if err != nil && mark != (Mark{}) {
			t.Errorf("%q is read as %q in spite of %v", text, mark, err)
		}
	})
}

// TestMarks writes and reads marks, and has them in order.
func TestMarks(t *testing.T) {
	last := Mark{}
	for _, kind := range Kinds() {
		for _, place := range []Place{{math.MinInt64}, {-1, 5}, {0, 0, 1}, {0, 1}, {math.MaxInt64, math.MaxInt64, math.MaxInt64}} {
			mark := Mark{kind, place}
			if read, err := ParseMark(mark.String()); err != nil || read != mark {
				t.Errorf("%q is read as %q, %v", mark, read, err)
			}
			if last.Compare(mark) >= 0 || mark.Compare(last) <= 0 || mark.Compare(mark) != 0 {
				t.Errorf("%q is not after %q", mark, last)
			}
			last = mark
		}
	}
}
