package admin

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

func sourceSpec(value string) SourceSpec {
	return SourceSpec{Auth: AuthSpec{Key: "Authorization", Value: &value}}
}

func TestSourceSecretsAreKeptSealedAndNotShown(t *testing.T) {
	o := newOffice(t, GatewayRules())
	s := sourceSpec("org secret")
	s.Headers = []hook.Header{{Key: "X-Org", Value: "one"}}
	shown := must[Source](t)(o.CreateSource(ctx, "acme", s))
	if shown.AuthKey != "Authorization" || len(shown.Headers) != 1 || shown.Sealed != nil {
		t.Errorf("shown is %+v", shown)
	}
	if auth := o.source(t, "acme"); auth.Value != "org secret" {
		t.Errorf("receiving sees %+v", auth)
	}
	sources, err := o.store.Sources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	row, err := json.Marshal(sources)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(row, []byte("org secret")) || strings.Contains(o.log.String(), "org secret") {
		t.Errorf("the secret is in clear text: %s %s", row, &o.log)
	}
}

func TestSourcesRefused(t *testing.T) {
	with := func(change func(*SourceSpec)) SourceSpec {
		s := sourceSpec("secret")
		change(&s)
		return s
	}
	for _, c := range []struct {
		name, source string
		spec         SourceSpec
		want         string
	}{
		{"a name that is no label", "Acme Inc", sourceSpec("s"), "name: "},
		{"the reserved name", "grapnel", sourceSpec("s"), "name: "},
		{"no secret", "acme", with(func(s *SourceSpec) { s.Auth.Value = nil }), "auth.value: The field cannot be left blank"},
		{"an empty secret", "acme", sourceSpec(""), "auth.value: The field cannot be left blank"},
		{"a long secret", "acme", sourceSpec(strings.Repeat("x", 8193)), "auth.value: "},
		{"a secret that no header can carry", "acme", sourceSpec("a\nb"), "auth.value: "},
		{"no header", "acme", with(func(s *SourceSpec) { s.Auth.Key = "" }), "auth.key: The field cannot be left blank"},
		{"a reserved header", "acme", with(func(s *SourceSpec) { s.Auth.Key = "Host" }), "auth.key: "},
		{"the auth header twice", "acme", with(func(s *SourceSpec) { s.Headers = []hook.Header{{Key: "authorization"}} }), "auth.headers[0].key: "},
		{"no host", "acme", with(func(s *SourceSpec) { s.Host = "https://acme.okta.example/" }), "host: "},
		{"a secret kept for a year", "acme", with(func(s *SourceSpec) {
			s.Previous = &Previous{Value: "old", Until: time.Now().Add(365 * 24 * time.Hour)}
		}), "previous.until: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice(t, GatewayRules())
			_, err := o.CreateSource(ctx, c.source, c.spec)
			if invalid := wantInvalid(t, err); len(invalid.Causes) != 1 || !strings.HasPrefix(invalid.Causes[0], c.want) {
				t.Errorf("refused with %q, want %q", invalid.Causes, c.want)
			}
		})
	}
}

func TestSourceNamesAreUsedOnce(t *testing.T) {
	o := newOffice(t, GatewayRules())
	must[Source](t)(o.CreateSource(ctx, "acme", sourceSpec("s")))
	_, err := o.CreateSource(ctx, "acme", sourceSpec("s"))
	wantConflict(t, err)
	if err := o.DeleteSource(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	_, err = o.CreateSource(ctx, "acme", sourceSpec("s"))
	wantConflict(t, err)
	_, err = o.Source(ctx, "acme")
	wantNotFound(t, err)
	_, err = o.ReplaceSource(ctx, "acme", sourceSpec("s"))
	wantNotFound(t, err)
	wantNotFound(t, o.DeleteSource(ctx, "acme"))
	wantNotFound(t, o.LearnHost(ctx, "acme", "acme.okta.example"))
}

// Okta never repeats what was answered 401, so a new secret must not shut out
// the old one before somebody has changed it in Okta.
func TestRotation(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name     string
		spec     SourceSpec
		value    string
		previous string
		lasts    time.Duration
	}{
		{"a new secret", sourceSpec("new"), "new", "old", day},
		{"the same secret", sourceSpec("old"), "old", "older", day / 2},
		{"no secret", SourceSpec{Auth: AuthSpec{Key: "authorization"}}, "old", "older", day / 2},
		{"a new secret at once", SourceSpec{Auth: sourceSpec("new").Auth, Previous: NoPrevious()}, "new", "", 0},
		{"the old secret for an hour", SourceSpec{Auth: sourceSpec("new").Auth,
			Previous: &Previous{Until: time.Date(2000, 1, 1, 13, 0, 0, 0, time.UTC)}}, "new", "old", time.Hour},
		{"a third secret", SourceSpec{Auth: sourceSpec("new").Auth, Previous: &Previous{Value: "third"}}, "new", "third", day},
		{"the new secret twice", SourceSpec{Auth: sourceSpec("new").Auth, Previous: &Previous{Value: "new"}}, "new", "", 0},
		{"another header", SourceSpec{Auth: AuthSpec{Key: "X-Key", Value: text("new")}}, "new", "old", day},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, GatewayRules())
				must[Source](t)(o.CreateSource(ctx, "acme", sourceSpec("older")))
				must[Source](t)(o.ReplaceSource(ctx, "acme", sourceSpec("old")))
				<-time.After(day / 2)
				shown := must[Source](t)(o.ReplaceSource(ctx, "acme", c.spec))
				want := hook.SourceAuth{Key: c.spec.Auth.Key, Value: c.value, Previous: c.previous}
				if c.previous != "" {
					want.PreviousKey = "Authorization"
					want.PreviousUntil = time.Now().Add(c.lasts).UTC()
				}
				if diff := cmp.Diff(want, o.source(t, "acme")); diff != "" {
					t.Error(diff)
				}
				if !shown.PreviousUntil.Equal(want.PreviousUntil) {
					t.Errorf("shown until %v, want %v", shown.PreviousUntil, want.PreviousUntil)
				}
			})
		})
	}
}

func TestKeptSecretNeedsItsHeader(t *testing.T) {
	o := newOffice(t, GatewayRules())
	must[Source](t)(o.CreateSource(ctx, "acme", sourceSpec("s")))
	_, err := o.ReplaceSource(ctx, "acme", SourceSpec{Auth: AuthSpec{Key: "X-Other"}})
	wantInvalid(t, err)
}

func TestOneSourcePerOrg(t *testing.T) {
	o := newOffice(t, GatewayRules())
	const host = "acme.okta.example"
	must[Source](t)(o.CreateSource(ctx, "one", sourceSpec("s")))
	if err := o.LearnHost(ctx, "one", "Acme.Okta.example"); err != nil {
		t.Fatal(err)
	}
	if err := o.LearnHost(ctx, "one", "other.okta.example"); err != nil {
		t.Fatal(err)
	}
	if s := must[Source](t)(o.Source(ctx, "one")); s.Host != host {
		t.Errorf("the host is %q, want the first one in lower case", s.Host)
	}

	second := sourceSpec("s")
	second.Host = "ACME.okta.example"
	_, err := o.CreateSource(ctx, "two", second)
	wantConflict(t, err)
	second.Force = true
	must[Source](t)(o.CreateSource(ctx, "two", second))

	must[Source](t)(o.CreateSource(ctx, "three", sourceSpec("s")))
	third := sourceSpec("s")
	third.Host = host
	_, err = o.ReplaceSource(ctx, "three", third)
	wantConflict(t, err)
	if err := o.LearnHost(ctx, "three", host); err != nil {
		t.Fatalf("a delivery that is here already was refused: %v", err)
	}
	if !strings.Contains(o.log.String(), "arrives more than once") {
		t.Errorf("nobody was told: %s", &o.log)
	}
	for _, s := range must[[]Source](t)(o.Sources(ctx)) {
		others := slices.DeleteFunc([]string{"one", "two", "three"}, func(n string) bool { return n == s.Name })
		if !slices.Equal(s.SameHost, others) {
			t.Errorf("%s has the host of %q, want %q", s.Name, s.SameHost, others)
		}
	}
	wantInvalid(t, o.LearnHost(ctx, "one", "not a host"))
}

// One lost secret hides no other source, and can be mended.
func TestLostSourceSecretCanBeReplaced(t *testing.T) {
	o := newOffice(t, GatewayRules())
	must[Source](t)(o.CreateSource(ctx, "acme", sourceSpec("s")))
	must[hook.Source](t)(o.store.UpdateSource(ctx, "acme", func(s *hook.Source) error {
		s.Sealed[len(s.Sealed)-1] ^= 1
		return nil
	}))
	if all := must[[]Source](t)(o.Sources(ctx)); len(all) != 1 || all[0].AuthKey != "" {
		t.Errorf("shown are %+v", all)
	}
	_, err := o.ReplaceSource(ctx, "acme", SourceSpec{Auth: AuthSpec{Key: "Authorization"}})
	wantInvalid(t, err)
	must[Source](t)(o.ReplaceSource(ctx, "acme", sourceSpec("again")))
	if auth := o.source(t, "acme"); auth.Value != "again" || auth.Previous != "" {
		t.Errorf("receiving sees %+v", auth)
	}
}
