package expression

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// rounds is how many seeds a property is tried with.
const rounds = 1000

// each hands a property the same random expressions, each with some documents. It fails if hardly any of the
// expressions compile or hardly any documents match, for then a property would hold of nothing.
func each(t *testing.T, try func(t *testing.T, p *Program, documents []string)) {
	t.Helper()
	compiled, matched, failed := 0, 0, 0
	for seed := range uint64(rounds) {
		r := newRandom(seed)
		source := r.condition(4, false)
		p, err := Compile(source, Gateway)
		if err != nil {
			continue
		}
		compiled++
		documents := []string{r.document(), r.document(), r.document()}
		for _, document := range documents {
			switch judge(p, document).want {
			case "match":
				matched++
			case "error":
				failed++
			}
		}
		try(t, p, documents)
		if t.Failed() {
			t.Fatalf("seed %d, expression %s", seed, source)
		}
	}
	t.Logf("of %d expressions %d compiled; of %d documents %d matched, %d failed", rounds, compiled, 3*compiled, matched, failed)
	if compiled < rounds/2 || matched < compiled/2 || failed < compiled/10 {
		t.Error("the random expressions are too tame or too wild")
	}
}

func TestMatchAgreesWithOracle(t *testing.T) {
	each(t, func(t *testing.T, p *Program, documents []string) {
		for _, document := range documents {
			decoded, err := decode([]byte(document))
			if err != nil {
				t.Fatal(err)
			}
			want, oracleErr := oracle{decoded}.truth(p.root, nil)
			got, err := p.Match(NewDocument([]byte(document)))
			if got != (want && oracleErr == nil) || (err != nil) != (oracleErr != nil) {
				t.Errorf("document %s: got %v, %v; want %v, %v", document, got, err, want, oracleErr)
			}
		}
	})
}

func TestCanonicalFormIsTheSameProgram(t *testing.T) {
	each(t, func(t *testing.T, p *Program, documents []string) {
		for _, document := range documents {
			checkCanonical(t, p, []byte(document))
		}
	})
}

func TestLawsOfLogic(t *testing.T) {
	laws := []struct{ name, law, equals string }{
		{"not not x is x", "!(!(%[1]s))", "%[1]s"},
		{"x and x is x", "(%[1]s) && (%[1]s)", "%[1]s"},
		{"x or x is x", "(%[1]s) || (%[1]s)", "%[1]s"},
		{"x and true is x", "(%[1]s) && true", "%[1]s"},
		{"x or false is x", "false || (%[1]s)", "%[1]s"},
		{"de Morgan", "!((%[1]s) && event.o.b1)", "!(%[1]s) || !event.o.b1"},
	}
	each(t, func(t *testing.T, p *Program, documents []string) {
		for _, law := range laws {
			one := mustCompile(t, fmt.Sprintf(law.law, p), Gateway)
			other := mustCompile(t, fmt.Sprintf(law.equals, p), Gateway)
			for _, document := range documents {
				if got, want := judge(one, document).want, judge(other, document).want; got != want {
					t.Errorf("%s: got %s and %s of document %s", law.name, got, want, document)
				}
			}
		}
	})
}

func TestNumbersCompareAsBigRationals(t *testing.T) {
	r := newRandom(1)
	digits := func(most int) string {
		var b strings.Builder
		for range 1 + r.IntN(most) {
			b.WriteByte("0019"[r.IntN(4)])
		}
		return b.String()
	}
	spell := func() string {
		s := r.pick("", "-") + r.pick("0", "1"+digits(20), "9"+digits(3))
		if r.one(2) {
			s += "." + digits(20)
		}
		if r.one(2) {
			s += r.pick("e", "E") + r.pick("", "+", "-") + fmt.Sprint(r.IntN(30))
		}
		return s
	}
	same := 0
	for range 50_000 {
		a, b := spell(), spell()
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		got, ok := compareNumbers(number([]byte(a)), number([]byte(b)))
		if want := x.Cmp(y); got != want || !ok {
			t.Fatalf("%s and %s: got %d %v, want %d", a, b, got, ok, want)
		}
		if got == 0 {
			same++
		}
	}
	if same == 0 {
		t.Error("no two random numbers were equal")
	}
}

func TestErrorsHaveTheirTypes(t *testing.T) {
	_, err := Compile("event.", Okta)
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("Compile: got %T", err)
	}
	p, err := Compile("event.x > 1", Gateway)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Match(NewDocument([]byte(`{"x":"y"}`)))
	var eval *EvalError
	if !errors.As(err, &eval) {
		t.Fatalf("Match: got %T", err)
	}
	if want := "event.x > 1\n        ^"; eval.Pointer() != want {
		t.Errorf("got\n%s\nwant\n%s", eval.Pointer(), want)
	}
}
