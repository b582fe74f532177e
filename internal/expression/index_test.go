package expression

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// rebuild makes of entry at what encoding/json makes of the same text.
func (x *index) rebuild(at uint32) any {
	v := x.valueAt(at)
	switch v.kind {
	case kindBool:
		return v.truth
	case kindNumber:
		e := x.entries[at]
		return json.Number(x.raw[e.at : e.at+e.size])
	case kindText:
		return string(v.text)
	case kindList:
		list := []any{}
		for child := x.entries[at].at; child != 0; child = x.entries[child].link {
			list = append(list, x.rebuild(child))
		}
		if len(list) != int(x.entries[at].size) {
			panic("a list's length is not its size")
		}
		return list
	case kindObject:
		members := map[string]any{}
		for child := x.entries[at].at; child != 0; child = x.entries[child].link {
			e := x.entries[child]
			text := x.raw
			if e.nameAside {
				text = x.decoded
			}
			name := string(text[e.name : e.name+e.nameSize])
			if found, _ := x.find(at, []byte(name)); found == child {
				members[name] = x.rebuild(child)
			}
		}
		return members
	}
	return nil
}

// sameAsStandard fails unless index and encoding/json say the same of document, of which the bounds are left out.
func sameAsStandard(t *testing.T, document []byte) {
	t.Helper()
	x, err := buildIndex(document)
	if err != nil && strings.Contains(err.Error(), " than ") {
		return // a bound, which encoding/json does not have
	}
	if valid := json.Valid(document); valid != (err == nil) {
		t.Fatalf("%q: encoding/json finds it valid: %v; buildIndex says %v", document, valid, err)
	}
	if err != nil {
		return
	}
	want, err := decode(document)
	if err != nil {
		t.Fatal(err)
	}
	if got := x.rebuild(0); !reflect.DeepEqual(got, want) {
		t.Fatalf("%q:\n got %#v\nwant %#v", document, got, want)
	}
}

func TestIndexReadsAsEncodingJSONDoes(t *testing.T) {
	for _, document := range []string{
		`{}`, `[]`, ` [ ] `, `""`, `0`, `-0`, `-`, `01`, `1.`, `.1`, `1e`, `1e+`, `1E-07`, `1.5e3`, `--1`, `+1`, `0x1`, `1_0`,
		`true`, `tru`, `truer`, `nullnull`, `NaN`, `Infinity`, `-Infinity`, `{"a":1,"a":2}`, `{"a":{"b":1},"a":{"c":2}}`,
		`{"":0}`, `{"a"}`, `{"a":}`, `{a:1}`, `{'a':1}`, `{"a":1,}`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1 "b":2}`, `[1}`, `{"a":1]`,
		`"\u0000"`, "\"\x00\"", "\"\x1f\"", "\"\x7f\"", `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `"\ude00\ud83d"`,
		`"\ud83dx"`, `"\ud83d\n"`, `"\`, `"\"`, `"\u12"`, `"\u12G4"`, `"\x"`, `"\'"`, "\"\xff\"", "\"a\xe2\x82b\"", "\"\xed\xa0\x80\"", "\"\xff\\n\"",
		"{\"\xff\":1,\"\ufffd\":2}", "\ufeff{}", "{}\x00", " \t\r\n{}\n", "\v{}", "[1\u00a0]", ``, ` `, `[`, `{`, `{"a":[{"b":[]}`, `/**/1`,
		`{"\u0061":1,"a":2,"\u0061b":3}`, `[[],[[]],{},{"a":{}}]`, `"\/\b\f\n\r\t\"\\"`,
	} {
		sameAsStandard(t, []byte(document))
	}
	r := newRandom(3)
	for range 500 {
		document := []byte(r.document())
		sameAsStandard(t, document)
		at := r.IntN(len(document)) // and with one byte changed, left out or put in
		sameAsStandard(t, append(append(append([]byte{}, document[:at]...), r.pick("\"", "{", ",", "\\", "\xff", "0", "]")...), document[at+r.IntN(2):]...))
	}
}
