package admin

import (
	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// EventHookSpec is what a caller asks an event hook to be.
type EventHookSpec struct {
	Name        string
	Description *string
	// Status is honoured by ReplaceEventHook, where "" keeps the present one. A
	// new hook is always active (recorded of Okta).
	Status hook.Status
	// Types is a set: what is repeated counts once.
	Types   []string
	Filters []hook.Filter
	Channel ChannelSpec
	// Policy is the whole delivery policy; nil keeps the present one, or the
	// default for a new hook. Signing without a secret keeps the present secret.
	Policy *hook.Policy
	// Found is what was wrong with what the caller sent, besides the above: it
	// is refused with all its causes at once.
	Found []string
}

// ChannelSpec is the channel a caller asks for.
type ChannelSpec struct {
	URI     string
	Headers []hook.Header
	Auth    *AuthSpec // nil for none
}

// AuthSpec is a header that carries a secret.
type AuthSpec struct {
	Key string
	// Value is the whole header value. Nil keeps the present one, as it cannot
	// be read back, as long as Key is the same.
	Value *string
}

// value returns the value asked for, or else the one kept under the same key.
func (s AuthSpec) value(keptKey, kept string) string {
	switch {
	case s.Value != nil:
		return *s.Value
	case sameHeader(s.Key, keptKey):
		return kept
	default:
		return ""
	}
}

// EventHook is an event hook as it is shown. Its Channel is open, but without
// secrets: no Auth.Value and no SigningSecret.
type EventHook struct {
	hook.EventHook
	// Warnings name types that Okta does not have, and say where filters leave
	// its own dialect.
	Warnings []string
}
