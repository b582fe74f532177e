package hook

// Reason is a word that says why something happened. The list is closed, and
// the word is the same in log, metric, API, console and database.
type Reason string

// Reasons of an attempt: how it failed. A successful attempt has none.
const (
	ReasonStatus      Reason = "http_status"        // an answer outside 2xx; see the status
	ReasonRedirect    Reason = "redirect"           // 3xx, never followed
	ReasonGone        Reason = "gone"               // 410: the destination wants no more
	ReasonTimeout     Reason = "timeout"            // no answer within delivery.timeout
	ReasonDNS         Reason = "dns_failure"        // the name could not be resolved
	ReasonConnection  Reason = "connection_failure" // refused, reset or closed early
	ReasonTLS         Reason = "tls_failure"        // handshake or certificate
	ReasonBadResponse Reason = "bad_response"       // not HTTP
)

// Reasons of a delivery that waits although nothing failed.
const (
	ReasonRefused    Reason = "destination_refused" // a guarded address; see --allow-destination
	ReasonInactive   Reason = "hook_inactive"
	ReasonUnverified Reason = "hook_unverified"
)

// Reasons of a delivery that has ended.
const (
	ReasonExhausted    Reason = "retries_exhausted"
	ReasonNotRetryable Reason = "not_retryable" // the status is not one that delivery.retry.on names
	ReasonExpired      Reason = "expired"       // owed longer than delivery.keep
	ReasonStoreFull    Reason = "store_full"    // the oldest owed, at the store's size limit
	ReasonHookDeleted  Reason = "hook_deleted"
	ReasonDamaged      Reason = "event_damaged" // the store cannot read the event any more
)

// Reasons of something kept as rejected: it came with a right secret, but is
// not an event.
const (
	ReasonNotDelivery  Reason = "not_a_delivery" // the whole body
	ReasonMalformed    Reason = "malformed"      // one element of data.events, and so on
	ReasonTooDeep      Reason = "too_deep"
	ReasonNotObject    Reason = "not_object"
	ReasonBadUUID      Reason = "bad_uuid"
	ReasonBadEventType Reason = "bad_event_type"
)

// ReasonFilter says that a filter could not be evaluated for an event, which
// counts as no match.
const ReasonFilter Reason = "filter_error"
