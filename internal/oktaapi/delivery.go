package oktaapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// delivery is the object that Grapnel adds to Okta's resource: the policy, and
// what can only be read.
type delivery struct {
	hook.Policy
	// Warnings name types that Okta does not have, and say where filters leave
	// the dialect that it documents.
	Warnings []string `json:"warnings,omitempty"`
	// Hold says why deliveries wait because of what the destination did.
	Hold *hold `json:"hold,omitempty"`
}

type hold struct {
	Reason hook.Reason `json:"reason"`
	Since  time.Time   `json:"since"`
}

// readOnly are the members that a caller may send back, as it does who changes
// what GET answered; they are ignored.
var readOnly = []string{"warnings", "hold"}

func deliveryOf(h *admin.EventHook) (json.RawMessage, error) {
	d := delivery{Policy: h.Policy, Warnings: h.Warnings}
	if h.Hold.Reason != "" {
		d.Hold = &hold{Reason: h.Hold.Reason, Since: h.Hold.Since.UTC().Truncate(time.Millisecond)}
	}
	return okta.Marshal(d)
}

// policyOf reads a delivery object. Absent it is nil, which keeps the policy
// there is; null is the default.
func policyOf(raw json.RawMessage) (*hook.Policy, error) {
	policy := hook.DefaultPolicy()
	if raw == nil {
		return nil, nil
	}
	if string(raw) == "null" {
		return &policy, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, errors.New("delivery: expected an object")
	}
	for _, name := range readOnly {
		delete(members, name)
	}
	written, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	if policy, err = hook.ParsePolicy(written); err != nil {
		return nil, err
	}
	return &policy, nil
}
