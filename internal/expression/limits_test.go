package expression

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustCompile(t testing.TB, source string, d Dialect) *Program {
	t.Helper()
	p, err := Compile(source, d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got error %v, want one that says %q", err, part)
	}
}

func TestBoundsOfSource(t *testing.T) {
	fits := "event.eventType eq '" + strings.Repeat("x", MaxSource-len("event.eventType eq ''")) + "'"
	mustCompile(t, fits, Okta)
	_, err := Compile(fits+" ", Okta)
	wantError(t, err, "is 8193 bytes long, 8192 at most")
	_, err = Compile(strings.Repeat("ä", MaxSource), Okta)
	wantError(t, err, "is 16384 bytes long")
	_, err = Compile("event.eventType eq 'a\xffb'", Okta)
	wantError(t, err, "column 22: the expression is not valid UTF-8 here")
}

func TestBoundOfDepth(t *testing.T) {
	nests := []struct{ first, open, inner, close string }{
		{"(", "(", "true", ")"},
		{"!", "!", "true", ""},
		{"not ", "not ", "true", ""},
		{"(true || ", "(false && ", "true", ")"},
		{"event.l.?[", "l.?[", "true", "].isEmpty()"},
		{"event.l.![", "l.![", "t", "].isEmpty()"},
		{"event.t.contains(", "event.t.substringAfter(", "'a'", ")"},
	}
	for _, n := range nests {
		deep := func(levels int) string {
			return n.first + strings.Repeat(n.open, levels-1) + n.inner + strings.Repeat(n.close, levels)
		}
		mustCompile(t, deep(MaxDepth), Gateway)
		_, err := Compile(deep(MaxDepth+1), Gateway)
		wantError(t, err, "nests deeper than 64 levels")
	}
	long := "true" + strings.Repeat(" && true", (MaxSource-4)/8)
	mustCompile(t, long, Okta)
}

func TestBoundsOfDocument(t *testing.T) {
	reads := mustCompile(t, "event.x ne 'y'", Gateway)
	match := func(document string) error {
		_, err := reads.Match(NewDocument([]byte(document)))
		return err
	}
	nested := func(levels int) string { return strings.Repeat(`{"x":[`, levels/2) + strings.Repeat(`]}`, levels/2) }
	mustMatch := mustCompile(t, "event.y eq null", Gateway)
	if ok, err := mustMatch.Match(NewDocument([]byte(nested(MaxDocumentDepth)))); !ok || err != nil {
		t.Errorf("at the bound of depth: %v, %v", ok, err)
	}
	wantError(t, match(nested(MaxDocumentDepth+2)), "deeper than 256 levels")
	wantError(t, match(strings.Repeat("[", 1_000_000)), "deeper than 256 levels")
	wantError(t, match("["+strings.Repeat("1,", MaxDocumentValues)+"1]"), "more than 1048576 values")
	wantError(t, match(`{"y":"`+strings.Repeat("x", MaxDocument)+`"}`), "larger than 33554432 bytes")
}

// TestCostOfMatchIsBounded hands Match the dearest expressions that fit. Whatever they take, it ends after MaxSteps.
func TestCostOfMatchIsBounded(t *testing.T) {
	list := func(n int, element string) string {
		return `{"l":[` + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + `]}`
	}
	long := strings.Repeat("a", 1<<20)
	grown := "event.t" + strings.Repeat(".replace('a', '"+strings.Repeat("a", 64)+"')", 8) + " eq 'b'"
	many := `{"t":"x"` + strings.Repeat(`,"y":1`, 500_000) + `}`
	cases := []struct{ name, source, document string }{
		{"a long list", "event.l.?[a eq 1 && b eq 2 || c.contains('x')].size() > 0", list(500_000, "null")},
		{"selections in a row", "event.l" + strings.Repeat(".?[true]", 900) + ".size() > 0", list(10_000, "{}")},
		{"lists in lists", "event.l.?[l.?[l.?[a eq 1].size() > 0].size() > 0].size() > 0", list(60, list(60, list(60, `{"a":2}`)))},
		{"strings that grow", grown, `{"t":"a"}`},
		{"a string that grows at once", "event.t.replace('a', '" + strings.Repeat("b", 8000) + "') eq 'b'", `{"t":"` + long[:100_000] + `"}`},
		{"long strings", "event.l.?[" + strings.Repeat("t.contains('ab') || ", 300) + "false].size() > 0", `{"l":[{"t":"` + long + `"}]}`},
		{"case of long strings", "event.t" + strings.Repeat(".toLowerCase()", 500) + " eq 'b'", `{"t":"` + long + `"}`},
		{"equal long strings", strings.Repeat("event.t ne event.u || ", 300) + "false", `{"t":"` + long + `","u":"` + long + `"}`},
		{"long numbers", strings.Repeat("event.t < event.u || ", 300) + "false", `{"t":1` + long[:0] + strings.Repeat("0", 1<<20) + `,"u":1` + strings.Repeat("0", 1<<20) + `}`},
		{"objects of many members", strings.Repeat("event.z eq 1 || ", 300) + "false", many},
		{"a list searched often", strings.Repeat("event.l.contains('x') || ", 300) + "false", list(10_000, `"y"`)},
		{"arguments in arguments", "event.l.?[" + strings.Repeat("t.contains(t) && ", 300) + "true].size() > 0", list(1000, `{"t":"`+long[:1000]+`"}`)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := mustCompile(t, c.source, Gateway)
			doc := NewDocument([]byte(c.document))
			if _, err := doc.read(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			ok, err := p.Match(doc)
			t.Logf("%v", time.Since(start))
			if ok {
				t.Error("it matches")
			}
			wantError(t, err, "takes more than 200000 steps")
		})
	}
}

func TestTenThousandTargetsAreWithinTheBounds(t *testing.T) {
	document := `{"target":[` + strings.Repeat(`{"id":"1","type":"User","alternateId":"a","displayName":"b"},`, 9_999) +
		`{"id":"2","type":"UserGroup","alternateId":"a","displayName":"Sales"}]}`
	p := mustCompile(t, "event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size() eq 1", Okta)
	doc := NewDocument([]byte(document))
	if ok, err := p.Match(doc); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	m := &machine{program: p, document: doc, steps: MaxSteps}
	if _, err := m.truth(p.root); err != nil {
		t.Fatal(err)
	}
	if took := MaxSteps - m.steps; took < 35_000 || took > 45_000 {
		t.Errorf("it took %d steps; docs/expressions.md says some 40,000", took)
	}
}

// TestDocumentIsReadOnceAndOnlyWhenAsked: many programs share it from many goroutines.
func TestDocumentIsReadOnceAndOnlyWhenAsked(t *testing.T) {
	doc := NewDocument([]byte(sampleEvent(t)))
	if ok, err := mustCompile(t, "true", Okta).Match(doc); !ok || err != nil || doc.index != nil {
		t.Errorf("a program that asks for nothing: %v, %v, read: %v", ok, err, doc.index != nil)
	}
	valid, _ := published(t)
	var programs []*Program
	for _, source := range valid {
		programs = append(programs, mustCompile(t, source, Okta))
	}
	var all sync.WaitGroup
	outcomes := make([]string, 8)
	indexes := make([]*index, len(outcomes))
	for i := range outcomes {
		all.Go(func() {
			for range 50 {
				outcomes[i] = ""
				for _, p := range programs {
					ok, err := p.Match(doc)
					outcomes[i] += fmt.Sprint(ok, err, " ")
				}
			}
			indexes[i] = doc.index
		})
	}
	all.Wait()
	for i := range outcomes {
		if outcomes[i] != outcomes[0] || indexes[i] != indexes[0] || indexes[i] == nil {
			t.Errorf("goroutine %d saw %s, the first one %s", i, outcomes[i], outcomes[0])
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	doc := NewDocument([]byte(sampleEvent(t)))
	valid, _ := published(t)
	for _, source := range append(valid, "event.target.?[type eq 'User'].?[id ne null].size() > 0 && event.published > '2026'") {
		p := mustCompile(t, source, Gateway)
		if n := testing.AllocsPerRun(200, func() {
			if _, err := p.Match(doc); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("%v allocations for %s", n, source)
		}
	}
}

func TestMachineKeepsNothingOfADocument(t *testing.T) {
	for _, size := range []int{keptRoom, 10 * keptRoom} {
		taken := make([]value, size)
		taken[3] = textValue([]byte("secret"))
		m := &machine{taken: taken[:0], element: taken[3]}
		m.release()
		if taken[3].text != nil || m.element.text != nil || cap(m.taken) > keptRoom {
			t.Errorf("room for %d: kept %v", size, taken[3])
		}
	}
}
