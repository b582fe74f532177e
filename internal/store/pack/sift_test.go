package pack

import (
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

func TestMayHold(t *testing.T) {
	var b Block
	b.Add(&hook.Event{Source: 1, Type: "common", UUID: "7c9e6679-7425-40de-944b-e07fc1f90ae7", JSON: []byte("{}"), Published: received})
	b.Add(&hook.Event{Source: 2, Type: "rare", UUID: "any text", JSON: []byte("{}"), Published: received})
	summary, _ := b.Encode(received)
	for _, c := range []struct {
		kind   string
		source int64
		may    bool
	}{
		{"", 0, true}, {"common", 0, true}, {"rare", 0, true}, {"", 1, true}, {"", 2, true},
		{"common", 1, true}, {"rare", 2, true},
		{"none", 0, false}, {"", 3, false}, {"none", 1, false}, {"rare", 1, false}, {"common", 2, false},
	} {
		if may := MayHold(summary, c.kind, c.source); may != c.may {
			t.Errorf("MayHold(%q, %d) = %v", c.kind, c.source, may)
		}
		for cut := range summary {
			if _, _, err := Summary(7, received, summary[:cut]); err != nil && !MayHold(summary[:cut], "none", 3) && !MayHold(summary[:cut], "", 3) {
				t.Errorf("the first %d bytes of a summary are passed by", cut)
			}
		}
	}
}
