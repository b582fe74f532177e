package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/traffic"
)

// TestDictionariesStayAsTheyAre holds the dictionaries to what they were when
// they were released: nothing that was written with them could be read any more.
func TestDictionariesStayAsTheyAre(t *testing.T) {
	sum := sha256.Sum256(dictionary1)
	if got := hex.EncodeToString(sum[:]); got != "859126822d40c7063ab127d657ea6e5fc6e342f8531d3c5ab1014f641c6eb84e" {
		t.Errorf("dictionary 1 is another: %s", got)
	}
}

// TestReadsWhatWasWritten reads what each way of compressing a block once wrote.
func TestReadsWhatWasWritten(t *testing.T) {
	const text = `{"uuid":"a2e3d1f0-5dd2-11f0-9c1a-0242ac120002","eventType":"user.session.start","displayMessage":"User login to Okta"}`
	for name, written := range map[string]string{
		"zstd, without a dictionary": "28b52ffd0400b103007b2275756964223a2261326533643166302d356464322d313166302d396331612d303234326163313230303032222c226576656e7454797065223a22757365722e73657373696f6e2e7374617274222c22646973706c61794d657373616765223a2255736572206c6f67696e20746f204f6b7461227de3f2c9e2",
		"zstd, dictionary 1":         "28b52ffd060001808d0100c40161326533643166302d35646432396331612d3032343261633132307d06f0b67b79b09b781aa1d0c7d1fa1ed62f9436e3f2c9e2",
		"S2, dictionary 1":           "019fcc8127761100342261326533643166302d35646432e9e834396331612d30323432616331323016821e82c107e1b3150018007d",
	} {
		b, err := hex.DecodeString(written)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := Decompress(b); err != nil || string(raw) != text {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
	}
}

// block returns n made-up events as one block's JSON.
func block(n int) (raw []byte) {
	g := traffic.New(traffic.Options{Seed: 7})
	for range n {
		raw = append(raw, g.Next().JSON...)
	}
	return raw
}

func TestBlocksOfEverySize(t *testing.T) {
	for _, raw := range [][]byte{nil, {'x'}, block(1), block(4)[:fromS2-1], block(4)[:fromS2], block(hook.BlockSlots), bytes.Repeat([]byte("x"), 4<<20)} {
		for _, events := range []int{1, 2} {
			packed := compressBlock(raw, events)
			if got, err := Decompress(packed); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%d bytes came back as %d: %v", len(raw), len(got), err)
			}
			if small := events == 1 && len(raw) < fromS2; len(raw) > 0 && (packed[0] == zstdOne) != small {
				t.Errorf("%d bytes of %d events begin with %#x", len(raw), events, packed[0])
			}
		}
	}
}

// TestASingleEventIsSmall holds the dictionary to its use.
func TestASingleEventIsSmall(t *testing.T) {
	g := traffic.New(traffic.Options{Seed: 7})
	before, with, without := 0, 0, 0
	for range 100 {
		raw := g.Next().JSON
		before, with, without = before+len(raw), with+len(compressBlock(raw, 1)), without+len(Compress(raw))
	}
	if with > without/3 || with > before/6 {
		t.Errorf("%d bytes of single events became %d, and %d without the dictionary", before, with, without)
	}
}

// TestAFlippedBitIsNoticed flips bits of blocks of both kinds.
func TestAFlippedBitIsNoticed(t *testing.T) {
	for _, events := range []int{1, 16} {
		raw := block(events)
		packed := compressBlock(raw, events)
		for i := range packed {
			damaged := bytes.Clone(packed)
			damaged[i] ^= 1 << (i % 8)
			if got, err := Decompress(damaged); err == nil && !bytes.Equal(got, raw) {
				t.Fatalf("byte %d of %d: other JSON came back without an error", i, len(packed))
			}
		}
	}
	if _, err := Decompress([]byte{9, 0, 0, 0, 0, 0}); err == nil || !strings.Contains(err.Error(), "dictionary 9") {
		t.Errorf("a dictionary that there is not: %v", err)
	}
}

// FuzzDecompress reads any bytes as something compressed.
func FuzzDecompress(f *testing.F) {
	f.Add(compressBlock(block(1), 1))
	f.Add(compressBlock(block(8), 8))
	f.Add(Compress(block(1)))
	f.Add([]byte{1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		if raw, err := Decompress(b); err == nil && len(raw) > maxUnpacked {
			t.Fatalf("%d bytes", len(raw))
		}
	})
}
