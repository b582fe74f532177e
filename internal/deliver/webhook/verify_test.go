package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/hook"
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
