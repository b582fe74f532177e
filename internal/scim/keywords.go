package scim

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the parameter q (System Log API, q).
const (
	// MaxKeywords is how many keywords there may be.
	MaxKeywords = 10
	// MaxKeyword is how many characters (code points) a keyword may have.
	MaxKeyword = 40
)

// Keywords are the words of the parameter q. They do not change and are safe
// for concurrent use.
type Keywords struct{ words [][]byte }

// ParseKeywords takes the value of q apart at white space. The error is always
// an *Error. Without a single word, every event matches.
func ParseKeywords(q string) (*Keywords, error) {
	k := &Keywords{}
	if at := invalidUTF8(q); at >= 0 {
		return nil, fail(BadKeyword, q, at, "the keywords are not UTF-8 here; encode them as UTF-8 before escaping them for the URL")
	}
	rest := q
	for word := range strings.FieldsSeq(q) {
		at := len(q) - len(rest) + strings.Index(rest, word)
		rest = q[at+len(word):]
		if len(k.words) == MaxKeywords {
			return nil, fail(BadKeyword, q, at, "there are more than %d keywords; leave some out, or use filter", MaxKeywords)
		}
		if utf8.RuneCountInString(word) > MaxKeyword {
			return nil, fail(BadKeyword, q, at, "the keyword %s is longer than %d characters; shorten it, or use filter", clip(word), MaxKeyword)
		}
		k.words = append(k.words, []byte(word))
	}
	return k, nil
}

// Match tells whether every keyword is a word of some value in the event, which
// is JSON as for Filter.Match. Case does not matter.
//
// The words of a value are what stands between white space, and the parts of
// such a word between hyphens. That anything else, such as a dot or a slash,
// parts words is not documented and does not. Values are texts, numbers, true
// and false wherever they are in the event; names of members are none.
func (k *Keywords) Match(event []byte) bool {
	missing := hits(1)<<len(k.words) - 1
	j := jsonText(event)
	for at := 0; at < len(j) && missing != 0; {
		switch c := j[at]; {
		case c == '"':
			to := j.skipString(at)
			if next := j.blanks(to); next >= len(j) || j[next] != ':' { // no name of a member
				missing &^= k.look(j.inside(at, to))
			}
			at = to
		case c == 't', c == 'f', c == '-', '0' <= c && c <= '9':
			to := j.skipWord(at)
			missing &^= k.look(j[at:to])
			at = to
		default: // blanks, punctuation, null
			at++
		}
	}
	return missing == 0
}

// hits has one bit per keyword.
type hits uint16

// look answers which keywords are words of value.
func (k *Keywords) look(value []byte) (all hits) {
	for len(value) > 0 {
		word := value
		if end := bytes.IndexFunc(value, unicode.IsSpace); end >= 0 {
			word, value = value[:end], bytes.TrimLeftFunc(value[end:], unicode.IsSpace)
		} else {
			value = nil
		}
		all |= k.hit(word)
		for more := bytes.IndexByte(word, '-') >= 0; more; {
			var part []byte
			part, word, more = bytes.Cut(word, []byte{'-'})
			all |= k.hit(part)
		}
	}
	return all
}

func (k *Keywords) hit(word []byte) (all hits) {
	for i, wanted := range k.words {
		if bytes.EqualFold(word, wanted) {
			all |= 1 << i
		}
	}
	return all
}
