package scim

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenOpen
	tokenClose
	tokenWord   // an attribute, an operator, a number, true, false or null
	tokenString // in double quotes
)

// token is the part from:to of the text.
type token struct {
	kind     tokenKind
	from, to int
	text     string // as it is written
	value    []byte // of a string: what it spells
}

// is tells whether the token is a word, in any case of letters.
func (t token) is(word string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, word)
}

const blanks = " \t\r\n"

// scan reads the token at or behind at.
func scan(source string, at int) (token, *Error) {
	for at < len(source) && strings.IndexByte(blanks, source[at]) >= 0 {
		at++
	}
	if at == len(source) {
		return token{kind: tokenEnd, from: at, to: at}, nil
	}
	t := token{kind: tokenWord, from: at, to: at + 1}
	switch c := source[at]; c {
	case '(':
		t.kind = tokenOpen
	case ')':
		t.kind = tokenClose
	case '[', ']':
		return t, fail(Syntax, source, at, "value paths with [ ] cannot be used; join two comparisons by and")
	case '\'':
		return t, fail(Syntax, source, at, "text stands in double quotes, not in single ones")
	case '"':
		return scanString(source, t)
	default:
		if end := strings.IndexAny(source[at:], blanks+`()[]"'`); end >= 0 {
			t.to = at + end
		} else {
			t.to = len(source)
		}
	}
	t.text = source[t.from:t.to]
	return t, nil
}

// scanString reads the JSON string that begins where t does.
func scanString(source string, t token) (token, *Error) {
	t.kind = tokenString
	for t.to < len(source) && source[t.to] != '"' {
		if source[t.to] == '\\' {
			t.to++
		}
		t.to++
	}
	if t.to >= len(source) {
		return t, fail(Syntax, source, t.from, `this text never ends; add a " behind it`)
	}
	t.to++
	t.text = source[t.from:t.to]
	var value string
	if err := json.Unmarshal([]byte(t.text), &value); err != nil {
		return t, fail(Syntax, source, t.from, `this is no JSON string; write \\ for a backslash and \n for the end of a line`)
	}
	t.value = []byte(value)
	return t, nil
}

// literal reads the word as a number, true, false or null.
func (t token) literal() (literal, bool) {
	switch t.text {
	case "true", "false":
		return literal{kind: boolean, truth: t.text == "true"}, true
	case "null":
		return literal{kind: null}, true
	}
	if word := []byte(t.text); !bytes.ContainsAny(word[:1], "-0123456789") || !json.Valid(word) {
		return literal{}, false
	}
	n, ok := readNumber([]byte(t.text))
	return literal{kind: number, number: n, source: t.text}, ok
}

// isPath tells whether a word can name an attribute: parts of ASCII letters,
// digits, hyphens and underscores, joined by dots; the first begins with a letter.
func isPath(word string) bool {
	previous := byte('.')
	for i := range len(word) {
		c := word[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		switch {
		case letter, i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		case c == '.' && previous != '.':
		default:
			return false
		}
		previous = c
	}
	return previous != '.'
}

// invalidUTF8 is where the text is not UTF-8, -1 if it is.
func invalidUTF8(source string) int {
	for at, r := range source {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(source[at:]); size == 1 {
				return at
			}
		}
	}
	return -1
}
