// Package access decides who may use the admin listener.
//
// It owns the admin token, how a request shows it, and the refusal. What an
// admitted caller may do is the business of the APIs behind it.
package access
