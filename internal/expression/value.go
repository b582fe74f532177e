package expression

// kind is what a value is, as far as it is known.
type kind uint8

const (
	kindAny kind = iota // any scalar, list or object: known once a document is read
	kindNull
	kindBool
	kindNumber
	kindText
	kindList
	kindObject
)

// String reads well after "is".
func (k kind) String() string {
	return [...]string{"a value of any type", "no value", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// value is what an expression is worth. Its text lies in the document or the program and is never written to.
type value struct {
	kind  kind
	truth bool   // kindBool
	whole bool   // kindNumber: n is the number; else text spells it
	taken bool   // kindList: the elements are machine.taken[n:to]; else entry n of the index has them
	n, to int64  // see whole and taken; kindObject: entry n of the index
	text  []byte // kindText; kindNumber when not whole
}

var null = value{kind: kindNull}

func boolean(truth bool) value { return value{kind: kindBool, truth: truth} }

func wholeNumber(n int64) value { return value{kind: kindNumber, whole: true, n: n} }

func textValue(text []byte) value { return value{kind: kindText, text: text} }

// find answers the entry of object's member called name, 0 if it has none, and how many members it looked at.
func (x *index) find(object uint32, name []byte) (at uint32, looked int) {
	for at = x.entries[object].at; at != 0; at = x.entries[at].link {
		looked++
		e := &x.entries[at]
		if int(e.nameSize) != len(name) {
			continue
		}
		text := x.raw
		if e.nameAside {
			text = x.decoded
		}
		if string(text[e.name:e.name+e.nameSize]) == string(name) {
			return at, looked
		}
	}
	return 0, looked
}

// valueAt is entry at as a value.
func (x *index) valueAt(at uint32) value {
	e := &x.entries[at]
	switch e.kind {
	case kindBool:
		return boolean(e.truth)
	case kindNumber:
		return number(x.raw[e.at : e.at+e.size])
	case kindText:
		text := x.raw
		if e.aside {
			text = x.decoded
		}
		return textValue(text[e.at : e.at+e.size])
	case kindNull:
		return null
	default:
		return value{kind: e.kind, n: int64(at)}
	}
}
