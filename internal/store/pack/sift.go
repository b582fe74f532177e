package pack

import (
	"encoding/binary"
	"math"
)

// MayHold reports whether a block may hold an event of a type and of a source,
// "" and 0 for any. It takes a small part of the time of Summary, which tells for
// certain; of a summary that cannot be read it leaves that to Summary.
func MayHold(summary []byte, kind string, source int64) bool {
	if kind == "" && source == 0 || len(summary) == 0 || summary[0] != blockFormat {
		return true
	}
	b, bad := summary[1:], false
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			b, bad = nil, true
			return 0
		}
		b = b[size:]
		return n
	}
	skip := func(n uint64) []byte {
		if n > uint64(len(b)) {
			n, bad = uint64(len(b)), true
		}
		skipped := b[:n]
		b = b[n:]
		return skipped
	}
	of := uint64(math.MaxUint64) // the index of the type
	for i, types := uint64(0), number(); i < types && !bad; i++ {
		if name := skip(number()); string(name) == kind {
			of = i
		}
	}
	if kind != "" && of == math.MaxUint64 {
		return bad
	}
	if source == 0 {
		return true
	}
	for len(b) > 0 {
		from, index := number(), number()
		if int64(from) == source && (kind == "" || index == of) {
			return true
		}
		number() // when it was published
		if n := number(); n == 0 {
			skip(16)
		} else {
			skip(n - 1)
		}
		number() // how long its JSON is
	}
	return bad
}
