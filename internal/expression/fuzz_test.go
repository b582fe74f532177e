package expression

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzCompile(f *testing.F) {
	for _, kind := range []string{"match", "refused", "warned"} {
		for _, pair := range pairs(f, kind) {
			f.Add(pair.expression)
		}
	}
	document := []byte(sampleEvent(f))
	f.Fuzz(func(t *testing.T, source string) {
		_, oktaErr := Compile(source, Okta)
		for _, d := range []Dialect{Okta, Gateway, Inline} {
			p, err := Compile(source, d)
			if err != nil {
				checkRefusal(t, source, err)
				continue
			}
			if d == Gateway {
				leaves := slices.ContainsFunc(p.Warnings(), func(w Warning) bool { return w.Kind == LeavesOkta })
				if leaves == (oktaErr == nil) {
					t.Errorf("warns of leaving the Okta dialect: %v; the Okta dialect says %v", leaves, oktaErr)
				}
			}
			checkCanonical(t, p, document)
		}
		if _, err := Compile(source, Gateway); oktaErr == nil && err != nil {
			t.Errorf("the Okta dialect takes it, the gateway does not: %v", err)
		}
	})
}

func checkRefusal(t *testing.T, source string, err error) {
	t.Helper()
	refusal, ok := err.(*SyntaxError)
	if !ok {
		t.Fatalf("got %T: %v", err, err)
	}
	if refusal.Offset < 0 || refusal.Offset > len(source) || refusal.Position != positionAt(source, refusal.Offset) || refusal.Source != source {
		t.Errorf("position %+v is not in the source", refusal.Position)
	}
	line, caret, ok := strings.Cut(refusal.Pointer(), "\n")
	if !ok || utf8.RuneCountInString(line) > pointerWidth || len(caret) > pointerWidth+1 || strings.Trim(caret, " ") != "^" || refusal.Message == "" {
		t.Errorf("message %q, pointer\n%s", refusal.Message, refusal.Pointer())
	}
}

func checkCanonical(t *testing.T, p *Program, document []byte) {
	t.Helper()
	canonical := p.String()
	if len(canonical) > MaxSource {
		return
	}
	again, err := Compile(canonical, p.Dialect())
	if err != nil {
		t.Fatalf("canonical form %s: %v", canonical, err)
	}
	if again.String() != canonical {
		t.Errorf("canonical form\n%s\nbecomes\n%s", canonical, again)
	}
	if got, want := judge(again, string(document)).want, judge(p, string(document)).want; got != want {
		t.Errorf("canonical form %s: got %s, want %s", canonical, got, want)
	}
}

// FuzzMatch matches an expression of the fuzzer's own and one made from seed with a document of the fuzzer's own and
// one made from seed.
func FuzzMatch(f *testing.F) {
	for i, pair := range pairs(f, "match") {
		f.Add(uint64(i), pair.expression, []byte(pair.verdicts(f)[0].document))
	}
	f.Add(uint64(0), "event.target.?[type eq 'User'].size() > 0", []byte(sampleEvent(f)))
	f.Fuzz(func(t *testing.T, seed uint64, source string, document []byte) {
		sameAsStandard(t, document)
		r := newRandom(seed)
		for _, source := range []string{source, r.condition(4, false)} {
			p, err := Compile(source, Gateway)
			if err != nil {
				continue
			}
			checkMatch(t, p, document)
			random := []byte(r.document())
			checkMatch(t, p, random)
			if !strings.Contains(source, "ipChain") { // of whose two places the oracle knows nothing
				checkOracle(t, p, random)
			}
		}
	})
}

func checkMatch(t *testing.T, p *Program, document []byte) {
	t.Helper()
	doc := NewDocument(document)
	matches, err := p.Match(doc)
	if matches && err != nil {
		t.Errorf("a match and an error at once: %v", err)
	}
	if again, errAgain := p.Match(doc); again != matches || (errAgain != nil) != (err != nil) {
		t.Errorf("first %v, %v; then %v, %v", matches, err, again, errAgain)
	}
	if e, ok := err.(*EvalError); err != nil && (!ok || e.Position != positionAt(p.Source(), e.Offset) || e.Message == "") {
		t.Errorf("got %#v", err)
	}
	negation, errCompile := Compile("!("+p.Source()+")", Gateway)
	if errCompile != nil {
		if !strings.Contains(errCompile.Error(), "nests deeper") && !strings.Contains(errCompile.Error(), "bytes long") {
			t.Errorf("negated: %v", errCompile)
		}
		return
	}
	not, errNot := negation.Match(doc)
	if (errNot != nil) != (err != nil) || err == nil && not == matches {
		t.Errorf("%v, %v; negated %v, %v", matches, err, not, errNot)
	}
}

// checkOracle compares with the oracle where that has an answer; it does not know all methods.
func checkOracle(t *testing.T, p *Program, document []byte) {
	t.Helper()
	decoded, err := decode(document)
	if err != nil {
		t.Fatal(err)
	}
	want, err := oracle{decoded}.truth(p.root, nil)
	if err != nil {
		return
	}
	if got, err := p.Match(NewDocument(document)); got != want || err != nil {
		t.Errorf("document %s: got %v, %v; want %v", document, got, err, want)
	}
}
