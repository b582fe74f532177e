// Package admin changes sources and event hooks: it validates what a person
// asks for, seals the secrets in it, and has the store keep the result.
//
// It owns the rules of those resources: what may be written, what a change
// does to verification, status and holds. It knows no JSON and no HTTP:
// package oktaapi translates Okta's API to it, package api Grapnel's own.
// Package hook owns the nouns and the bounds of a delivery policy.
package admin
