package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// checkSource looks at what does not depend on anything kept.
func (f *findings) checkSource(spec *SourceSpec, now time.Time) {
	if spec.Host != "" && !validHost(spec.Host) {
		f.addf("host", "%q is not a host name", clip(spec.Host))
	}
	f.checkHeaderName("auth.key", spec.Auth.Key)
	if v := spec.Auth.Value; v != nil && *v != "" {
		f.checkHeaderValue("auth.value", *v)
	}
	f.checkHeaders("auth.headers", spec.Headers, spec.Auth.Key)
	if p := spec.Previous; p != nil {
		f.checkHeaderValue("previous.value", p.Value)
		if p.Until.After(now.Add(MaxPrevious)) {
			f.addf("previous.until", "An older secret can be kept for at most %d days", MaxPrevious/(24*time.Hour))
		}
	}
}

// sourceAuth is what requests must show from now on.
func (f *findings) sourceAuth(spec *SourceSpec, old hook.SourceAuth, now time.Time) hook.SourceAuth {
	auth := hook.SourceAuth{
		Key:     spec.Auth.Key,
		Value:   spec.Auth.value(old.Key, old.Value),
		Headers: slices.Clone(spec.Headers),
	}
	if spec.Headers == nil {
		auth.Headers = old.Headers // their values cannot be read back either
	}
	if auth.Value == "" {
		f.addf("auth.value", blank)
	}
	switch p := spec.Previous; {
	case p != nil:
		auth.Previous, auth.PreviousKey, auth.PreviousUntil = p.Value, cmp.Or(old.Key, auth.Key), p.Until
		if auth.Previous == "" {
			auth.Previous = old.Value
		}
		if auth.PreviousUntil.IsZero() {
			auth.PreviousUntil = now.Add(PreviousValidity)
		}
	case auth.Value != old.Value || !sameHeader(auth.Key, old.Key):
		auth.Previous, auth.PreviousKey, auth.PreviousUntil = old.Value, old.Key, now.Add(PreviousValidity)
	default:
		auth.Previous, auth.PreviousKey, auth.PreviousUntil = old.Previous, old.PreviousKey, old.PreviousUntil
	}
	same := auth.Previous == auth.Value && sameHeader(auth.PreviousKey, auth.Key)
	if auth.Previous == "" || same || !auth.PreviousUntil.After(now) {
		auth.Previous, auth.PreviousKey, auth.PreviousUntil = "", "", time.Time{}
	}
	auth.PreviousUntil = auth.PreviousUntil.UTC()
	return auth
}
