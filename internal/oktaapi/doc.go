// Package oktaapi serves Okta's own event hooks API, so that what speaks to
// Okta (SDKs, Terraform, scripts) speaks to Grapnel unchanged.
//
// It owns paths, methods, statuses and the translation between Okta's resource
// and package admin, which decides everything. Package okta owns the JSON of
// resource and errors, package access the token check in front.
package oktaapi
