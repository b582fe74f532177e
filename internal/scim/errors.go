package scim

import (
	"fmt"
	"unicode/utf8"
)

// A Problem says what kind of mistake an Error is about. Okta has a code for
// each (System Log API, errors), all with HTTP status 400.
type Problem string

const (
	// Syntax: the text is not a filter, or is beyond a bound. Okta: E0000053.
	Syntax Problem = "syntax"
	// UnknownField: no such attribute, or none that can be filtered by. Okta: E0000053.
	UnknownField Problem = "unknown_field"
	// Unsupported: the attribute does not take the operator. Okta: E0000031.
	Unsupported Problem = "unsupported_operator"
	// BadKeyword: too many keywords for q, or one that is too long. Okta: E0000001.
	BadKeyword Problem = "bad_keyword"
)

// Error says why a filter or keywords are refused.
type Error struct {
	Problem Problem
	// Position is the number of characters (code points) before the mistake, as Okta counts.
	Position int
	// Message is what is wrong and what to write instead. It may quote the text.
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (at position %d)", e.Message, e.Position)
}

// fail makes an Error about the place offset bytes into source.
func fail(problem Problem, source string, offset int, format string, args ...any) *Error {
	return &Error{problem, utf8.RuneCountInString(source[:offset]), fmt.Sprintf(format, args...)}
}

// shown is how many characters of a text a message quotes.
const shown = 40

// clip cuts a part of the text to what a message can show.
func clip(part string) string {
	count := 0
	for at := range part {
		if count++; count > shown {
			return part[:at] + "…"
		}
	}
	return part
}
