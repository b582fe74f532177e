// Package okta owns Okta's wire formats: the event hook delivery that Okta
// POSTs and the envelope written back to destinations, the verification
// handshake, the EventHook resource, the error object, and the catalogue of
// event types.
//
// It knows shapes and bounds, not rules: whether a hook may be saved, whom a
// secret belongs to and what happens to an event is decided by its neighbours
// (admin, receive, intake). It reads no store, opens no connection and keeps
// no state besides the embedded catalogue, which a file may take the place of.
package okta
