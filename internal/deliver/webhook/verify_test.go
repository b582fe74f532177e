package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
)

type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection reset by peer")
}

// TestVerifyKeepsTheAddressToItself has a handshake fail: the log repeats why.
func TestVerifyKeepsTheAddressToItself(t *testing.T) {
	ch := &Channel{client: &http.Client{Transport: broken{}}}
	err := ch.Verify(t.Context(), &hook.EventHook{Channel: hook.Channel{URI: "https://hooks.example/T0K3N?key=s3cret"}})
	if err == nil || strings.Contains(err.Error(), "T0K3N") || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "reset") {
		t.Errorf("error %q", err)
	}
}

// The id of an event is what any library makes of the store's name space and the
// delivery's id.
func TestEventID(t *testing.T) {
	ch := &Channel{Options: Options{Identity: store.Identity{UUID: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")}}}
	for _, id := range []string{"", "dlv0", "dlv" + strings.Repeat("v", 32), strings.Repeat("long", 100)} {
		if got, want := ch.eventID(id), uuid.NewSHA1(ch.Identity.UUID, []byte(id)); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}
