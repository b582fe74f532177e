package expression

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads the string whose opening quote ends at at.
func (x *index) text(at int) (start, size uint32, aside bool, end int, err error) {
	end = at
	for end < len(x.raw) && plain[x.raw[end]] {
		end++
	}
	if end < len(x.raw) && x.raw[end] == '"' {
		return uint32(at), uint32(end - at), false, end + 1, nil
	}
	return x.unusualText(at, end)
}

// plain marks the bytes that mean themselves within a string.
var plain = func() (marks [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		marks[c] = c != '"' && c != '\\'
	}
	return marks
}()

// unusualText is text for a string with an escape or a byte beyond ASCII, the first of them at end.
func (x *index) unusualText(at, end int) (start, size uint32, aside bool, _ int, err error) {
	escaped := false
	for ; end < len(x.raw) && x.raw[end] != '"'; end++ {
		switch c := x.raw[end]; {
		case c == '\\':
			escaped = true
			end++
		case c < ' ':
			return 0, 0, false, 0, fmt.Errorf("byte %d: a control character stands bare in a string", end)
		}
	}
	if end >= len(x.raw) {
		return 0, 0, false, 0, errCutOff
	}
	if !escaped && utf8.Valid(x.raw[at:end]) {
		return uint32(at), uint32(end - at), false, end + 1, nil
	}
	from := len(x.decoded)
	if err := x.decode(at, end); err != nil {
		return 0, 0, false, 0, err
	}
	return uint32(from), uint32(len(x.decoded) - from), true, end + 1, nil
}

// decode appends the text raw[at:end], the inside of a JSON string, to x.decoded: escapes resolved,
// what is not UTF-8 replaced by U+FFFD.
func (x *index) decode(at, end int) error {
	out := x.decoded
	for at < end {
		c := x.raw[at]
		if c != '\\' {
			r, n := utf8.DecodeRune(x.raw[at:end])
			out = utf8.AppendRune(out, r)
			at += n
			continue
		}
		if at+1 == end {
			return fmt.Errorf("byte %d: an escape is cut off", at)
		}
		if short := shortEscape(x.raw[at+1]); short != 0 {
			out = append(out, short)
			at += 2
			continue
		}
		r, ok := unicodeEscape(x.raw[at:end])
		if !ok {
			return fmt.Errorf("byte %d: JSON has no such escape", at)
		}
		at += 6
		if utf16.IsSurrogate(r) {
			low, _ := unicodeEscape(x.raw[at:end])
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				at += 6
			}
		}
		out = utf8.AppendRune(out, r)
	}
	x.decoded = out
	return nil
}

// shortEscape is what a backslash and c stand for; 0 if they are no short escape.
func shortEscape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// unicodeEscape reads a \uXXXX at the head of text.
func unicodeEscape(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// numberEnd is where the JSON number that begins at at ends, -1 if none does.
func numberEnd(raw []byte, at int) int {
	if at < len(raw) && raw[at] == '-' {
		at++
	}
	whole := digitsEnd(raw, at)
	if whole == at || raw[at] == '0' && whole > at+1 {
		return -1
	}
	at = whole
	if at < len(raw) && raw[at] == '.' {
		fraction := digitsEnd(raw, at+1)
		if fraction == at+1 {
			return -1
		}
		at = fraction
	}
	if at < len(raw) && raw[at]|0x20 == 'e' {
		at++
		if at < len(raw) && (raw[at] == '+' || raw[at] == '-') {
			at++
		}
		exponent := digitsEnd(raw, at)
		if exponent == at {
			return -1
		}
		at = exponent
	}
	return at
}

func digitsEnd(raw []byte, at int) int {
	for at < len(raw) && '0' <= raw[at] && raw[at] <= '9' {
		at++
	}
	return at
}
