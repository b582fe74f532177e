package admin

import (
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// apply turns h, whose channel is open, into what spec asks for, as far as
// nothing is found to be wrong.
func (a *Admin) apply(f *findings, h *hook.EventHook, spec *EventHookSpec, now time.Time) {
	old, channel := h.Channel, hook.Channel{
		URI:           spec.Channel.URI,
		Headers:       slices.Clone(spec.Channel.Headers),
		Auth:          f.auth(spec.Channel.Auth, h.Channel.Auth),
		SigningSecret: h.Channel.SigningSecret,
	}
	policy := h.Policy
	if spec.Policy != nil {
		policy = *spec.Policy
		policy.Sources = distinct(policy.Sources)
		channel.SigningSecret = f.signing(&policy, channel.SigningSecret)
	}
	moved := !sameChannel(old, channel)
	switch {
	case policy.Verification == hook.VerifyNone:
		h.Verified = true
	case moved || h.Policy.Verification == hook.VerifyNone:
		// Nobody has seen this destination answer a handshake.
		h.Verified = false
	}
	if activated := spec.Status == hook.Active && h.Status != hook.Active; activated || moved {
		h.Hold.Reason = ""
	}
	if spec.Status != "" {
		h.Status = spec.Status
	}
	h.Name, h.Description = spec.Name, spec.Description
	h.Types, h.Filters = distinct(spec.Types), slices.Clone(spec.Filters)
	h.Policy, h.Channel = policy, channel
	h.EverVerified = h.EverVerified || h.Verified
	h.LastUpdated = stamp(now)
	h.Sealed = sealChannel(a.o.Key, h.ID, channel)
}

// auth is the auth header asked for; its secret may be the kept one.
func (f *findings) auth(asked *AuthSpec, kept *hook.AuthScheme) *hook.AuthScheme {
	if asked == nil {
		return nil
	}
	if kept == nil {
		kept = &hook.AuthScheme{}
	}
	value := asked.value(kept.Key, kept.Value)
	if value == "" {
		f.addf("channel.config.authScheme.value", blank)
	}
	return &hook.AuthScheme{Key: asked.Key, Value: value}
}

// signing moves the signing secret out of the policy, which is kept and shown
// in clear text.
func (f *findings) signing(p *hook.Policy, kept string) string {
	if p.Signing == nil {
		return ""
	}
	secret := p.Signing.Secret
	if secret == "" {
		secret = kept
	}
	if secret == "" {
		f.addf("delivery.signing.secret", blank)
	}
	p.Signing = &hook.Signing{}
	return secret
}

// sameChannel compares what a destination is, and leaves out what it is told:
// a new secret does not make it another destination.
func sameChannel(a, b hook.Channel) bool {
	if (a.Auth == nil) != (b.Auth == nil) || a.Auth != nil && !sameHeader(a.Auth.Key, b.Auth.Key) {
		return false
	}
	return a.URI == b.URI && slices.Equal(a.Headers, b.Headers)
}
