package expression

import (
	"bytes"
	"cmp"
	"strconv"
)

// number is the value that text, a JSON number, spells. Nothing is rounded.
func number(text []byte) value {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 18 { // 19 digits may be more than an int64 holds
		return value{kind: kindNumber, text: text}
	}
	var n int64
	for _, c := range digits {
		if c < '0' || '9' < c {
			return value{kind: kindNumber, text: text}
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return wholeNumber(n)
}

// compareNumbers orders two numbers by their exact values. It is not ok if an exponent has so many digits
// that the place of the point cannot be counted.
func compareNumbers(a, b value) (order int, ok bool) {
	if a.whole && b.whole {
		return cmp.Compare(a.n, b.n), true
	}
	var aText, bText [20]byte
	x, xOK := readDecimal(spell(a, aText[:0]))
	y, yOK := readDecimal(spell(b, bText[:0]))
	if !xOK || !yOK {
		return 0, false
	}
	if x.sign != y.sign {
		return cmp.Compare(x.sign, y.sign), true
	}
	return x.sign * x.compareSize(y), true
}

func spell(v value, room []byte) []byte {
	if v.whole {
		return strconv.AppendInt(room, v.n, 10)
	}
	return v.text
}

// decimal is sign × 0.digits × 10^point, where digits are head and tail in a row and do not begin with 0.
type decimal struct {
	sign       int // -1, 0, 1
	head, tail []byte
	point      int64
}

// exponentDigits bounds an exponent to what fits an int64 with room for the length of any document.
const exponentDigits = 17

func readDecimal(text []byte) (d decimal, ok bool) {
	d.sign = 1
	if text[0] == '-' {
		d.sign = -1
		text = text[1:]
	}
	if at := bytes.IndexAny(text, "eE"); at >= 0 {
		exponent := text[at+1:]
		text = text[:at]
		digits := bytes.TrimLeft(exponent, "+-0")
		if len(digits) > exponentDigits {
			return d, false
		}
		for _, c := range digits {
			d.point = d.point*10 + int64(c-'0')
		}
		if exponent[0] == '-' {
			d.point = -d.point
		}
	}
	d.head = text
	if at := bytes.IndexByte(text, '.'); at >= 0 {
		d.head, d.tail = text[:at], text[at+1:]
	}
	d.head = bytes.TrimLeft(d.head, "0")
	d.point += int64(len(d.head))
	if len(d.head) == 0 {
		tail := bytes.TrimLeft(d.tail, "0")
		d.point -= int64(len(d.tail) - len(tail))
		d.tail = tail
	}
	if len(d.head) == 0 && len(d.tail) == 0 {
		return decimal{}, true
	}
	return d, true
}

// compareSize orders |d| and |other|; both have the same sign.
func (d *decimal) compareSize(other decimal) int {
	if d.sign == 0 {
		return 0
	}
	if d.point != other.point {
		return cmp.Compare(d.point, other.point)
	}
	for i := range max(len(d.head)+len(d.tail), len(other.head)+len(other.tail)) {
		if order := cmp.Compare(d.digit(i), other.digit(i)); order != 0 {
			return order
		}
	}
	return 0
}

func (d *decimal) digit(i int) byte {
	switch {
	case i < len(d.head):
		return d.head[i]
	case i-len(d.head) < len(d.tail):
		return d.tail[i-len(d.head)]
	}
	return '0'
}
