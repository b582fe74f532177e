package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/expression"
	"github.com/grapnel-hooks/grapnel/internal/hook"
)

var ctx = context.Background()

const signing = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

// signed is a spec with every kind of secret in it.
func signed(name string) EventHookSpec {
	s := spec(name)
	policy := hook.DefaultPolicy()
	policy.Signing = &hook.Signing{Secret: signing}
	s.Policy = &policy
	s.Channel.URI += "?token=uri-secret"
	s.Channel.Headers = []hook.Header{{Key: "X-Api-Key", Value: "header secret"}}
	return s
}

func TestSecretsAreKeptSealedAndNotShown(t *testing.T) {
	o := newOffice(t, GatewayRules())
	shown := must[EventHook](t)(o.CreateEventHook(ctx, signed("h")))
	kept := o.kept(t, shown.ID)

	if kept.Channel.Auth.Value != "hook secret" || kept.Channel.SigningSecret != signing {
		t.Errorf("delivering sees %+v", kept.Channel)
	}
	row, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hook secret", "header secret", "uri-secret", signing} {
		if bytes.Contains(row, []byte(secret)) {
			t.Errorf("%q is kept in clear text: %s", secret, row)
		}
		if strings.Contains(o.log.String(), secret) {
			t.Errorf("%q is in the log: %s", secret, &o.log)
		}
	}
	if shown.Channel.Auth.Value != "" || shown.Channel.SigningSecret != "" || shown.Policy.Signing.Secret != "" || shown.Sealed != nil {
		t.Errorf("a secret is shown: %+v", shown)
	}
	if shown.Policy.Signing == nil || len(shown.Channel.Headers) != 1 || shown.Channel.URI == "" {
		t.Errorf("what a caller may read is not shown: %+v", shown)
	}
}

func TestSealedChannelsBelongToOneHook(t *testing.T) {
	o := newOffice(t, GatewayRules())
	a := o.kept(t, must[EventHook](t)(o.CreateEventHook(ctx, spec("a"))).ID)
	b := o.kept(t, must[EventHook](t)(o.CreateEventHook(ctx, spec("b"))).ID)
	a.Sealed = b.Sealed
	if err := OpenEventHook(o.key, &a); err == nil || !strings.Contains(err.Error(), a.ID) {
		t.Errorf("the channel of b opened in the place of a: %v", err)
	}
}

// One lost channel hides no other hook, and can be mended.
func TestLostChannelCanBeReplaced(t *testing.T) {
	o := newOffice(t, GatewayRules())
	h := must[EventHook](t)(o.CreateEventHook(ctx, signed("lost")))
	must[EventHook](t)(o.VerifyEventHook(ctx, h.ID))
	must[EventHook](t)(o.CreateEventHook(ctx, spec("other")))
	must[hook.EventHook](t)(o.store.UpdateEventHook(ctx, h.ID, time.Now(), func(h *hook.EventHook, _ []hook.EventHook) error {
		h.Sealed[len(h.Sealed)-1] ^= 1
		return nil
	}))
	if all := must[[]EventHook](t)(o.EventHooks(ctx)); len(all) != 2 || all[0].Channel.URI != "" || all[1].Channel.URI == "" {
		t.Errorf("shown are %+v", all)
	}
	if !strings.Contains(o.log.String(), h.ID) {
		t.Errorf("nobody was told: %s", &o.log)
	}
	s := signed("lost")
	s.Channel.Auth.Value, s.Policy.Signing.Secret = nil, ""
	_, err := o.ReplaceEventHook(ctx, h.ID, s)
	if invalid := wantInvalid(t, err); len(invalid.Causes) != 2 {
		t.Errorf("secrets that are lost were kept: %v", invalid)
	}
	if h = must[EventHook](t)(o.ReplaceEventHook(ctx, h.ID, signed("lost"))); h.Verified {
		t.Error("it is still verified, although nobody knows what was")
	}
	o.kept(t, h.ID)
}

func TestEachKeptChangeIsToldOnce(t *testing.T) {
	o := newOffice(t, GatewayRules())
	var id string
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"create", func() error { h, err := o.CreateEventHook(ctx, spec("h")); id = h.ID; return err }},
		{"replace", func() error { _, err := o.ReplaceEventHook(ctx, id, spec("renamed")); return err }},
		{"verify", func() error { _, err := o.VerifyEventHook(ctx, id); return err }},
		{"deactivate", func() error { _, err := o.DeactivateEventHook(ctx, id); return err }},
		{"activate", func() error { _, err := o.ActivateEventHook(ctx, id); return err }},
		{"deactivate again", func() error { _, err := o.DeactivateEventHook(ctx, id); return err }},
		{"delete", func() error { return o.DeleteEventHook(ctx, id) }},
		{"create source", func() error { _, err := o.CreateSource(ctx, "acme", sourceSpec("s")); return err }},
		{"replace source", func() error { _, err := o.ReplaceSource(ctx, "acme", sourceSpec("s2")); return err }},
		{"learn host", func() error { return o.LearnHost(ctx, "acme", "acme.okta.example") }},
		{"delete source", func() error { return o.DeleteSource(ctx, "acme") }},
	} {
		before := o.changes
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if o.changes != before+1 {
			t.Errorf("%s was told %d times, want once", step.name, o.changes-before)
		}
	}
	before := o.changes
	_, err := o.CreateEventHook(ctx, EventHookSpec{})
	wantInvalid(t, err)
	_, err = o.ActivateEventHook(ctx, id)
	wantNotFound(t, err)
	wantNotFound(t, o.DeleteEventHook(ctx, id))
	if o.changes != before {
		t.Error("a refused change was told")
	}
}

func TestChangeThatIsNotInEffectIsAnError(t *testing.T) {
	o := newOffice(t, GatewayRules())
	o.changed = errors.New("routing is down")
	if _, err := o.CreateEventHook(ctx, spec("h")); !errors.Is(err, o.changed) {
		t.Errorf("got %v, want the error of Changed", err)
	}
}

func TestRulesBoundHooks(t *testing.T) {
	rules := Rules{Dialect: expression.Okta, MaxHooks: 1, MaxTypes: 2}
	o := newOffice(t, rules)
	for _, c := range []struct {
		name  string
		types []string
		want  string
	}{
		{"too many types", []string{"a", "b", "c"}, "events.items: At most 2"},
		{"a wildcard", []string{"user.session.*"}, `events.items[0]: "user.session.*" is not`},
		{"the wildcard", []string{"*"}, `events.items[0]: "*" is not`},
	} {
		s := spec("h")
		s.Types = c.types
		_, err := o.CreateEventHook(ctx, s)
		if invalid := wantInvalid(t, err); !strings.HasPrefix(invalid.Causes[0], c.want) {
			t.Errorf("%s: %v", c.name, invalid)
		}
	}
	s := spec("h")
	s.Filters = []hook.Filter{{Type: "user.session.start", Expression: "event.client.ipAddress eq '198.51.100.7'"}}
	_, err := o.CreateEventHook(ctx, s)
	wantInvalid(t, err)

	must[EventHook](t)(o.CreateEventHook(ctx, spec("first")))
	_, err = o.CreateEventHook(ctx, spec("second"))
	if invalid := wantInvalid(t, err); !strings.HasPrefix(invalid.Causes[0], "eventHook: There are 1") {
		t.Errorf("one hook too many: %v", invalid)
	}
}

func TestReplaceKeepsNamesUnique(t *testing.T) {
	o := newOffice(t, GatewayRules())
	a := must[EventHook](t)(o.CreateEventHook(ctx, spec("a")))
	must[EventHook](t)(o.CreateEventHook(ctx, spec("b")))
	must[EventHook](t)(o.ReplaceEventHook(ctx, a.ID, spec("a")))
	_, err := o.ReplaceEventHook(ctx, a.ID, spec("b"))
	wantInvalid(t, err)
}

// A hook that names a source can still be changed once the source is gone.
func TestDeletedSourceMayStayNamed(t *testing.T) {
	o := newOffice(t, GatewayRules())
	must[Source](t)(o.CreateSource(ctx, "acme", sourceSpec("s")))
	s, policy := spec("h"), hook.DefaultPolicy()
	policy.Sources = []string{"acme"}
	s.Policy = &policy
	h := must[EventHook](t)(o.CreateEventHook(ctx, s))
	if err := o.DeleteSource(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	must[EventHook](t)(o.ReplaceEventHook(ctx, h.ID, s))
	s.Name = "another"
	_, err := o.CreateEventHook(ctx, s)
	wantInvalid(t, err)
}

func TestEverVerifiedStays(t *testing.T) {
	o := newOffice(t, GatewayRules())
	h := must[EventHook](t)(o.CreateEventHook(ctx, spec("h")))
	if h.Owed() {
		t.Error("a new hook is owed events")
	}
	must[EventHook](t)(o.VerifyEventHook(ctx, h.ID))
	s := spec("h")
	s.Channel.URI = "https://elsewhere.example.com/"
	h = must[EventHook](t)(o.ReplaceEventHook(ctx, h.ID, s))
	if h.Verified || !h.EverVerified {
		t.Errorf("after a new channel verified is %v and ever verified %v, want false and true", h.Verified, h.EverVerified)
	}
}

// What was shown to be good must be what is kept.
func TestVerifyOfAReplacedChannelCounts(t *testing.T) {
	o := newOffice(t, GatewayRules())
	h := must[EventHook](t)(o.CreateEventHook(ctx, spec("h")))
	s := spec("h")
	s.Channel.Auth.Value = text("another secret")
	o.verify = func(seen hook.EventHook) error {
		if seen.Channel.Auth.Value != "hook secret" {
			t.Errorf("the handshake sees the secret %q", seen.Channel.Auth.Value)
		}
		_, err := o.ReplaceEventHook(ctx, h.ID, s)
		return err
	}
	_, err := o.VerifyEventHook(ctx, h.ID)
	wantConflict(t, err)
	if o.kept(t, h.ID).Verified {
		t.Error("a channel that nobody tried is verified")
	}
}

func TestFailedVerifyKeepsWhatWasVerified(t *testing.T) {
	o := newOffice(t, GatewayRules())
	h := must[EventHook](t)(o.CreateEventHook(ctx, spec("h")))
	must[EventHook](t)(o.VerifyEventHook(ctx, h.ID))
	o.verify = func(hook.EventHook) error { return errors.New("answered 500") }
	_, err := o.VerifyEventHook(ctx, h.ID)
	if invalid := wantInvalid(t, err); len(invalid.Causes) != 2 || invalid.Causes[1] != "answered 500" {
		t.Errorf("the causes are %q", invalid.Causes)
	}
	if !o.kept(t, h.ID).Verified {
		t.Error("a failed handshake has cleared verification")
	}
}

func TestHoldEndsWithItsReason(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(o *office, id string) error
		ends bool
	}{
		{"activate", func(o *office, id string) error { _, err := o.ActivateEventHook(ctx, id); return err }, true},
		{"verify", func(o *office, id string) error { _, err := o.VerifyEventHook(ctx, id); return err }, true},
		{"new channel", func(o *office, id string) error {
			s := spec("h")
			s.Channel.URI = "https://elsewhere.example.com/"
			_, err := o.ReplaceEventHook(ctx, id, s)
			return err
		}, true},
		{"new name", func(o *office, id string) error { _, err := o.ReplaceEventHook(ctx, id, spec("g")); return err }, false},
		{"deactivate", func(o *office, id string) error { _, err := o.DeactivateEventHook(ctx, id); return err }, false},
		{"deactivate and activate by replacing", func(o *office, id string) error {
			s := spec("h")
			s.Status = hook.Inactive
			_, err := o.ReplaceEventHook(ctx, id, s)
			s.Status = hook.Active
			_, err2 := o.ReplaceEventHook(ctx, id, s)
			return errors.Join(err, err2)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice(t, GatewayRules())
			h := must[EventHook](t)(o.CreateEventHook(ctx, spec("h")))
			must[hook.Hold](t)(o.store.Hold(ctx, h.Number, hook.ReasonGone, time.Now(), time.Time{}))
			if err := c.do(o, h.ID); err != nil {
				t.Fatal(err)
			}
			if ended := o.kept(t, h.ID).Hold.Reason == ""; ended != c.ends {
				t.Errorf("the hold ended: %v, want %v", ended, c.ends)
			}
		})
	}
}

func TestUnknownTypesAreDoubted(t *testing.T) {
	o := newOffice(t, GatewayRules())
	s := spec("h")
	s.Types = []string{"user.session.start", "user.session.*", "*", "user.sesion.start", "user.sesion.*"}
	h := must[EventHook](t)(o.CreateEventHook(ctx, s))
	if len(h.Types) != len(s.Types) || len(h.Warnings) != 2 ||
		!strings.Contains(h.Warnings[0], "user.sesion.start") || !strings.Contains(h.Warnings[1], "user.sesion.*") {
		t.Errorf("types %q, warnings %q", h.Types, h.Warnings)
	}
}
