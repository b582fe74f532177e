package pack

import (
	"encoding/binary"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// SourceFields are the counters of a source in the order in which they are
// written: new ones go to the end.
func SourceFields(v *hook.SourceCount) []*int64 {
	return []*int64{&v.Deliveries, &v.Received, &v.Duplicates, &v.Rejected, &v.Unauthorized, &v.TooLarge, &v.Unavailable}
}

// HookFields are the counters of a hook, likewise.
func HookFields(v *hook.HookCount) []*int64 {
	return []*int64{&v.Matched, &v.Delivered, &v.Dead, &v.Cancelled, &v.Attempts, &v.FilterErrors}
}

// ReadCounts reads what AppendCounts wrote; fields that are missing stay.
func ReadCounts(b []byte, fields []*int64) {
	for _, f := range fields {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return
		}
		*f, b = int64(v), b[n:]
	}
}

// AppendCounts writes counters.
func AppendCounts(b []byte, fields []*int64) []byte {
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(*f))
	}
	return b
}
