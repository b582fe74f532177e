package oktaapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// FuzzCreate holds what must be true of every body: it is refused in Okta's
// words, or makes a hook that can be read, sent back as it was read with the
// same result, and deleted.
func FuzzCreate(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(text), "\n"+nextLine+"\n") {
			request, _, _ := strings.Cut(part, "\n"+answerLine+"\n")
			if _, body, ok := strings.Cut(request, "\n\n"); ok {
				f.Add([]byte(body))
			}
		}
	}
	g := newGateway(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		w := g.call(http.MethodPost, hooks, asJSON, string(body))
		if w.Code != http.StatusOK {
			e := decode[okta.Error](t, w)
			if w.Code < 400 || w.Code > 499 || e.ErrorCode.Status() != w.Code || e.ErrorCauses == nil {
				t.Fatalf("refused with %d %s", w.Code, w.Body)
			}
			return
		}
		h := decode[okta.EventHook](t, w)
		path := hooks + "/" + h.ID
		if read := g.call(http.MethodGet, path, nil, ""); !bytes.Equal(read.Body.Bytes(), w.Body.Bytes()) {
			t.Errorf("made  %s\nreads %s", w.Body, read.Body)
		}
		again := g.call(http.MethodPut, path, asJSON, w.Body.String())
		if a, b := settled(t, again.Body.Bytes()), settled(t, w.Body.Bytes()); again.Code != http.StatusOK || a != b {
			t.Errorf("sent back it is %d\n%s, want\n%s", again.Code, a, b)
		}
		g.call(http.MethodPost, path+"/lifecycle/deactivate", nil, "")
		if gone := g.call(http.MethodDelete, path, nil, ""); gone.Code != http.StatusNoContent {
			t.Errorf("deleting it answered %d %s", gone.Code, gone.Body)
		}
	})
}

// settled is the hook without what each change moves.
func settled(t *testing.T, body []byte) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	delete(members, "lastUpdated")
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
