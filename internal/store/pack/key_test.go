package pack

import (
	"bytes"
	"fmt"
	"testing"
)

// TestKeyLayout pins what lies where: keys are on disk.
func TestKeyLayout(t *testing.T) {
	for uuid, want := range map[string]string{
		"a2e3d1f0-5dd2-11f0-9c1a-0242ac120002": "1f05dd2a2e3d11f09c1a0242ac120002",
		"01890a5d-ac96-7001-bcce-b302099a8057": "01890a5dac967001bcceb302099a8057",
		"7c9e6679-7425-40de-944b-e07fc1f90ae7": "7c9e6679742540de944be07fc1f90ae7",
		"00000000-0000-0000-0000-000000000000": "00000000000000000000000000000000",
		// SHA-256 of "" begins e3b0c44298fc1c149afbf4c8996fb924.
		"":  "e3b0c44298fcfa1c14fbf4c8996fb924",
		"x": "2d711642b726f1b044627ca9fbac32f5",
	} {
		if got := fmt.Sprintf("%x", KeyOf(uuid)); got != want {
			t.Errorf("the key of %q is %s, want %s", uuid, got, want)
		}
	}
}

// TestKeysApart looks at uuids that are alike.
func TestKeysApart(t *testing.T) {
	seen := make(map[Key]string)
	for _, uuid := range []string{
		"a2e3d1f0-5dd2-11f0-9c1a-0242ac120002", // version 1
		"1f05dd2a-2e3d-61f0-9c1a-0242ac120002", // the same as version 6
		"1f05dd2a-2e3d-11f0-9c1a-0242ac120002", // its key, read as a uuid
		"A2E3D1F0-5DD2-11F0-9C1A-0242AC120002", "a2e3d1f05dd211f09c1a0242ac120002",
		"e3b0c442-98fc-fa1c-14fb-f4c8996fb924", "", // the key of the latter, read as a uuid
	} {
		k := KeyOf(uuid)
		if other, known := seen[k]; known {
			t.Errorf("%q and %q have the key %x", uuid, other, k)
		}
		seen[k] = uuid
	}
}

// FuzzKey makes keys of texts, and reads any bytes as a key.
func FuzzKey(f *testing.F) {
	for _, text := range []string{
		"", "x", "a2e3d1f0-5dd2-11f0-9c1a-0242ac120002", "01890a5d-ac96-7001-bcce-b302099a8057",
		"ffffffff-ffff-1fff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff", "A2E3D1F0-5DD2-11F0-9C1A-0242AC120002",
	} {
		k := KeyOf(text)
		f.Add(text, k[:])
	}
	f.Fuzz(func(t *testing.T, text string, stored []byte) {
		k := KeyOf(text)
		canonical, isUUID := CompactUUID(text)
		if uuid, ok := k.UUID(); ok != (isUUID && canonical[6]>>4 != versionHash) || ok && uuid != text {
			t.Errorf("%q becomes the key %x of %q, %v", text, k, uuid, ok)
		}
		entry, at := k.Seen()
		if at != SeenKey(text) || !entry.Is(0, text) || entry.Is(1, text) || entry.Is(0, text+"x") || entry.Key() != k {
			t.Errorf("the key %x of %q is entered as %+v under %d, want %d", k, text, entry, at, SeenKey(text))
		}
		if (Seen{UUID: text}).Key() != k {
			t.Errorf("the entry of %q has the key %x, want %x", text, (Seen{UUID: text}).Key(), k)
		}
		if len(stored) != len(k) {
			return
		}
		k = Key(stored)
		if uuid, ok := k.UUID(); ok && KeyOf(uuid) != k {
			t.Errorf("the key %x is of %s, which has %x", k, uuid, KeyOf(uuid))
		}
		entry, _ = k.Seen()
		if read := ParseSeen(AppendSeen(nil, entry)); len(read) != 1 || read[0] != entry || !bytes.Equal(k[:], stored) {
			t.Errorf("the entry of %x is read as %+v", stored, read)
		}
	})
}
