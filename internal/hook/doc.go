// Package hook holds Grapnel's nouns: source, event, event hook, delivery,
// attempt, and the closed list of reasons, with the rules that belong to them
// alone (legal transitions of a delivery, the delivery policy and its bounds).
//
// The words are Okta's. The package imports nothing of ours, so that every
// other package can speak of the same things.
package hook
