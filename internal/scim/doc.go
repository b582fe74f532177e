// Package scim owns the two ways in which Okta's System Log API (GET
// /api/v1/logs) selects events: the filter language of the parameter filter,
// and the keywords of the parameter q. It parses both and matches them against
// the JSON of a LogEvent.
//
// It knows neither HTTP nor the store: which error code a refusal becomes, and
// how since, until and an index narrow a query, is decided by its callers.
//
// # The filter language
//
// It is the one of SCIM (RFC 7644 §3.4.2.2) without value paths ([ ]), over the
// attributes of a LogEvent: eq ne gt ge lt le co sw ew pr, joined by and, or and
// not, in parentheses. not binds tightest and needs parentheses of its own,
// then and, then or. Operators may be in any case of letters, attributes and
// literals may not.
//
// A term is met if any value of its attribute meets it: of a list each element
// is tried, and two terms may be met by different elements.
//
// # Choices, where Okta's documentation leaves one
//
//   - Attributes that are null, absent, or an empty list are alike: they have no
//     value. No comparison holds of them but ne, for what has no value does not
//     have that one. On a list, ne holds if any element is another value.
//   - pr asks for something that is not empty: a string of at least one
//     character, a number, true or false; for an object or a list, such a value
//     anywhere within. It is the only operator for objects.
//   - null is a literal, as in SCIM, for eq (the opposite of pr) and ne (pr).
//   - Text is compared by its code points, letters in their case. gt, ge, lt and
//     le go by time if both sides are RFC 3339 times. published is the only
//     attribute documented as a time and cannot be filtered by, so this helps
//     in the maps whose content is not documented (debugData, detail, ...).
//   - Numbers are compared as 64-bit floating point.
//   - A literal of a type that the attribute never has is refused, not ignored.
//     In the undocumented maps a value of another type is a different value.
//   - An attribute that Okta does not document is refused, event_type of an
//     older example too.
//   - changeDetails, its from and its to cannot stand alone, not even with pr.
//   - request.ipChain is also found in client.ipChain, where event hooks carry it.
//   - Of members of an object that have the same name, the last counts, as
//     everywhere in Grapnel.
//   - Length, depth and number of terms, for which Okta documents no bounds, are
//     bounded by MaxLength, MaxDepth and MaxTerms.
package scim
