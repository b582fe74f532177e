package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// jsonText is a well-formed JSON text, as okta has checked it. It is gone
// through by quotes and brackets alone, which needs no recursion, and stays
// within the text and ends whatever the text is.
type jsonText []byte

// blanks is where the white space at at ends.
func (j jsonText) blanks(at int) int {
	for at < len(j) && (j[at] == ' ' || j[at] == '\n' || j[at] == '\r' || j[at] == '\t') {
		at++
	}
	return at
}

// skip is where the value at at ends.
func (j jsonText) skip(at int) int {
	depth := 0
	for at < len(j) {
		switch j[at] {
		case '"':
			at = j.skipString(at)
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		default:
			if depth == 0 {
				return j.skipWord(at)
			}
			at++
			continue
		}
		if depth <= 0 {
			return at
		}
	}
	return at
}

// skipString is where the string at at ends, behind its closing quote.
func (j jsonText) skipString(at int) int {
	for at++; at < len(j); at++ {
		n := bytes.IndexByte(j[at:], '"')
		if n < 0 {
			return len(j)
		}
		from := at
		at += n
		escapes := 0
		for at-escapes > from && j[at-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1
		}
	}
	return len(j)
}

// skipWord is where a number, true, false or null ends.
func (j jsonText) skipWord(at int) int {
	for at < len(j) {
		switch j[at] {
		case ',', ']', '}', ' ', '\n', '\r', '\t':
			return at
		}
		at++
	}
	return at
}

// inside is what the string at from:to spells. One with escapes is copied, before
// it is handed on: if the text leaked from here, no matcher could lie on the stack.
func (j jsonText) inside(from, to int) []byte {
	quoted := j[from:to]
	if bytes.IndexByte(quoted, '\\') >= 0 {
		var s string
		if json.Unmarshal(bytes.Clone(quoted), &s) != nil {
			return nil
		}
		return []byte(s)
	}
	return bytes.TrimSuffix(quoted[1:], []byte{'"'})
}

// scalar is a value that is not a list.
type scalar struct {
	kind   kind
	text   []byte
	number float64
	truth  bool
}

// scalar reads the value at at, which is neither object nor list.
func (j jsonText) scalar(at int) scalar {
	word := j[at:j.skip(at)]
	switch j[at] {
	case '"':
		return scalar{kind: text, text: j.inside(at, at+len(word))}
	case 't', 'f':
		return scalar{kind: boolean, truth: j[at] == 't'}
	case 'n':
		return scalar{kind: null}
	}
	n, ok := readNumber(word)
	if !ok {
		return scalar{kind: null}
	}
	return scalar{kind: number, number: n}
}

// filled tells whether the value at at is, or has in it, text that is not
// empty, a number, true or false.
func (j jsonText) filled(at int) bool {
	for end := j.skip(at); at < end; {
		switch c := j[at]; {
		case c == '"':
			to := j.skipString(at)
			if next := j.blanks(to); next >= end || j[next] != ':' { // no name of a member
				if to-at > len(`""`) {
					return true
				}
			}
			at = to
		case c == 't', c == 'f', c == '-', '0' <= c && c <= '9':
			return true
		default: // blanks, punctuation, null
			at++
		}
	}
	return false
}

// readNumber reads a JSON number, one beyond the range of floating point as infinite.
func readNumber(word []byte) (n float64, ok bool) {
	n, err := strconv.ParseFloat(string(word), 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}
