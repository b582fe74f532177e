package expression

import (
	"bytes"
	"errors"
	"fmt"
)

// Bounds of a document. Okta's LogEvents are some 2 KB with about 100 values, six levels deep.
const (
	// MaxDocument is the greatest size of a document in bytes: the default body limit of a delivery.
	MaxDocument = 32 << 20
	// MaxDocumentDepth is how deep objects and lists may nest in a document.
	MaxDocumentDepth = 256
	// MaxDocumentValues is how many values a document may hold; each costs 24 bytes while it is read.
	MaxDocumentValues = 1 << 20
)

// entry is one JSON value. Text is left where it is: an entry only says where it lies.
//
// Elements of a list are linked forwards, members of an object backwards, so that the first member
// found under a name is the last one written: of duplicate names the last wins.
type entry struct {
	at, size       uint32 // text and numbers: their bytes; list: first element, length; object: last member, count
	name, nameSize uint32 // the name of an object's member
	link           uint32 // the next element or the previous member; 0 is none, for entry 0 is the root
	kind           kind
	truth          bool
	aside          bool // the text was decoded: at counts in index.decoded, not in index.raw
	nameAside      bool
}

// index says where each value of a JSON text lies. It is built in one pass and then only read.
type index struct {
	raw     []byte
	decoded []byte // the texts that had escapes or invalid UTF-8
	entries []entry
}

// buildIndex reads raw as RFC 8259 has it, but for two leniencies, both those of encoding/json:
// names may repeat, and invalid UTF-8 (or half a surrogate pair) reads as U+FFFD.
func buildIndex(raw []byte) (*index, error) {
	if len(raw) > MaxDocument {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxDocument)
	}
	x := index{raw: raw, entries: make([]entry, 0, len(raw)/18+8)}
	_, at, err := x.value(0, 0)
	if err != nil {
		return nil, err
	}
	if at = x.blanks(at); at < len(raw) {
		return nil, fmt.Errorf("byte %d: more text follows the JSON value", at)
	}
	return &x, nil
}

// value reads the value at or after at and answers its entry and where it ends.
func (x *index) value(at, depth int) (self uint32, end int, err error) {
	at = x.blanks(at)
	if at == len(x.raw) {
		return 0, 0, errCutOff
	}
	if len(x.entries) == MaxDocumentValues {
		return 0, 0, fmt.Errorf("it holds more than %d values", MaxDocumentValues)
	}
	self = uint32(len(x.entries))
	switch c := x.raw[at]; c {
	case '{', '[':
		if depth == MaxDocumentDepth {
			return 0, 0, fmt.Errorf("byte %d: it nests deeper than %d levels", at, MaxDocumentDepth)
		}
		x.entries = append(x.entries, entry{})
		if c == '{' {
			end, err = x.object(self, at+1, depth+1)
		} else {
			end, err = x.list(self, at+1, depth+1)
		}
		return self, end, err
	case '"':
		start, size, aside, end, err := x.text(at + 1)
		x.entries = append(x.entries, entry{kind: kindText, at: start, size: size, aside: aside})
		return self, end, err
	case 't':
		return x.word(at, "true", entry{kind: kindBool, truth: true})
	case 'f':
		return x.word(at, "false", entry{kind: kindBool})
	case 'n':
		return x.word(at, "null", entry{kind: kindNull})
	default:
		end := numberEnd(x.raw, at)
		if end < 0 {
			return 0, 0, fmt.Errorf("byte %d: no JSON value begins here", at)
		}
		x.entries = append(x.entries, entry{kind: kindNumber, at: uint32(at), size: uint32(end - at)})
		return self, end, nil
	}
}

func (x *index) object(self uint32, at, depth int) (int, error) {
	var last, count uint32
	for first := true; ; first = false {
		at = x.blanks(at)
		if at == len(x.raw) {
			return 0, errCutOff
		}
		if first && x.raw[at] == '}' {
			break
		}
		if x.raw[at] != '"' {
			return 0, fmt.Errorf("byte %d: a name in double quotes must stand here", at)
		}
		name, nameSize, nameAside, end, err := x.text(at + 1)
		if err != nil {
			return 0, err
		}
		at = x.blanks(end)
		if at == len(x.raw) {
			return 0, errCutOff
		}
		if x.raw[at] != ':' {
			return 0, fmt.Errorf("byte %d: a colon must follow the name", at)
		}
		child, end, err := x.value(at+1, depth)
		if err != nil {
			return 0, err
		}
		e := &x.entries[child]
		e.name, e.nameSize, e.nameAside, e.link = name, nameSize, nameAside, last
		last = child
		count++
		if at = x.blanks(end); at == len(x.raw) {
			return 0, errCutOff
		}
		if x.raw[at] == '}' {
			break
		}
		if x.raw[at] != ',' {
			return 0, fmt.Errorf("byte %d: a comma or } must follow the value", at)
		}
		at++
	}
	e := &x.entries[self]
	e.kind, e.at, e.size = kindObject, last, count
	return at + 1, nil
}

func (x *index) list(self uint32, at, depth int) (int, error) {
	var first, last, count uint32
	for {
		at = x.blanks(at)
		if count == 0 && at < len(x.raw) && x.raw[at] == ']' {
			break
		}
		child, end, err := x.value(at, depth)
		if err != nil {
			return 0, err
		}
		if count == 0 {
			first = child
		} else {
			x.entries[last].link = child
		}
		last = child
		count++
		if at = x.blanks(end); at == len(x.raw) {
			return 0, errCutOff
		}
		if x.raw[at] == ']' {
			break
		}
		if x.raw[at] != ',' {
			return 0, fmt.Errorf("byte %d: a comma or ] must follow the value", at)
		}
		at++
	}
	e := &x.entries[self]
	e.kind, e.at, e.size = kindList, first, count
	return at + 1, nil
}

var errCutOff = errors.New("it ends in the middle of a value")

func (x *index) blanks(at int) int {
	for at < len(x.raw) && (x.raw[at] == ' ' || x.raw[at] == '\n' || x.raw[at] == '\t' || x.raw[at] == '\r') {
		at++
	}
	return at
}

func (x *index) word(at int, word string, e entry) (uint32, int, error) {
	if !bytes.HasPrefix(x.raw[at:], []byte(word)) {
		return 0, 0, fmt.Errorf("byte %d: no JSON value begins here", at)
	}
	x.entries = append(x.entries, e)
	return uint32(len(x.entries) - 1), at + len(word), nil
}
