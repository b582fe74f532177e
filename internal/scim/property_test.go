package scim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The attributes and values of random filters and events are few, so that they
// often meet.
var (
	textPaths   = []string{"uuid", "eventType", "actor.id", "target.id", "target.type", "request.ipChain.ip"}
	singlePaths = []string{"uuid", "eventType", "actor.id", "outcome.result"}
	openPaths   = []string{"transaction.detail.x", "debugContext.debugData.x", "target.detailEntry.x", "target.detailEntry.x.y"}
	texts       = []string{"a", "ab", "b", "", "ä\\\"", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.5Z"}
	numbers     = []string{"0", "1", "1.0", "-1.5", "1e2"}
)

func drawText(t *rapid.T) string {
	return literal{kind: text, text: []byte(rapid.SampledFrom(texts).Draw(t, "text"))}.String()
}

func drawNumber(t *rapid.T) string { return rapid.SampledFrom(numbers).Draw(t, "number") }

func drawTerm(t *rapid.T) string {
	switch rapid.IntRange(0, 6).Draw(t, "term") {
	case 0:
		paths := slices.Concat(textPaths, openPaths, []string{"target", "client", "actor.detailEntry"})
		return rapid.SampledFrom(paths).Draw(t, "path") + " pr"
	case 1:
		return rapid.SampledFrom([]string{"securityContext.asNumber", openPaths[0]}).Draw(t, "path") +
			rapid.SampledFrom([]string{" eq ", " ne ", " gt ", " GE ", " lt ", " le "}).Draw(t, "op") + drawNumber(t)
	case 2:
		return rapid.SampledFrom([]string{"securityContext.isProxy", openPaths[0], openPaths[3]}).Draw(t, "path") +
			rapid.SampledFrom([]string{" eq ", " NE "}).Draw(t, "op") + rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "truth")
	case 3:
		return rapid.SampledFrom(textPaths).Draw(t, "path") + " eq " + drawText(t)
	default:
		return rapid.SampledFrom(slices.Concat(textPaths, openPaths)).Draw(t, "path") +
			rapid.SampledFrom([]string{" eq ", " ne ", " co ", " sw ", " ew ", " gt ", " ge ", " lt ", " le "}).Draw(t, "op") + drawText(t)
	}
}

func drawFilter(t *rapid.T, depth int) string {
	if depth == 0 {
		return drawTerm(t)
	}
	switch rapid.IntRange(0, 5).Draw(t, "joint") {
	case 0, 1:
		return drawFilter(t, depth-1) + " and " + drawFilter(t, depth-1)
	case 2, 3:
		return drawFilter(t, depth-1) + " OR " + drawFilter(t, depth-1)
	case 4:
		return rapid.SampledFrom([]string{"", "not ", "not"}).Draw(t, "not") + "(" + drawFilter(t, depth-1) + ")"
	}
	return drawTerm(t)
}

// drawValue draws any value; text most often.
func drawValue(t *rapid.T, depth int) string {
	switch rapid.IntRange(0, 9).Draw(t, "value") {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
	case 1:
		return drawNumber(t)
	case 2:
		if depth > 0 {
			return drawList(t, func() string { return drawValue(t, depth-1) })
		}
	case 3:
		if depth > 0 {
			return drawObject(t, depth-1, "x", "y", "id")
		}
	}
	return drawText(t)
}

func drawList(t *rapid.T, element func() string) string {
	elements := make([]string, rapid.IntRange(0, 3).Draw(t, "length"))
	for i := range elements {
		elements[i] = element()
	}
	return "[" + strings.Join(elements, rapid.SampledFrom([]string{",", " ,\n"}).Draw(t, "comma")) + "]"
}

// drawObject draws some members of the names, a name twice now and then.
func drawObject(t *rapid.T, depth int, names ...string) string {
	var members []string
	for _, name := range names {
		for range rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2}).Draw(t, "times") {
			members = append(members, drawMember(t, depth, name))
		}
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func drawMember(t *rapid.T, depth int, name string) string {
	value := ""
	switch name {
	case "target", "ipChain":
		value = drawList(t, func() string { return drawObject(t, depth, "id", "type", "ip", "detailEntry") })
	case "actor", "client", "request", "transaction", "debugContext", "securityContext", "outcome":
		value = drawObject(t, depth, "id", "ipChain", "detail", "debugData", "asNumber", "isProxy", "result")
	case "detail", "debugData", "detailEntry":
		value = drawObject(t, depth, "x")
	case "asNumber":
		value = drawNumber(t)
	default:
		value = drawValue(t, depth)
	}
	if rapid.IntRange(0, 15).Draw(t, "odd") == 0 {
		value = drawValue(t, depth)
	}
	if rapid.IntRange(0, 15).Draw(t, "escaped") == 0 {
		name = fmt.Sprintf(`\u%04x%s`, name[0], name[1:])
	}
	return `"` + name + `": ` + value
}

func drawEvent(t *rapid.T) []byte {
	return []byte(drawObject(t, 2, "uuid", "eventType", "actor", "target", "client", "request", "outcome",
		"transaction", "debugContext", "securityContext"))
}

// parsed draws a filter that parses.
func parsed(t *rapid.T) *Filter {
	source := drawFilter(t, rapid.IntRange(0, 3).Draw(t, "depth"))
	f, err := Parse(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return f
}

func reparsed(t *rapid.T, source string) *Filter {
	f, err := Parse(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return f
}

// TestMatchAgreesWithOracle asks for each filter and its opposite, so that
// every round has a match and a miss.
func TestMatchAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, event := parsed(t), drawEvent(t)
		o, ok := decode(event)
		if !ok {
			t.Fatalf("%s is no JSON", event)
		}
		for _, f := range []*Filter{f, reparsed(t, "not ("+f.String()+")")} {
			if got, want := f.Match(event), o.holds(f, &f.root); got != want {
				t.Fatalf("%s: got %v for %s", f, got, event)
			}
		}
	})
}

func TestStringIsTheSameFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, event := parsed(t), drawEvent(t)
		again := reparsed(t, f.String())
		if again.String() != f.String() {
			t.Fatalf("%s became %s", f, again)
		}
		if again.Match(event) != f.Match(event) {
			t.Fatalf("%s: %v, again %v for %s", f, f.Match(event), again.Match(event), event)
		}
	})
}

func TestLawsOfLogic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, event := parsed(t), parsed(t), drawEvent(t)
		for _, law := range [][2]string{
			{"not ((%[1]s) and (%[2]s))", "not (%[1]s) or not (%[2]s)"},
			{"not ((%[1]s) or (%[2]s))", "not (%[1]s) and not (%[2]s)"},
			{"not (not (%[1]s)) or (%[2]s)", "(%[2]s) or (%[1]s)"},
			{"(%[1]s) and (%[2]s)", "(%[2]s) and (%[1]s)"},
		} {
			one, other := reparsed(t, fmt.Sprintf(law[0], a, b)), reparsed(t, fmt.Sprintf(law[1], a, b))
			if one.Match(event) != other.Match(event) {
				t.Fatalf("%s is not %s for %s", one, other, event)
			}
		}
	})
}

// TestNotEqualIsTheOppositeOfEqual where an attribute has one value or none.
func TestNotEqualIsTheOppositeOfEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path, value := rapid.SampledFrom(singlePaths).Draw(t, "path"), drawText(t)
		event := drawEvent(t)
		if o, _ := decode(event); len(o.values(path)) > 1 {
			return // a list where none belongs
		}
		if reparsed(t, path+" ne "+value).Match(event) == reparsed(t, path+" eq "+value).Match(event) {
			t.Fatalf("%s eq and ne %s are alike for %s", path, value, event)
		}
	})
}

// TestBoundIsSound: every event that matches has one of the values. To have
// bounds in every round, it also asks for an event by its own values.
func TestBoundIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, event := parsed(t), drawEvent(t)
		o, _ := decode(event)
		checkBound(t, f, event, o)
		for _, path := range boundPaths {
			for _, v := range o.values(path) {
				if v, ok := v.(string); ok {
					own := path + " eq " + literal{kind: text, text: []byte(v)}.String()
					either := reparsed(t, fmt.Sprintf(`(%[1]s or not (%[1]s)) and (%s or uuid eq "other" and %[2]s)`, f, own))
					if !checkBound(t, either, event, o) {
						t.Fatalf("%s: matches %s, and has no bound", either, event)
					}
					checkBound(t, reparsed(t, fmt.Sprintf("(%s) and (%s)", own, f)), event, o)
					checkBound(t, reparsed(t, fmt.Sprintf("%s or %s", own, f)), event, o)
				}
			}
		}
	})
}

var boundPaths = []string{"uuid", "eventType", "actor.id", "target.id"}

// checkBound tells whether the event matches and the filter is bounded.
func checkBound(t *rapid.T, f *Filter, event []byte, o oracle) (checked bool) {
	if !f.Match(event) {
		return false
	}
	for _, path := range boundPaths {
		values, ok := f.Bound(path)
		if !ok {
			continue
		}
		checked = true
		if !slices.ContainsFunc(o.values(path), func(v any) bool {
			s, isText := v.(string)
			return isText && slices.Contains(values, s)
		}) {
			t.Fatalf("%s: matches %s, which has no %s of %q", f, event, path, values)
		}
		if !slices.IsSorted(values) || len(slices.Compact(slices.Clone(values))) != len(values) {
			t.Fatalf("%s: %q", f, values)
		}
	}
	return checked
}

func TestKeywordsAgreeWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		event := drawEvent(t)
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "AB", "Ä\\\"", "1", "1.0", "1.5", "-1.5", "true", "2026", "01", "uuid", "null"}), 0, 3).Draw(t, "words")
		k, err := ParseKeywords(strings.Join(words, " "))
		if err != nil {
			t.Fatal(err)
		}
		// Only the last of two members is in a decoded event, so encode it again.
		o, _ := decode(event)
		event, err = json.Marshal(o.event)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := k.Match(event), hasKeywords(k, o.event); got != want {
			t.Fatalf("%q: got %v for %s", words, got, event)
		}
	})
}
