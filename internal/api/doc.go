// Package api is Grapnel's own HTTP API under /v1/: JSON, described by
// /v1/openapi.json, errors as problem details (RFC 9457).
//
// It owns the JSON shapes and their bounds, and nothing else: admin changes
// sources, replay sends again, the store answers questions, and access, in
// front of it, decides who may ask. Okta's own API is package oktaapi's.
//
// Lists answer {"items": […], "next": "…"}. next is handed back as ?after= for
// the following page. A page may hold fewer items than ?limit=, even none,
// while next is there, as the work of one call is bounded; without next the
// list has ended.
package api
