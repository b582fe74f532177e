package hook

import (
	"math"
	"strings"
	"testing"
)

var allStates = []State{Waiting, Sending, Delivered, Dead, Cancelled}

// TestTransitions goes through every pair of states. docs/delivery-states.md
// draws the same.
func TestTransitions(t *testing.T) {
	legal := map[State][]State{
		Waiting:   {Sending, Dead, Cancelled},
		Sending:   {Delivered, Waiting, Dead},
		Delivered: {},
		Dead:      {},
		Cancelled: {},
	}
	for _, from := range allStates {
		for _, to := range append(allStates, State(5), State(255)) {
			want := false
			for _, s := range legal[from] {
				want = want || s == to
			}
			if got := from.CanBecome(to); got != want {
				t.Errorf("%v may become %v: %v, want %v", from, to, got, want)
			}
		}
		if got, want := from.Final(), len(legal[from]) == 0; got != want {
			t.Errorf("%v is final: %v, want %v", from, got, want)
		}
	}
	if State(9).CanBecome(Waiting) {
		t.Error("an unknown state may become waiting")
	}
}

func TestStateNames(t *testing.T) {
	names := map[State]string{Waiting: "waiting", Sending: "sending", Delivered: "delivered", Dead: "dead", Cancelled: "cancelled"}
	for _, s := range allStates {
		if s.String() != names[s] {
			t.Errorf("state %d is called %q, want %q", s, s, names[s])
		}
		if got, ok := ParseState(s.String()); !ok || got != s {
			t.Errorf("%q is read as %v, %v", s, got, ok)
		}
	}
	for _, text := range []string{"", "Waiting", "unknown", "waiting ", "expired"} {
		if s, ok := ParseState(text); ok {
			t.Errorf("%q is read as %v", text, s)
		}
	}
	if got := State(5).String(); got != "unknown" {
		t.Errorf("an unknown state is called %q", got)
	}
}

// TestKeyIDs pins the form of delivery ids: destinations have stored them.
func TestKeyIDs(t *testing.T) {
	const tag = 0xdeadbeef
	for _, c := range []struct {
		key Key
		id  string
	}{
		{Key{Hook: 1, Seq: 64}, "dlvrqmrtro0000000000100000004000000"},
		{Key{Hook: 2, Seq: 64}, "dlvrqmrtro0000000000100000008000000"},
		{Key{Hook: 1, Seq: 65, Replay: 3}, "dlvrqmrtro000000000010g000004000003"},
		{Key{Hook: math.MaxUint32, Seq: math.MaxInt64, Replay: math.MaxUint32}, "dlvrqmrtrrvvvvvvvvvvvvvvvvvvvvvvvvv"},
	} {
		if got := c.key.ID(tag); got != c.id {
			t.Errorf("the id of %+v is %s, want %s", c.key, got, c.id)
		}
		if got, ok := ParseKey(c.id, tag); !ok || got != c.key {
			t.Errorf("%s is read as %+v, %v", c.id, got, ok)
		}
		if _, ok := ParseKey(c.id, tag+1); ok {
			t.Errorf("%s is read as another store's id", c.id)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	const tag = 7
	id := Key{Hook: 1, Seq: 64}.ID(tag)
	for _, text := range []string{
		"", "dlv", id[3:], id + "0", id[:len(id)-1], strings.ToUpper(id), "DLV" + id[3:], "evt" + id[3:],
		id[:10] + "z" + id[11:], id[:10] + "\n" + id[11:], "dlv" + strings.Repeat("\n", 32), "dlv" + strings.Repeat("\r\n", 8) + id[3:19],
		"dlv" + strings.Repeat("=", 32), "dlv" + strings.Repeat("ł", 16),
		Key{Hook: 0, Seq: 64}.ID(tag), Key{Hook: 1, Seq: 63}.ID(tag), Key{Hook: 1, Seq: -64}.ID(tag), Key{}.ID(tag),
	} {
		if key, ok := ParseKey(text, tag); ok {
			t.Errorf("%q is read as %+v", text, key)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(Key{Hook: 1, Seq: 64}.ID(7), uint32(7))
	f.Add(Key{Hook: 9, Seq: 1 << 40, Replay: 2}.ID(0xffffffff), uint32(0xffffffff))
	f.Add("dlv"+strings.Repeat("\n", 32), uint32(0))
	f.Add("dlv"+strings.Repeat("v", 32), uint32(0xffffffff))
	f.Fuzz(func(t *testing.T, text string, tag uint32) {
		key, ok := ParseKey(text, tag)
		if !ok {
			return
		}
		if got := key.ID(tag); got != text {
			t.Errorf("%q is read as %+v, whose id is %q", text, key, got)
		}
		if key.Seq < BlockSlots || key.Hook <= 0 || key.Replay < 0 {
			t.Errorf("%q is read as %+v", text, key)
		}
	})
}
