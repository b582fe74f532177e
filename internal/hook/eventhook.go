package hook

import "time"

// Status is an event hook's life cycle status, in Okta's words.
type Status string

// The statuses of an event hook.
const (
	Active   Status = "ACTIVE"
	Inactive Status = "INACTIVE"
)

// EventHook is an outbound subscription: Okta's event hook, plus the Policy
// that Okta lacks.
type EventHook struct {
	Number      int64     `json:"-"` // the store's short name for it, never used again
	Revision    int64     `json:"-"` // of its last change
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description *string   `json:"description,omitempty"`
	Status      Status    `json:"status"`
	Verified    bool      `json:"verified"`
	Created     time.Time `json:"created"`
	LastUpdated time.Time `json:"lastUpdated"`
	CreatedBy   string    `json:"createdBy"`
	// EverVerified stays once the hook was verified. From then on its
	// deliveries wait, and are not lost, while it cannot be delivered to.
	EverVerified bool     `json:"everVerified"`
	Types        []string `json:"types"` // on the gateway also "user.session.*" and "*"
	Filters      []Filter `json:"filters,omitempty"`
	Policy       Policy   `json:"policy"`
	// Sealed holds a Channel as sealed JSON.
	Sealed []byte `json:"sealed"`
	// Channel is the opened form of Sealed. A store neither fills nor keeps it.
	Channel Channel `json:"-"`
	// Hold is the hook's own trouble. It is not part of a revision.
	Hold Hold `json:"-"`
}

// Owed reports whether events are owed to the hook: kept for it, if not
// delivered to it at once.
func (h *EventHook) Owed() bool { return h.Verified || h.EverVerified }

// Blocked returns why nothing can be delivered to the hook now, or "".
func (h *EventHook) Blocked() Reason {
	switch {
	case h.Status != Active:
		return ReasonInactive
	case !h.Verified:
		return ReasonUnverified
	default:
		return h.Hold.Reason
	}
}

// Filter narrows one event type of a hook by an Okta Expression Language
// condition. On the gateway Type may be an item's wildcard, or any type it covers.
type Filter struct {
	Type       string `json:"type"`
	Expression string `json:"expression"`
}

// Channel says where and how an event hook delivers. All of it may hold
// secrets (a token in the URI, an API key in a header), so it is sealed whole.
type Channel struct {
	URI     string      `json:"uri"`
	Headers []Header    `json:"headers,omitempty"`
	Auth    *AuthScheme `json:"auth,omitempty"`
	// SigningSecret is a Standard Webhooks secret ("whsec_…"), or "".
	SigningSecret string `json:"signingSecret,omitempty"`
}

// AuthScheme is the header that carries the hook's secret.
type AuthScheme struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Hold stops deliveries to a hook because of how its destination behaved.
// Deliveries wait meanwhile, and the clock of their retries stands still.
type Hold struct {
	Reason Reason    // ReasonGone, ReasonRefused, or "" for none
	Since  time.Time // when the hook last stopped being deliverable, for whatever reason
	// Total is how long the hook could not be delivered to before Since:
	// on hold, inactive or unverified.
	Total time.Duration
	// Recheck is when one delivery is tried in spite of the hold; zero for never.
	Recheck time.Time
	// Changes counts how often the hold has changed: of two readings, the one
	// with more is the newer.
	Changes int64
}

// Clock is how long the hook could not be delivered to, up to now.
func (h Hold) Clock(now time.Time) time.Duration {
	if h.Since.IsZero() || now.Before(h.Since) {
		return h.Total
	}
	return h.Total + now.Sub(h.Since)
}

// HookCount counts what became of a hook's deliveries since it was created.
// Matched = Delivered + Dead + Cancelled + those that wait or are being sent.
type HookCount struct {
	Matched      int64 `json:"matched"`
	Delivered    int64 `json:"delivered"`
	Dead         int64 `json:"dead"`
	Cancelled    int64 `json:"cancelled"`
	Attempts     int64 `json:"attempts"`
	FilterErrors int64 `json:"filterErrors"`
}

// Waiting is how many deliveries wait or are being sent.
func (c HookCount) Waiting() int64 { return c.Matched - c.Delivered - c.Dead - c.Cancelled }
