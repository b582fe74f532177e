package scim

import (
	"fmt"
	"strings"
	"testing"
)

// TestMatch lists what matches signIn and what does not, by operator and by
// what the attribute holds.
func TestMatch(t *testing.T) {
	tests := []struct{ name, match, miss string }{
		{"eq text", `eventType eq "user.session.start"`, `eventType eq "User.session.start"`},
		{"ne text", `eventType ne "user.session"`, `eventType ne "user.session.start"`},
		{"co text", `eventType co "session"`, `eventType co "Session"`},
		{"sw text", `eventType sw "user."`, `eventType sw "session"`},
		{"ew text", `eventType ew "start"`, `eventType ew "session"`},
		{"gt text", `eventType gt "user.session"`, `eventType gt "user.session.start"`},
		{"ge text", `eventType ge "user.session.start"`, `eventType ge "user.session.start2"`},
		{"lt text", `eventType lt "v"`, `eventType lt "user.session.start"`},
		{"le text", `eventType le "user.session.start"`, `eventType le "USER"`},
		{"pr text", `eventType pr`, `legacyEventType pr`},
		{"operators in any case", `eventType EQ "user.session.start" AND NOT (outcome.result Eq "SUCCESS") Or eventType PR`, `NOT (eventType Pr)`},

		{"eq number", `securityContext.asNumber eq 64500`, `securityContext.asNumber eq 6450`},
		{"eq number spelt otherwise", `securityContext.asNumber eq 645e2`, `securityContext.asNumber eq 64500.5`},
		{"ne number", `securityContext.asNumber ne 1`, `securityContext.asNumber ne 64500.0`},
		{"gt number", `securityContext.asNumber gt 9999`, `securityContext.asNumber gt 64500`},
		{"ge number", `client.geographicalContext.geolocation.lon ge -122`, `client.geographicalContext.geolocation.lon ge -121.9`},
		{"lt number", `client.geographicalContext.geolocation.lat lt 37.51`, `client.geographicalContext.geolocation.lat lt 37.5`},
		{"le number", `client.geographicalContext.geolocation.lat le 37.5`, `client.geographicalContext.geolocation.lat le 37.49`},
		{"pr number", `authenticationContext.authenticationStep pr`, `securityContext.ipDetails.asNumber pr`},

		{"eq boolean", `securityContext.isProxy eq false`, `securityContext.isProxy eq true`},
		{"ne boolean", `device.managed ne true`, `device.managed ne false`},
		{"pr boolean", `device.managed pr`, `device.registered pr`},

		{"pr object", `client pr and request.ipChain pr and transaction.detail pr`, `actor.detailEntry pr`},
		{"pr empty list", `securityContext.risk.reasons pr`, `securityContext.userBehaviors pr`},
		{"pr empty text", `client.ipAddress pr`, `client.zone pr`},
		{"pr nothing but empty within", `device pr`, `authenticationContext.issuer pr`},

		{"eq null", `legacyEventType eq null`, `eventType eq null`},
		{"eq null, absent", `outcome.reason ne null and actor.detailEntry.x eq null`, `outcome.reason eq null`},
		{"ne null", `eventType ne null`, `legacyEventType ne null`},
		{"no value and eq", `not (legacyEventType eq "x")`, `legacyEventType eq ""`},
		{"no value and ne", `legacyEventType ne "x" and device.name ne "x"`, `not (device.name ne "x")`},
		{"no value and order", `not (device.name lt "x")`, `device.name lt "x" or device.name ge "x"`},

		{"any element", `target.id eq "0oa3"`, `target.id eq "0oa"`},
		{"two elements", `target.id eq "00u2" and target.id eq "0oa3"`, `target.id eq "00u2" and target.id eq "00u9"`},
		{"another element", `target.id ne "00u2"`, `target.alternateId ne "Sales"`},
		{"no element", `not (target.id eq "00u9")`, `not (target.id eq "00u2")`},
		{"a list in a list", `request.ipChain.ipDetails.ipServiceCategories.isAnonymous eq true`, `request.ipChain.ipDetails.ipServiceCategories.type eq "Tor"`},
		{"a list of texts", `securityContext.risk.reasons eq "New IP"`, `securityContext.risk.reasons eq "New"`},
		{"change details", `target.changeDetails.to.status eq "ACTIVE"`, `target.changeDetails.from.status eq "ACTIVE"`},

		{"open, text", `debugContext.debugData.mixed eq "a"`, `debugContext.debugData.mixed eq "5"`},
		{"open, number", `debugContext.debugData.mixed eq 5`, `transaction.detail.n eq "7"`},
		{"open, boolean", `debugContext.debugData.mixed eq true`, `debugContext.debugData.threatSuspected eq false`},
		{"open, deeper", `debugContext.debugData.mixed.deep ge 1`, `debugContext.debugData.mixed.deep gt 1`},
		{"open, another type differs", `transaction.detail.n ne "7"`, `transaction.detail.n ne 7`},
		{"open, object differs", `debugContext.debugData.mixed ne "a"`, `debugContext.debugData.mixed.deep ne 1`},
		{"times", `transaction.detail.expires lt "2026-05-28T09:00:00.001Z"`, `transaction.detail.expires gt "2026-05-28T09:00:00Z"`},
		{"times are equal", `transaction.detail.expires ge "2026-05-28T09:00:00Z"`, `transaction.detail.expires eq "2026-05-28T09:00:00Z"`},
		{"a time and a text", `transaction.detail.expires gt "2026"`, `transaction.detail.requestApiTokenId gt "2026-05-28T09:00:00Z"`},

		{"escapes", `actor.displayName eq "Jane \"J\u00e4n\" Doe"`, `actor.displayName eq "Jane"`},
		{"escapes, partly", `actor.displayName co "\"Jän"`, `actor.displayName co "\\"`},
		{"uri", `debugContext.debugData.requestUri sw "/oauth2" and debugContext.debugData.requestUri ew "token"`, `debugContext.debugData.requestUri eq "/oauth2"`},

		{"and binds tighter than or", `eventType pr or eventType pr and device.name pr`, `(eventType pr or eventType pr) and device.name pr`},
		{"not binds tightest", `not (device.name pr) or eventType pr`, `not (device.name pr or eventType pr)`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !mustParse(t, test.match).Match([]byte(signIn)) {
				t.Errorf("does not match: %s", test.match)
			}
			if mustParse(t, test.miss).Match([]byte(signIn)) {
				t.Errorf("matches: %s", test.miss)
			}
		})
	}
}

// TestDocumentedExamples has the filters of Okta's page on System Log queries,
// with events of that kind and of another.
func TestDocumentedExamples(t *testing.T) {
	tests := []struct{ filter, match, miss string }{
		{`target.id eq "00u7"`, `{"target":[{"id":"00g1"},{"id":"00u7"}]}`, `{"target":null,"actor":{"id":"00u7"}}`},
		{`actor.id ne "00u7"`, `{"actor":{"id":"00u8"}}`, `{"actor":{"id":"00u7"}}`},
		{`eventType eq "user.session.start" and outcome.result eq "FAILURE"`, `{"eventType":"user.session.start","outcome":{"result":"FAILURE"}}`, `{"eventType":"user.session.start","outcome":{"result":"SUCCESS"}}`},
		{`target.id eq "00u7" and target.id eq "0oa8"`, `{"target":[{"id":"0oa8"},{"id":"00u7"}]}`, `{"target":[{"id":"0oa8"}]}`},
		{`client.ipAddress eq "203.0.113.9"`, `{"client":{"ipAddress":"203.0.113.9"}}`, `{"client":{"ipAddress":"203.0.113.90"}}`},
		{`eventType sw "event_hook"`, `{"eventType":"event_hook.created"}`, `{"eventType":"system.event_hook"}`},
		{`eventType co "session"`, `{"eventType":"user.session.end"}`, `{"eventType":"user.sessio"}`},
		{`eventType ew "token"`, `{"eventType":"app.oauth2.as.token"}`, `{"eventType":"app.oauth2.token.grant"}`},
		{`transaction.detail.requestApiTokenId eq "00T9"`, `{"transaction":{"detail":{"requestApiTokenId":"00T9"}}}`, `{"transaction":{"detail":{}}}`},
	}
	for _, test := range tests {
		f := mustParse(t, test.filter)
		if !f.Match([]byte(test.match)) || f.Match([]byte(test.miss)) {
			t.Errorf("%s: got %v and %v", f, f.Match([]byte(test.match)), f.Match([]byte(test.miss)))
		}
	}
}

func TestMatchReadsEventsAsTheyCome(t *testing.T) {
	tests := []struct {
		name, filter, event string
		want                bool
	}{
		{"the last of two members counts", `eventType eq "a"`, `{"eventType":"a","eventType":"b"}`, false},
		{"the last of two objects counts", `actor.id pr`, `{"actor":{"id":"a"},"actor":{}}`, false},
		{"an escaped name", `eventType eq "a"`, `{"event\u0054ype":"a"}`, true},
		{"white space", `actor.id eq "a"`, " {\t\"actor\"\r\n: { \"id\" :\"a\" } }", true},
		{"the chain of an event hook", `request.ipChain.ip eq "a"`, `{"client":{"ipChain":[{"ip":"a"}]}}`, true},
		{"a backslash at the end of text", `actor.id eq "a"`, `{"uuid":"\\","actor":{"id":"a"}}`, true},
		{"braces in text", `actor.id eq "a"`, `{"uuid":"}]{[\\\"","actor":{"id":"a"}}`, true},
		{"an object where text is expected", `eventType eq "a"`, `{"eventType":{"a":"a"}}`, false},
		{"a number where text is expected", `eventType ne "1"`, `{"eventType":1}`, true},
		{"text where an object is expected", `actor.id pr`, `{"actor":"id"}`, false},
		{"objects at the end of a path", `transaction.detail.x ne "a"`, `{"transaction":{"detail":{"x":{}}}}`, true},
		{"names are no values", `actor pr`, `{"actor":{"id":null,"x" :{"y":[]}}}`, false},
		{"values deep within", `actor pr`, `{"actor":{"id":null,"x":{"y":[[false]]}}}`, true},
		{"numbers beyond range", `securityContext.asNumber gt 1e300`, `{"securityContext":{"asNumber":1e999}}`, true},
		{"no object", `not (eventType pr)`, `"eventType"`, true},
		{"no JSON", `eventType pr`, `{"eventType"`, false},
		{"nothing", `eventType pr`, ``, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, test.filter).Match([]byte(test.event)); got != test.want {
				t.Errorf("%s: got %v for %s", test.filter, got, test.event)
			}
		})
	}
}

// TestManyTerms: every term is tried, also where there are more branches than
// the scratch on the stack has room for.
func TestManyTerms(t *testing.T) {
	var terms []string
	for i := range MaxTerms {
		terms = append(terms, fmt.Sprintf("actor.detailEntry.k%d pr", i))
	}
	f := mustParse(t, strings.Join(terms, " or "))
	for i := range MaxTerms {
		if !f.Match(fmt.Appendf(nil, `{"actor":{"detailEntry":{"k%d":1}}}`, i)) {
			t.Errorf("term %d is not tried", i)
		}
	}
	if f.Match([]byte(`{"actor":{"detailEntry":{"k256":1,"k":1,"k0":null}}}`)) {
		t.Error("it matches without a value that does")
	}
}

// TestHostileNesting: what okta would refuse costs time in proportion to its size.
func TestHostileNesting(t *testing.T) {
	f := mustParse(t, `target.id eq "a" or not (target pr)`)
	for _, event := range []string{
		`{"target":` + strings.Repeat("[", 1<<20),
		`{"target":` + strings.Repeat("[", 1<<16) + `{"id":"a"}` + strings.Repeat("]", 1<<16) + "}",
		`{"target":` + strings.Repeat(`{"id":`, 1<<18),
	} {
		f.Match([]byte(event))
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	// What is escaped must be copied, and is left out.
	event := []byte(strings.NewReplacer(`\"`, "", `\u00e4`, "a").Replace(signIn))
	city := []byte(`{"city":"San Francisco"}`)
	f := mustParse(t, `eventType sw "user." and target.id eq "0oa3" and not (client.geographicalContext.geolocation.lat gt 40)`)
	k, err := ParseKeywords("San Francisco")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { f.Match(event) }); n != 0 {
		t.Errorf("a filter: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { k.Match(city) }); n != 0 {
		t.Errorf("keywords: %v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	f := mustParse(b, `eventType eq "user.session.start" and target.id eq "0oa3"`)
	b.SetBytes(int64(len(signIn)))
	b.ReportAllocs()
	for b.Loop() {
		f.Match([]byte(signIn))
	}
}

func BenchmarkKeywords(b *testing.B) {
	k, err := ParseKeywords("jane acme nothing")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(signIn)))
	b.ReportAllocs()
	for b.Loop() {
		k.Match([]byte(signIn))
	}
}
