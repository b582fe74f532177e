package scim

import (
	"errors"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	tests := []struct {
		filter   string
		problem  Problem
		position int
		says     string
	}{
		{``, Syntax, 0, "is empty; write a comparison"},
		{" \t", Syntax, 0, "is empty"},
		{`displayMessage eqq "Create Okta user"`, Syntax, 15, "eqq cannot stand here; write one of the operators eq, ne, co,"},
		{`eventType`, Syntax, 9, "breaks off; write one of the operators"},
		{`eventType "a"`, Syntax, 10, "write one of the operators"},
		{`eventType eq`, Syntax, 12, "breaks off; write text in double quotes"},
		{`eventType eq user.session.start`, Syntax, 13, "user.session.start cannot stand here; write text in double quotes"},
		{`eventType eq 'a'`, Syntax, 13, "double quotes, not in single"},
		{`eventType eq "a`, Syntax, 13, "never ends"},
		{`eventType eq "a\"`, Syntax, 13, "never ends"},
		{`eventType eq "a\`, Syntax, 13, "never ends"},
		{`eventType eq "\d"`, Syntax, 13, "no JSON string"},
		{"eventType eq \"a\nb\"", Syntax, 13, "no JSON string"},
		{`eventType eq "ä" eventType pr`, Syntax, 17, "eventType cannot stand here; write and, or, or the end"},
		{`eventType pr and`, Syntax, 16, "breaks off; write a comparison"},
		{`and eventType pr`, Syntax, 0, "and cannot stand here; write a comparison"},
		{`"eventType" pr`, Syntax, 0, "write a comparison"},
		{`()`, Syntax, 1, ") cannot stand here"},
		{`(eventType pr`, Syntax, 0, "never closed; add a )"},
		{`eventType pr)`, Syntax, 12, ") cannot stand here"},
		{`(eventType pr actor pr)`, Syntax, 14, "write and, or, or )"},
		{`not eventType pr`, Syntax, 4, "( behind not"},
		{`not`, Syntax, 3, "( behind not"},
		{`target[type eq "User"]`, Syntax, 6, "value paths with [ ]"},
		{`target.type[`, Syntax, 11, "join two comparisons by and"},
		{`eventType eq True`, Syntax, 13, "True cannot stand here"},
		{`securityContext.asNumber eq 07`, Syntax, 28, "07 cannot stand here"},
		{`securityContext.asNumber eq +7`, Syntax, 28, "+7 cannot stand here"},
		{`securityContext.asNumber eq 0x7`, Syntax, 28, "0x7 cannot stand here"},
		{`securityContext.asNumber eq NaN`, Syntax, 28, "NaN cannot stand here"},
		{"eventType eq \"\xff\"", Syntax, 14, "not UTF-8"},
		{`.eventType pr`, Syntax, 0, "no name of an attribute"},
		{`actor..id pr`, Syntax, 0, "no name of an attribute"},
		{`actor. pr`, Syntax, 0, "no name of an attribute"},
		{`4 eq 4`, Syntax, 0, "no name of an attribute"},
		{`urn:actor pr`, Syntax, 0, "no name of an attribute"},

		{`some_invalid_field eq "a"`, UnknownField, 0, "there is no attribute some_invalid_field: there are actor, "},
		{`event_type eq "a"`, UnknownField, 0, "write eventType"},
		{`eventtype eq "a"`, UnknownField, 0, "write eventType"},
		{`eventType pr and Actor.Id eq "a"`, UnknownField, 17, "write actor"},
		{`actor.ID eq "a"`, UnknownField, 0, "write actor.id"},
		{`eventType.name eq "a"`, UnknownField, 0, "eventType has none within"},
		{`published gt "2026-01-01T00:00:00Z"`, UnknownField, 0, "use the parameters since and until"},
		{`target.changeDetails pr`, UnknownField, 0, "cannot be used alone"},
		{`target.changeDetails.from pr`, UnknownField, 0, "cannot be used alone"},
		{`target.changeDetails.to eq "a"`, UnknownField, 0, "cannot be used alone"},
		{`actor.changeDetails.to.x eq "a"`, UnknownField, 0, "there is no attribute"},
		{`client.ipChain.ip eq "a"`, UnknownField, 0, "there is no attribute"},

		{`debugContext.debugData.url co "/oauth/"`, Unsupported, 27, "co cannot be used with debugContext.debugData.url: use sw, ew or eq"},
		{`debugContext.debugData.requestUri CO "a"`, Unsupported, 34, "co cannot be used with"},
		{`actor eq "a"`, Unsupported, 6, "is an object; use pr"},
		{`transaction.detail eq "a"`, Unsupported, 19, "is an object; use pr"},
		{`securityContext.asNumber sw "6"`, Unsupported, 25, "holds numbers"},
		{`securityContext.isProxy gt false`, Unsupported, 24, "holds true or false"},

		{`securityContext.isProxy eq "true"`, Syntax, 27, "write true or false, without double quotes"},
		{`securityContext.isProxy eq 1`, Syntax, 27, "write true or false, without double quotes"},
		{`securityContext.asNumber eq "1"`, Syntax, 28, "write a number, without double quotes"},
		{`eventType eq 1`, Syntax, 13, "write text, in double quotes"},
		{`transaction.detail.x co 1`, Syntax, 24, "co needs text; put 1 in double quotes"},
		{`transaction.detail.x gt true`, Syntax, 24, "true has no order"},
		{`eventType gt null`, Syntax, 13, "null has no order"},
	}
	for _, test := range tests {
		_, err := Parse(test.filter)
		var refusal *Error
		if !errors.As(err, &refusal) {
			t.Errorf("%s: got %v", test.filter, err)
			continue
		}
		if refusal.Problem != test.problem || refusal.Position != test.position || !strings.Contains(refusal.Message, test.says) {
			t.Errorf("%s:\n got %s %d %s\nwant %s %d %s", test.filter, refusal.Problem, refusal.Position, refusal.Message, test.problem, test.position, test.says)
		}
	}
}

func TestErrorSaysWhere(t *testing.T) {
	_, err := Parse(`actor eq "a"`)
	if want := "eq cannot be used with actor: it is an object; use pr, or name an attribute within it (at position 6)"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	_, err = Parse(`eventType eq ` + strings.Repeat("ä", 100))
	if want := strings.Repeat("ä", shown) + "… cannot"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestString(t *testing.T) {
	tests := []struct{ source, want string }{
		{" eventType\tEQ \"a\" ", `eventType eq "a"`},
		{`eventType eq"a"and(actor pr)`, `eventType eq "a" and actor pr`},
		{`((uuid pr))`, `uuid pr`},
		{`uuid pr or (actor pr or client pr)`, `uuid pr or actor pr or client pr`},
		{`uuid pr and (actor pr and client pr)`, `uuid pr and actor pr and client pr`},
		{`uuid pr or (actor pr and client pr)`, `uuid pr or actor pr and client pr`},
		{`uuid pr and (actor pr or client pr)`, `uuid pr and (actor pr or client pr)`},
		{`NOT(uuid pr)`, `not (uuid pr)`},
		{`not ((uuid pr and actor pr))`, `not (uuid pr and actor pr)`},
		{`not (not (uuid pr))`, `not (not (uuid pr))`},
		{`displayMessage eq "\u00e4<&>\/\"\\\n"`, `displayMessage eq "ä<&>/\"\\\n"`},
		{`securityContext.asNumber eq 1.50E+1`, `securityContext.asNumber eq 1.50E+1`},
		{`device.managed eq true or device.managed ne false or device.id eq null`, `device.managed eq true or device.managed ne false or device.id eq null`},
		{`transaction.detail.and-or_not.not eq 1`, `transaction.detail.and-or_not.not eq 1`},
	}
	for _, test := range tests {
		if got := mustParse(t, test.source).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.source, got, test.want)
		}
	}
}

func TestBoundsOfFilter(t *testing.T) {
	wantRefusal := func(source, says string) {
		t.Helper()
		if _, err := Parse(source); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	fits := `uuid eq "` + strings.Repeat("x", MaxLength-len(`uuid eq ""`)) + `"`
	mustParse(t, fits)
	wantRefusal(fits+" ", "8193 bytes long, at most 8192")

	nest := func(open string, levels int) string {
		return strings.Repeat(open, levels) + "uuid pr" + strings.Repeat(")", levels)
	}
	for _, open := range []string{"(", "not (", "uuid pr or ("} {
		mustParse(t, nest(open, MaxDepth))
		wantRefusal(nest(open, MaxDepth+1), "deeper than 32 levels")
	}
	mustParse(t, strings.Repeat("(uuid pr) and ", MaxDepth+1)+"uuid pr") // side by side is not deep

	many := func(terms int) string { return strings.Repeat("uuid pr or ", terms-1) + "uuid pr" }
	mustParse(t, many(MaxTerms))
	wantRefusal(many(MaxTerms+1), "more than 256 comparisons")
}

func TestBound(t *testing.T) {
	tests := []struct{ attribute, filter, want string }{
		{"eventType", `eventType eq "b" or eventType eq "a" or eventType eq "b"`, "a b"},
		{"eventType", `(eventType eq "a" or eventType eq "b") and actor.id eq "x"`, "a b"},
		{"actor.id", `(eventType eq "a" or eventType eq "b") and actor.id eq "x"`, "x"},
		{"eventType", `(eventType eq "a" or eventType eq "b") and eventType eq "c"`, "c"},
		{"target.id", `target.id eq "a" and (target.id eq "b" or target.id eq "c")`, "a"},
		{"uuid", `uuid eq "u" and not (severity eq "DEBUG")`, "u"},
		{"eventType", `eventType eq "a" or actor.id eq "x"`, "unknown"},
		{"eventType", `eventType sw "a"`, "unknown"},
		{"eventType", `eventType ne "a"`, "unknown"},
		{"eventType", `eventType eq null`, "unknown"},
		{"eventType", `eventType pr`, "unknown"},
		{"eventType", `not (eventType eq "a")`, "unknown"},
		{"eventType", `not (eventType ne "a")`, "a"},
		{"eventType", `not (eventType ne "a" and eventType ne "b")`, "a b"},
		{"eventType", `not (eventType ne "a" or actor pr)`, "a"},
		{"eventType", `not (not (eventType eq "a"))`, "a"},
		{"published", `eventType eq "a"`, "unknown"},
		{"securityContext.asNumber", `securityContext.asNumber eq 1`, "unknown"},
	}
	for _, test := range tests {
		values, ok := mustParse(t, test.filter).Bound(test.attribute)
		got := strings.Join(values, " ")
		if !ok {
			got = "unknown"
		}
		if got != test.want {
			t.Errorf("%s of %s: got %s, want %s", test.attribute, test.filter, got, test.want)
		}
		if !ok && values != nil {
			t.Errorf("%s of %s: %v although nothing is known", test.attribute, test.filter, values)
		}
	}
}
