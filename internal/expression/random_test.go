package expression

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// random makes expressions of the Gateway dialect and documents that they often find something in. The same seed
// makes the same. Types are mostly right, so that most expressions compile and many documents match.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 7))} }

func (r random) pick(from ...string) string { return from[r.IntN(len(from))] }

func (r random) one(in int) bool { return r.IntN(in) == 0 }

// condition makes a condition; in brackets, element is true.
func (r random) condition(depth int, element bool) string {
	if depth <= 0 {
		return r.comparison(element)
	}
	switch r.IntN(8) {
	case 0:
		return r.condition(depth-1, element) + r.pick(" && ", " and ", "&&") + r.condition(depth-1, element)
	case 1:
		return r.condition(depth-1, element) + r.pick(" || ", " OR ", "||") + r.condition(depth-1, element)
	case 2:
		return "(" + r.condition(depth-1, element) + ")"
	case 3:
		return r.pick("!", "not ") + "(" + r.condition(depth-1, element) + ")"
	case 4:
		return r.list(depth, element) + ".size() " + r.pick("> ", "eq ", "<=") + fmt.Sprint(r.IntN(3))
	case 5:
		return r.pick("", "!", "!!") + r.list(depth, element) + r.pick(".isEmpty()", ".contains('a')", ".contains(1)")
	case 6:
		return r.text(element) + "." + r.pick("contains", "startsWith") + "(" + r.pick("'a'", "''", "'ab'", r.text(element)) + ")"
	default:
		return r.comparison(element)
	}
}

func (r random) comparison(element bool) string {
	op := r.pick(" eq ", " ne ", " == ", "!=")
	switch r.IntN(6) {
	case 0:
		return r.text(element) + r.pick(op, " < ", " >= ") + r.pick("'a'", `"ab"`, "'O''B'", r.text(element))
	case 1:
		return r.number(element) + r.pick(op, " > ", "<=", " lt ") + r.pick("1", "-1", "1.50", "9007199254740993", r.number(element))
	case 2:
		return r.pick("null", r.text(element), r.number(element)) + op + "null"
	case 3:
		return r.flag(element)
	case 4:
		return r.flag(element) + op + r.pick("true", "false", "null")
	default:
		return r.pick("true", "false", "'a' eq 'a'", "1 lt 2", r.text(element)+op+r.pick("1", "true", "'a'"))
	}
}

func (r random) name(element bool, names ...string) string {
	name := r.pick(names...)
	if element {
		return name
	}
	return r.pick("event.", "event.debugData.", "event.", "event?.") + name
}

func (r random) text(element bool) string {
	return r.name(element, "t1", "t2") + r.pick("", "", "", ".toLowerCase()", ".substringAfter('a')", ".replace('a', 'bb')")
}

func (r random) number(element bool) string {
	if r.one(4) {
		return r.name(element, "t1") + ".length()"
	}
	return r.name(element, "n1", "n2")
}

func (r random) flag(element bool) string { return r.name(element, "b1", "b2") }

func (r random) list(depth int, element bool) string {
	list := r.name(element, "l1", "l2")
	for depth > 0 && r.one(2) {
		depth--
		if r.one(5) {
			list += ".![" + r.pick("t1", "n1", "l1", "o", "l1.?[b1]") + "]"
			continue
		}
		list += r.pick(".", "?.") + "?[" + r.condition(depth-1, true) + "]"
	}
	return list
}

// document makes a JSON object that holds the names which expressions read.
func (r random) document() string {
	inner := r.object(2)
	return strings.TrimSuffix(inner, "}") + r.pick(",", ",\n ")[:min(1, len(inner)-2)] + `"debugContext":{"debugData":` + r.object(1) + `}}`
}

func (r random) object(depth int) string {
	var members []string
	for _, name := range []string{"t1", "t2", "n1", "n2", "b1", "b2", "l1", "l2", "o"} {
		for range r.IntN(5) / 2 { // two of one name now and then
			members = append(members, fmt.Sprintf("%q:%s", name, r.member(name[0], depth)))
		}
	}
	return "{" + strings.Join(members, r.pick(",", ", ")) + "}"
}

func (r random) member(of byte, depth int) string {
	if r.one(12) {
		return r.pick("null", "7", `"x"`, "true", "[]", "{}")
	}
	switch of {
	case 't':
		return r.pick(`"a"`, `"ab"`, `"A"`, `""`, `"O'B"`, `"\u0061b"`, `"ba"`)
	case 'n':
		return r.pick("1", "0", "-1", "1.5", "15e-1", "9007199254740993", "9007199254740992", "1e300")
	case 'b':
		return r.pick("true", "false")
	case 'o':
		return r.element(depth)
	}
	var elements []string
	for range r.IntN(4) {
		elements = append(elements, r.element(depth))
	}
	return "[" + strings.Join(elements, ",") + "]"
}

func (r random) element(depth int) string {
	if depth <= 0 || r.one(8) {
		return r.pick("null", `"a"`, "1", "true")
	}
	return r.object(depth - 1)
}

// decode reads a document as encoding/json does, numbers left as they are spelt.
func decode(document []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(document)))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}
