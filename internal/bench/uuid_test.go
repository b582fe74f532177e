package bench

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// eventBody is the least that the sink takes for a delivery of the event.
func eventBody(id eventID, index int64) []byte {
	body := []byte(`{"uuid":"` + uuidSlot + `"}`)
	id.put(body[len(`{"uuid":"`):], index, time.Now())
	return body
}

func TestUUIDIsVersion1AndNamesItsEvent(t *testing.T) {
	// The example of RFC 9562, appendix A.1, has this time.
	at := time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC)
	var text [uuidLength]byte
	id := newEventID(0x9f6b)
	id.put(text[:], 0xdeced846, at)
	if got, want := string(text[:]), "c232ab00-9414-11ec-8000-9f6bdeced846"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, index := range []int64{0, 1, maxEvents - 1} {
		id.put(text[:], index, at)
		if got, ok := id.index(text[:]); !ok || got != index {
			t.Errorf("%s names %d, %v; want %d", text, got, ok, index)
		}
		if _, ok := newEventID(0x1f6b).index(text[:]); ok {
			t.Errorf("%s is taken for another phase's", text)
		}
	}
}

func TestNextUUIDFindsAllHoweverWritten(t *testing.T) {
	const a, b = "c232ab00-9414-11ec-8000-9f6bdeced846", "c232ab00-9414-11ec-8000-9f6bdeced847"
	body := []byte("{\"uuid\":\"" + a + "\",\"x\":\"uuid\",\"uuid\" : 7, \"uuid\" :\n\t\"" + b + "\"}")
	var got []string
	for {
		var uuid []byte
		if uuid, body = nextUUID(body); uuid == nil {
			break
		}
		got = append(got, string(uuid))
	}
	if len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("got %q", got)
	}
}

// FuzzNextUUID holds the scan against a parse: what is a member named uuid, with
// a string of 36 plain characters, is found.
func FuzzNextUUID(f *testing.F) {
	id := newEventID(1)
	f.Add(eventBody(id, 5))
	f.Add([]byte(`{ "uuid" : "00000000-0000-1000-8000-000000000000" }`))
	f.Add([]byte(`"uuid"`))
	f.Add([]byte(`"uuid":"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var all [][]byte
		for rest := body; ; {
			var uuid []byte
			if uuid, rest = nextUUID(rest); uuid == nil {
				break
			}
			id.index(uuid)
			all = append(all, uuid)
		}
		var object struct {
			UUID json.RawMessage `json:"uuid"`
		}
		if json.Unmarshal(body, &object) != nil || len(object.UUID) != uuidLength+2 || object.UUID[0] != '"' ||
			bytes.ContainsAny(object.UUID, "\\") || !bytes.Contains(body, uuidKey) {
			return
		}
		for _, uuid := range all {
			if bytes.Equal(uuid, object.UUID[1:uuidLength+1]) {
				return
			}
		}
		t.Errorf("%s not found in %q", object.UUID, body)
	})
}
