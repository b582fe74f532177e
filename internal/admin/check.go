package admin

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

const (
	maxName        = 255  // characters (Okta: event hooks reference, 2024)
	maxDescription = 4096 // bytes, ours
	maxType        = 255  // bytes, ours
)

const blank = "The field cannot be left blank"

// checkHook looks at what does not depend on anything kept.
func (a *Admin) checkHook(spec *EventHookSpec) findings {
	f := findings(slices.Clone(spec.Found))
	switch n := utf8.RuneCountInString(spec.Name); {
	case strings.TrimSpace(spec.Name) == "":
		f.addf("name", blank)
	case n > maxName:
		f.addf("name", "The name is longer than %d characters", maxName)
	case strings.ContainsFunc(spec.Name, unicode.IsControl):
		f.addf("name", "The name contains a control character")
	}
	if spec.Description != nil && len(*spec.Description) > maxDescription {
		f.addf("description", "The description is longer than %d bytes", maxDescription)
	}
	if spec.Status != "" && spec.Status != hook.Active && spec.Status != hook.Inactive {
		f.addf("status", "%q is neither %s nor %s", clip(string(spec.Status)), hook.Active, hook.Inactive)
	}
	f.checkTypes(spec.Types, a.o.Rules)
	f.checkFilters(spec, a.o.Rules)
	f.checkChannel(&spec.Channel, a.o.CheckURL)
	if spec.Policy != nil {
		if err := spec.Policy.Validate(); err != nil {
			f = append(f, Causes(err)...)
		}
		f.checkSigning(spec.Policy.Signing)
	}
	return f
}

func (f *findings) checkTypes(types []string, rules Rules) {
	if len(types) == 0 {
		f.addf("events.items", blank)
	}
	if len(types) > rules.MaxTypes {
		f.addf("events.items", "At most %d event types can be named", rules.MaxTypes)
		return
	}
	for i, t := range types {
		if !validType(t, rules.Wildcards) {
			f.addf(fmt.Sprintf("events.items[%d]", i), "%q is not an event type", clip(t))
		}
	}
}

// validType lets through every name an event can have, whether Okta's
// catalogue knows it or not: Okta adds types every month.
func validType(t string, wildcards bool) bool {
	name, wild := t, t == "*"
	if prefix, ok := strings.CutSuffix(t, ".*"); ok {
		name, wild = prefix, true
	}
	if wild && !wildcards {
		return false
	}
	return t == "*" || name != "" && len(t) <= maxType &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' })
}

func (f *findings) checkChannel(c *ChannelSpec, checkURL func(string) error) {
	const field = "channel.config."
	if c.URI == "" {
		f.addf(field+"uri", blank)
	} else if err := checkURL(c.URI); err != nil {
		f.addf(field+"uri", "%s", urlTrouble(c.URI, err, checkURL))
	}
	key := ""
	if c.Auth != nil {
		key = c.Auth.Key
		f.checkHeaderName(field+"authScheme.key", key)
		if v := c.Auth.Value; v != nil && *v != "" {
			f.checkHeaderValue(field+"authScheme.value", *v)
		}
	}
	f.checkHeaders(field+"headers", c.Headers, key)
}

// urlTrouble gives Okta's words when the scheme is all that is wrong.
func urlTrouble(uri string, err error, checkURL func(string) error) string {
	const secure = "The URI must begin with https://"
	scheme, rest, _ := strings.Cut(uri, "://")
	switch {
	case strings.EqualFold(scheme, "https"), rest != "" && checkURL("https://"+rest) != nil:
		return err.Error()
	case strings.EqualFold(scheme, "http"):
		return fmt.Sprintf("%s (%v)", secure, err)
	default:
		return secure
	}
}

const signingPrefix = "whsec_"

// checkSigning wants a secret as Standard Webhooks writes it ("Signature
// scheme"). Whether one may be left out depends on what is kept.
func (f *findings) checkSigning(s *hook.Signing) {
	if s == nil || s.Secret == "" {
		return
	}
	text, ok := strings.CutPrefix(s.Secret, signingPrefix)
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) < 24 || len(raw) > 64 {
		f.addf("delivery.signing.secret", "The secret must be %q and the base64 form of 24 to 64 random bytes", signingPrefix)
	}
}

// distinct keeps the first of each type, in the caller's order.
func distinct(types []string) []string {
	seen := make(map[string]bool, len(types))
	return slices.DeleteFunc(slices.Clone(types), func(t string) bool {
		again := seen[t]
		seen[t] = true
		return again
	})
}

func sameHeader(a, b string) bool { return a != "" && strings.EqualFold(a, b) }
