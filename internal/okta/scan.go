package okta

import "encoding/json"

// MaxDepth is how many objects and arrays may be open at once in a delivery,
// its outermost object included. Okta's own events use about ten.
const MaxDepth = 128

// A flaw is why scanning stopped. The texts end up in ParseError.Message and
// Rejected.Detail.
type flaw string

const (
	flawEnd      flaw = "the JSON ends too early"
	flawValue    flaw = "expected a JSON value"
	flawLiteral  flaw = "misspelt true, false or null"
	flawNumber   flaw = "malformed number"
	flawEscape   flaw = "malformed escape in a string"
	flawControl  flaw = "unescaped control character in a string"
	flawKey      flaw = "expected an object key in double quotes"
	flawColon    flaw = "expected ':' after an object key"
	flawMember   flaw = "expected ',' or '}' in an object"
	flawElement  flaw = "expected ',' or ']' in an array"
	flawDeep     flaw = "nested deeper than 128 levels"
	flawTrailing flaw = "unexpected data after the JSON"
	flawNoObject flaw = "the body is not a JSON object"
	flawNoEvents flaw = "there is no data.events array"
	flawTwice    flaw = "data.events is given twice"
	flawTooMany  flaw = "data.events has more than 100000 elements"
)

// A scanner walks a JSON text (RFC 8259) once, without decoding it. Its grammar
// is exactly that of encoding/json, with MaxDepth on top; invalid UTF-8 inside
// strings is let through, so that an event can be kept as it came.
//
// Every method leaves pos behind what it read. After a method has returned
// false, flaw says what is wrong at pos, and only resync may be called.
type scanner struct {
	b    []byte
	pos  int
	flaw flaw
}

func (s *scanner) fail(f flaw) bool {
	s.flaw = f
	if s.pos >= len(s.b) {
		s.flaw = flawEnd
	}
	return false
}

// peek skips white space and returns the next byte, 0 at the end. A NUL byte in
// the text is also 0 and fits no rule of the grammar.
func (s *scanner) peek() byte {
	for s.pos < len(s.b) {
		c := s.b[s.pos]
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
		s.pos++
	}
	return 0
}

// value reads one value of any kind. depth is the number of containers open
// around it.
func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case c == '"':
		_, ok := s.str()
		return ok
	case c == '{':
		return s.skipObject(depth)
	case c == '[':
		return s.skipArray(depth)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.fail(flawValue)
}

func (s *scanner) literal(word string) bool {
	for i := range len(word) {
		if s.pos >= len(s.b) || s.b[s.pos] != word[i] {
			return s.fail(flawLiteral)
		}
		s.pos++
	}
	return true
}

func (s *scanner) skipObject(depth int) bool {
	for first := true; ; first = false {
		_, more, ok := s.member(depth, first)
		if !more {
			return ok
		}
		if !s.value(depth + 1) {
			return false
		}
	}
}

func (s *scanner) skipArray(depth int) bool {
	for first := true; ; first = false {
		more, ok := s.element(depth, first)
		if !more {
			return ok
		}
		if !s.value(depth + 1) {
			return false
		}
	}
}

// member steps to the next member of an object: with first set, pos is at the
// '{', otherwise behind the previous member's value. It returns the key and
// leaves pos before the value. more is false at the closing brace, and on
// errors, when ok is false too.
func (s *scanner) member(depth int, first bool) (key token, more, ok bool) {
	c, more, ok := s.next(depth, first, '}', flawMember)
	if !more {
		return token{}, false, ok
	}
	if c != '"' {
		return token{}, false, s.fail(flawKey)
	}
	if key, ok = s.str(); !ok {
		return token{}, false, false
	}
	if s.peek() != ':' {
		return token{}, false, s.fail(flawColon)
	}
	s.pos++
	return key, true, true
}

// element is member for arrays; pos is left before the element.
func (s *scanner) element(depth int, first bool) (more, ok bool) {
	_, more, ok = s.next(depth, first, ']', flawElement)
	return more, ok
}

// next passes the opening bracket or the comma and returns the byte at which
// the next entry starts.
func (s *scanner) next(depth int, first bool, closing byte, f flaw) (c byte, more, ok bool) {
	if first {
		if depth >= MaxDepth {
			return 0, false, s.fail(flawDeep)
		}
		s.pos++
		if c = s.peek(); c == closing {
			s.pos++
			return 0, false, true
		}
		return c, true, true
	}
	switch s.peek() {
	case closing:
		s.pos++
		return 0, false, true
	case ',':
		s.pos++
		return s.peek(), true, true
	}
	return 0, false, s.fail(f)
}

// number reads a number of any size; it is never converted.
func (s *scanner) number() bool {
	if s.b[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.b) && s.b[s.pos] == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fail(flawNumber)
	}
	if s.pos < len(s.b) && s.b[s.pos] == '.' {
		s.pos++
		if !s.digits() {
			return s.fail(flawNumber)
		}
	}
	if s.pos < len(s.b) && (s.b[s.pos] == 'e' || s.b[s.pos] == 'E') {
		s.pos++
		if s.pos < len(s.b) && (s.b[s.pos] == '+' || s.b[s.pos] == '-') {
			s.pos++
		}
		if !s.digits() {
			return s.fail(flawNumber)
		}
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.b) && '0' <= s.b[s.pos] && s.b[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// A token is a string of the text: what stands between its quotes, and whether
// any of it is escaped.
type token struct {
	raw     []byte
	escaped bool
}

// is reports whether the token spells name.
func (t token) is(name string) bool {
	if !t.escaped {
		return string(t.raw) == name
	}
	return string(t.bytes()) == name
}

// bytes returns the string's value. An unescaped token is returned as it is in
// the text, invalid UTF-8 included; in an escaped one encoding/json puts U+FFFD
// in its place.
func (t token) bytes() []byte {
	if !t.escaped {
		return t.raw
	}
	quoted := make([]byte, 0, len(t.raw)+2)
	quoted = append(quoted, '"')
	quoted = append(quoted, t.raw...)
	quoted = append(quoted, '"')
	var v string
	if json.Unmarshal(quoted, &v) != nil {
		return nil
	}
	return []byte(v)
}

// plain marks the bytes that stand for themselves inside a JSON string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return t
}()

func (s *scanner) str() (token, bool) {
	s.pos++
	start, escaped := s.pos, false
	b, i := s.b, s.pos
	for {
		for i < len(b) && plain[b[i]] {
			i++
		}
		s.pos = i
		if i >= len(b) {
			return token{}, s.fail(flawEnd)
		}
		switch b[i] {
		case '"':
			s.pos++
			return token{b[start:i:i], escaped}, true
		case '\\':
			escaped = true
			if !s.escape() {
				return token{}, false
			}
			i = s.pos
		default:
			return token{}, s.fail(flawControl)
		}
	}
}

func (s *scanner) escape() bool {
	s.pos++
	if s.pos >= len(s.b) {
		return s.fail(flawEnd)
	}
	switch s.b[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		s.pos++
		for range 4 {
			if s.pos >= len(s.b) || !isHex(s.b[s.pos]) {
				return s.fail(flawEscape)
			}
			s.pos++
		}
		return true
	}
	return s.fail(flawEscape)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// resync moves from start, the beginning of a broken array element, to the
// comma or bracket behind it, going by quotes and brackets alone. It returns
// false if the text ends first, as a truncated one does, or the element is
// empty.
func (s *scanner) resync(start int) bool {
	depth := 0
	for s.pos = start; s.pos < len(s.b); s.pos++ {
		switch s.b[s.pos] {
		case '"':
			if !s.resyncString() {
				return false
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.pos > start
			}
			depth--
		case ',':
			if depth == 0 {
				return s.pos > start
			}
		}
	}
	return false
}

// resyncString moves from a quote to the quote that closes it.
func (s *scanner) resyncString() bool {
	for s.pos++; s.pos < len(s.b); s.pos++ {
		switch s.b[s.pos] {
		case '"':
			return true
		case '\\':
			s.pos++
		}
	}
	return false
}
