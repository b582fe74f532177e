package traffic

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// logEvent is as much of an event as the agreements between events need.
type logEvent struct {
	UUID, EventType, Severity string
	DisplayMessage            *string
	Actor                     struct{ ID, Type, AlternateID, DisplayName string }
	Client                    struct {
		IPAddress string
		IPChain   []any
	}
	Outcome struct{ Result, Reason string }
	Target  []struct{ ID, Type, AlternateID, DisplayName string }

	Transaction           struct{ ID, Type string }
	DebugContext          struct{ DebugData map[string]string }
	AuthenticationContext struct{ ExternalSessionID string }
}

// workday returns a clock of an office where something happens every 40 ms.
func workday() func() time.Time {
	now := time.Date(2026, 5, 28, 7, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(40*time.Millisecond + 300*time.Nanosecond)
		return now
	}
}

const many = 12_000

// A told is an event and what it says, read once for all tests.
type told struct {
	logEvent
	event Event
}

var day = sync.OnceValues(func() ([]told, error) {
	g := New(Options{Seed: 2, Now: workday(), HookID: "who1", People: 60})
	all := make([]told, many)
	for i := range all {
		all[i].event = g.Next()
		if err := json.Unmarshal(all[i].event.JSON, &all[i].logEvent); err != nil {
			return nil, fmt.Errorf("%w in %s", err, all[i].event.JSON)
		}
	}
	return all, nil
})

func readDay(t *testing.T) []told {
	t.Helper()
	all, err := day()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSameSeedSameDay(t *testing.T) {
	a, b := New(Options{Seed: 7, Now: workday()}), New(Options{Seed: 7, Now: workday()})
	other := New(Options{Seed: 8, Now: workday()})
	differs := false
	for i := range 5000 {
		x, y := a.Next(), b.Next()
		if string(x.JSON) != string(y.JSON) || x.UUID != y.UUID || x.EventType != y.EventType || x.Published != y.Published {
			t.Fatalf("event %d:\n%s\n%s", i, x.JSON, y.JSON)
		}
		differs = differs || string(other.Next().JSON) != string(x.JSON)
	}
	if !differs {
		t.Error("another seed gives the same day")
	}
}

// What the generator makes must be what the parser of real deliveries reads.
func TestEventsParseAsDelivery(t *testing.T) {
	g := New(Options{Seed: 1, Now: workday(), HookID: `who"1`, Org: `a"b.example`})
	var events []Event
	e := okta.Envelope{Source: "https://acme-dev.okta.example/api/v1/eventHooks/who1", EventTime: time.Now()}
	for range many / 4 {
		event := g.Next()
		events, e.Events = append(events, event), append(e.Events, event.JSON)
	}
	d, err := okta.ParseDelivery(okta.AppendEnvelope(nil, e))
	if err != nil || len(d.Rejected) != 0 || len(d.Events) != len(events) {
		t.Fatalf("%v, rejected %v", err, d)
	}
	for i, got := range d.Events {
		want := events[i]
		if got.UUID != want.UUID || got.EventType != want.EventType || !got.Published.Equal(want.Published) || string(got.Raw) != string(want.JSON) {
			t.Fatalf("event %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestTypes(t *testing.T) {
	count := map[string]int{}
	for _, le := range readDay(t) {
		e := le.event
		count[le.EventType]++
		if le.EventType != e.EventType || le.UUID != e.UUID || le.DisplayMessage == nil || *le.DisplayMessage == "" {
			t.Fatalf("%s", e.JSON)
		}
		if le.DebugContext.DebugData["targetEventHookIds"] != "who1" {
			t.Fatalf("hook id missing: %s", e.JSON)
		}
	}
	if len(count) < 90 {
		t.Errorf("%d types", len(count))
	}
	catalogue := okta.Catalogue()
	for name := range messages {
		entry, ok := catalogue.Lookup(name)
		if !ok || !entry.Eligible || entry.Visibility != okta.Public {
			t.Errorf("%s is not a public type that a hook may list", name)
		}
		if count[name] == 0 {
			t.Errorf("%s never happens", name)
		}
	}
	for name := range count {
		if _, ok := messages[name]; !ok {
			t.Errorf("%s has no message", name)
		}
	}
	daily := count["user.session.start"] + count["user.authentication.sso"] + count["user.authentication.auth_via_mfa"]
	if daily < many/2 {
		t.Errorf("only %d of %d events are everyday ones", daily, many)
	}
}

// Forty types must be within reach of a short demo too.
func TestTypesComeSoon(t *testing.T) {
	g, seen := New(Options{Seed: 3}), map[string]bool{}
	for range 3000 {
		seen[g.Next().EventType] = true
	}
	if len(seen) < 40 {
		t.Errorf("%d types in 3000 events", len(seen))
	}
}

// A version 1 UUID's time parts, put in order, sort as the events do.
func TestUUIDsAreUniqueAndOrdered(t *testing.T) {
	frozen := time.Date(2026, 5, 28, 7, 0, 0, 0, time.UTC)
	for name, now := range map[string]func() time.Time{"running": workday(), "standing still": func() time.Time { return frozen }} {
		g := New(Options{Seed: 4, Now: now})
		seen, last := map[string]bool{}, ""
		for i := range many / 4 {
			e := g.Next()
			if i%10 == 0 {
				e = g.Sized(1100)
			}
			p := strings.Split(e.UUID, "-")
			if len(p) != 5 || len(e.UUID) != 36 || p[2][0] != '1' || !strings.Contains("89ab", p[3][:1]) {
				t.Fatalf("%s: not a version 1 UUID: %s", name, e.UUID)
			}
			if order := p[2] + p[1] + p[0]; seen[e.UUID] || order <= last {
				t.Fatalf("%s: %s after %s", name, order, last)
			} else {
				seen[e.UUID], last = true, order
			}
			var ticks uint64
			if _, err := fmt.Sscanf(p[2][1:]+p[1]+p[0], "%x", &ticks); err != nil {
				t.Fatal(err)
			}
			if at := time.UnixMilli((int64(ticks) - gregorian) / 10_000).UTC(); at != e.Published {
				t.Fatalf("%s: the UUID says %v, published %v", name, at, e.Published)
			}
		}
	}
}

// Sessions: started by their owner, used by nobody else, not used after an end.
func TestSessionsAgree(t *testing.T) {
	owner, ended, current := map[string]string{}, map[string]bool{}, map[string]string{}
	used := 0
	for _, le := range readDay(t) {
		session := le.AuthenticationContext.ExternalSessionID
		start := le.EventType == "user.session.start"
		switch {
		case start && le.Outcome.Result == "SUCCESS":
			if owner[session] != "" || session == "" {
				t.Fatalf("session %q started twice or without an id", session)
			}
			owner[session], current[le.Actor.ID] = le.Actor.ID, session
		case start && session != "":
			t.Fatalf("a failed sign-in has session %q", session)
		case session != "":
			used++
			if owner[session] != le.Actor.ID || ended[session] {
				t.Fatalf("%s by %s in session %s of %q, ended %v", le.EventType, le.Actor.ID, session, owner[session], ended[session])
			}
		}
		if le.EventType == "user.session.end" || le.EventType == "user.session.clear" {
			ended[current[le.Target[0].ID]] = true
		}
	}
	if used < many/2 || len(ended) < 100 {
		t.Errorf("%d events in sessions, %d ended", used, len(ended))
	}
}

func TestPeopleAgree(t *testing.T) {
	identity, logins := map[string]string{}, map[string]string{}
	created := map[string]bool{}
	check := func(id, kind, login, name string) {
		if kind != "User" {
			return
		}
		if !strings.HasPrefix(id, "00u") || len(id) != 20 || !strings.HasSuffix(login, ".example") {
			t.Fatalf("user %s %s %s", id, login, name)
		}
		if other, ok := identity[id]; ok && other != login+name {
			t.Fatalf("%s is %s and %s", id, other, login+name)
		}
		if other, ok := logins[login]; ok && other != id {
			t.Fatalf("%s belongs to %s and %s", login, other, id)
		}
		identity[id], logins[login] = login+name, id
	}
	for _, le := range readDay(t) {
		check(le.Actor.ID, le.Actor.Type, le.Actor.AlternateID, le.Actor.DisplayName)
		for _, target := range le.Target {
			if le.EventType == "user.lifecycle.create" {
				if _, known := identity[target.ID]; known || created[target.ID] {
					t.Fatalf("%s was known before it was created", target.ID)
				}
				created[target.ID] = true
			}
			check(target.ID, target.Type, target.AlternateID, target.DisplayName)
		}
	}
	if len(created) < 20 {
		t.Errorf("only %d people hired", len(created))
	}
}

func TestTargetsSuitTheType(t *testing.T) {
	want := map[string][]string{
		"group.user_membership.":           {"User", "UserGroup"},
		"application.user_membership.":     {"AppInstance", "AppUser", "User"},
		"application.provision.user.":      {"AppInstance", "AppUser", "User"},
		"group.application_assignment.":    {"AppInstance", "UserGroup"},
		"user.authentication.sso":          {"AppInstance", "AppUser"},
		"user.mfa.factor.activate":         {"AuthenticatorEnrollment", "User"},
		"user.mfa.factor.update":           {"AuthenticatorEnrollment", "User"},
		"user.authentication.auth_via_mfa": {"AuthenticatorEnrollment", "User"},
		"user.lifecycle.":                  {"User"},
		"user.account.":                    {"User"},
		"device.user.":                     {"Device", "User"},
		"policy.rule.":                     {"PolicyEntity", "PolicyRule"},
	}
	met := map[string]bool{}
	for _, le := range readDay(t) {
		var kinds []string
		for _, target := range le.Target {
			kinds = append(kinds, target.Type)
		}
		slices.Sort(kinds)
		if len(kinds) == 0 {
			t.Fatalf("%s has no target", le.EventType)
		}
		for prefix, expected := range want {
			if strings.HasPrefix(le.EventType, prefix) {
				met[prefix] = true
				if !slices.Equal(kinds, expected) {
					t.Fatalf("%s has targets %v", le.EventType, kinds)
				}
			}
		}
		if le.EventType == "user.account.update_profile" && le.DebugContext.DebugData["changedAttributes"] == "" {
			t.Fatal("a profile changed without saying what")
		}
		if (le.Outcome.Result == "SUCCESS") != (le.Outcome.Reason == "") && le.Outcome.Result != "RATE_LIMIT" {
			t.Fatalf("%s: outcome %+v", le.EventType, le.Outcome)
		}
	}
	if len(met) != len(want) {
		t.Errorf("only met %v", met)
	}
}

// Nobody is added to what they are in, or removed from what they are not in, and
// an account at an app keeps its id.
func TestMembershipsAgree(t *testing.T) {
	member, accounts := map[string]bool{}, map[string]string{}
	changes := 0
	for _, le := range readDay(t) {
		id := map[string]string{}
		for _, target := range le.Target {
			id[target.Type] = target.ID
			if target.Type == "AppUser" {
				id["login"] = target.AlternateID
			}
		}
		if account := id["AppUser"]; account != "" {
			at := id["login"] + " at " + id["AppInstance"]
			if len(account) != 20 || accounts[account] != "" && accounts[account] != at {
				t.Fatalf("account %s is %s and %s", account, accounts[account], at)
			}
			accounts[account] = at
		}
		var what string
		var now bool
		switch le.EventType {
		case "group.user_membership.add", "group.user_membership.remove":
			what, now = id["User"]+" in "+id["UserGroup"], le.EventType == "group.user_membership.add"
		case "application.user_membership.add", "application.user_membership.remove":
			what, now = id["User"]+" in "+id["AppInstance"], le.EventType == "application.user_membership.add"
		default:
			continue
		}
		if was, known := member[what]; known && was == now {
			t.Fatalf("%s twice: %s", le.EventType, what)
		} else if known {
			changes++
		}
		member[what] = now
	}
	if changes < 50 {
		t.Errorf("only %d memberships came and went", changes)
	}
}

// Events of one operation share its transaction and nothing else does.
func TestTransactionsAgree(t *testing.T) {
	owner, shared := map[string]string{}, map[string]int{}
	jobs := 0
	for _, le := range readDay(t) {
		tx := le.Transaction
		who := tx.Type + " " + le.Actor.ID
		if other, ok := owner[tx.ID]; ok && other != who {
			t.Fatalf("transaction %s of %s and %s", tx.ID, other, who)
		}
		owner[tx.ID] = who
		shared[tx.ID]++
		switch tx.Type {
		case "WEB":
			if le.DebugContext.DebugData["requestId"] != tx.ID || le.Client.IPAddress == "" || len(le.Client.IPChain) != 1 {
				t.Fatalf("%s: a request without its marks", le.EventType)
			}
		case "JOB":
			jobs++
			if le.Client.IPAddress != "" || le.Client.IPChain == nil || len(le.Client.IPChain) != 0 {
				t.Fatalf("%s: a job with a client", le.EventType)
			}
		default:
			t.Fatalf("transaction type %q", tx.Type)
		}
	}
	several := 0
	for _, n := range shared {
		if n > 1 {
			several++
		}
	}
	if several < 500 || jobs < 300 {
		t.Errorf("%d transactions of several events, %d jobs", several, jobs)
	}
}

// Both forms occur: nulls written out, and the sparse job without them.
func TestForms(t *testing.T) {
	full, sparse, sizes := 0, 0, []int{}
	for _, le := range readDay(t) {
		text := string(le.event.JSON)
		sizes = append(sizes, len(text))
		if strings.HasSuffix(text, `,"insertionTimestamp":null}`) {
			full++
			continue
		}
		sparse++
		if strings.Contains(text, ":null") || !strings.Contains(text, `,"client":{"ipChain":[]},"actor":`) {
			t.Fatalf("not sparse: %s", text)
		}
	}
	slices.Sort(sizes)
	t.Logf("bytes: least %d, median %d, most %d", sizes[0], sizes[many/2], sizes[many-1])
	if sparse < many/100 || sparse > many/5 {
		t.Errorf("%d full, %d sparse", full, sparse)
	}
	if median := sizes[many/2]; median < 1700 || median > 2300 || sizes[many-1] > 3000 {
		t.Errorf("median %d, most %d bytes", median, sizes[many-1])
	}
}

func TestSized(t *testing.T) {
	g := New(Options{Seed: 12, Now: workday(), HookID: "whoa1b2c3d4e5f6g7h8i"})
	for n := 1060; n < 1160; n++ {
		if e := g.Sized(n); len(e.JSON) != n || !json.Valid(e.JSON) || e.EventType != "user.session.start" {
			t.Fatalf("%d bytes instead of %d: %s", len(e.JSON), n, e.JSON)
		}
	}
	if e := g.Sized(50_000); len(e.JSON) != 50_000 || !json.Valid(e.JSON) {
		t.Errorf("%d bytes", len(e.JSON))
	}
	if e := g.Sized(0); len(e.JSON) > 1030 || !json.Valid(e.JSON) {
		t.Errorf("the smallest has %d bytes", len(e.JSON))
	}
}

// The staff neither dies out nor grows, and no list grows with the events.
func TestOrgKeepsItsSize(t *testing.T) {
	g := New(Options{Seed: 13, People: MinPeople - 5})
	for range 50_000 {
		g.Next()
	}
	if staff := len(g.org.people) + len(g.org.admins); staff < MinPeople-concurrent || staff > MinPeople+concurrent {
		t.Errorf("%d people", staff)
	}
	if len(g.org.names) > len(firstNames)*len(lastNames) || len(g.org.groups) != len(groupNames) || len(g.active) > concurrent {
		t.Errorf("%d names, %d groups, %d stories", len(g.org.names), len(g.org.groups), len(g.active))
	}
	for _, p := range g.org.people {
		if len(p.factors) > 6 || len(p.groups) > len(groupNames) || len(p.apps) > len(appNames) {
			t.Errorf("%s has %d factors, %d groups, %d apps", p.login, len(p.factors), len(p.groups), len(p.apps))
		}
	}
}

func BenchmarkNext(b *testing.B) {
	g := New(Options{Seed: 1})
	b.ReportAllocs()
	for b.Loop() {
		g.Next()
	}
}

func BenchmarkSized(b *testing.B) {
	g := New(Options{Seed: 1})
	b.ReportAllocs()
	for b.Loop() {
		g.Sized(1300)
	}
}
