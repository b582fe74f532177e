package pack

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// A block's JSON is compressed with a dictionary of what Okta's events have in
// common. An event that came alone is made as small as can be, by zstd: it is of
// a quiet hour, and pays for a commit of its own anyway. Events that came
// together are made by S2, which takes a fifth of the time for a third more
// bytes.
//
// A payload is either one zstd frame (RFC 8878), which names the dictionary it
// needs, if any, or this: the number of the dictionary, which is below a
// frame's first byte, the CRC-32C of the JSON (big-endian), and an S2 block.
const (
	fromS2  = 4 << 10 // bytes from which on a single event is made by S2 too
	s2Head  = 1 + 4
	zstdOne = 0x28 // the first byte of a frame's magic number

	// maxUnpacked bounds what anything may be uncompressed to, in bytes.
	maxUnpacked = 256 << 20
)

// dictionary1 is what package makedict made. It must stay as it is: see there.
//
//go:embed dictionaries/1.zstd
var dictionary1 []byte

var (
	compressor   = newCompressor()
	blockZstd    = newCompressor(zstd.WithEncoderDict(dictionary1))
	decompressor = newDecompressor()
	// dictionaries are those for S2, by number: the same texts.
	dictionaries = map[byte]*s2.Dict{1: newDictionary(dictionary1)}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

func newCompressor(more ...zstd.EOption) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, append(more,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(maxBlockBytes))...)
	if err != nil {
		panic(err) // the options above are wrong
	}
	// It makes its pool at the first call: now, not in one store's hands.
	e.EncodeAll(nil, nil)
	return e
}

func newDecompressor() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderDicts(dictionary1))
	if err != nil {
		panic(err) // the options above are wrong
	}
	return d
}

func newDictionary(b []byte) *s2.Dict {
	d, err := zstd.InspectDictionary(b)
	if err != nil {
		panic(err) // the file is damaged
	}
	return s2.MakeDictManual(d.Content(), 0)
}

// Compress compresses bytes for Decompress.
func Compress(raw []byte) []byte { return compressor.EncodeAll(raw, nil) }

// compressBlock compresses the JSON of so many events for Decompress.
func compressBlock(raw []byte, events int) []byte {
	if events == 1 && len(raw) < fromS2 {
		return blockZstd.EncodeAll(raw, make([]byte, 0, 128+len(raw)/2))
	}
	room := borrow(s2.MaxEncodedLen(len(raw)))
	defer giveBack(room)
	packed := dictionaries[1].Encode(*room, raw)
	out := make([]byte, s2Head, s2Head+len(packed))
	out[0] = 1
	binary.BigEndian.PutUint32(out[1:], crc32.Checksum(raw, castagnoli))
	return append(out, packed...)
}

// rooms are where blocks are put together and compressed.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// borrow returns room for at least n bytes.
func borrow(n int) *[]byte {
	room := rooms.Get().(*[]byte)
	if cap(*room) < n {
		*room = make([]byte, n)
	}
	*room = (*room)[:cap(*room)]
	return room
}

func giveBack(room *[]byte) {
	if cap(*room) <= 2*maxBlockBytes { // a single event may be much larger
		rooms.Put(room)
	}
}

// Decompress reads what was compressed here, up to 256 MiB.
func Decompress(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0] == zstdOne {
		return decompressor.DecodeAll(b, nil)
	}
	dictionary := dictionaries[b[0]]
	if dictionary == nil {
		return nil, fmt.Errorf("it needs dictionary %d, which this program does not have", b[0])
	}
	if len(b) < s2Head {
		return nil, s2.ErrCorrupt
	}
	if n, err := s2.DecodedLen(b[s2Head:]); err != nil || n > maxUnpacked {
		return nil, s2.ErrCorrupt
	}
	raw, err := dictionary.Decode(nil, b[s2Head:])
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(raw, castagnoli) != binary.BigEndian.Uint32(b[1:]) {
		return nil, s2.ErrCRC
	}
	return raw, nil
}
