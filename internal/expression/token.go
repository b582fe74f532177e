package expression

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenBad           // text says why
	tokenName
	tokenString // text is the inside, quotes undoubled
	tokenNumber
	tokenDot
	tokenSelect  // ?[
	tokenProject // ![
	tokenOpen
	tokenClose
	tokenOpenIndex
	tokenCloseBracket
	tokenComma
	tokenAnd
	tokenOr
	tokenNot
	tokenCompare
)

type token struct {
	kind tokenKind
	span
	text string
	op   operator // tokenCompare
}

// symbols in an order in which the longer comes before its own beginning.
var symbols = []struct {
	text string
	kind tokenKind
	op   operator
}{
	{"?.", tokenDot, 0}, // null has null properties here, so the safe dot is a dot
	{"?[", tokenSelect, 0},
	{"![", tokenProject, 0},
	{"&&", tokenAnd, 0},
	{"||", tokenOr, 0},
	{"==", tokenCompare, equal},
	{"!=", tokenCompare, notEqual},
	{"<=", tokenCompare, atMost},
	{">=", tokenCompare, atLeast},
	{"<", tokenCompare, less},
	{">", tokenCompare, greater},
	{".", tokenDot, 0},
	{"(", tokenOpen, 0},
	{")", tokenClose, 0},
	{"[", tokenOpenIndex, 0},
	{"]", tokenCloseBracket, 0},
	{",", tokenComma, 0},
	{"!", tokenNot, 0},
}

// stranger is what people write who know other languages, with what to write instead.
type stranger struct{ text, advice string }

// longStrangers are looked for before the symbols they begin like.
var longStrangers = []stranger{
	{"<>", "<> is no operator; write ne or !="},
	{"===", "=== is no operator; write eq or =="},
	{"=~", "there are no regular expressions; write .contains('…')"},
	{"?:", "there is no ?: operator; a path that finds nothing is null, compare it with ne null"},
	{"++", "++ is no operator; filters only compare"},
	{"--", "-- is no operator; filters only compare"},
	{"^[", ".^[ ] (the first of a selection) is not supported; write .?[ ] and .size() > 0"},
	{"$[", ".$[ ] (the last of a selection) is not supported; write .?[ ] and .size() > 0"},
}

var strangers = []stranger{
	{"=", "= would assign; to compare write eq or =="},
	{"&", "write && (or and)"},
	{"|", "write || (or or)"},
	{"?", "there is no ? : operator; write the condition itself, joined by && and ||"},
	{"+", "there is no arithmetic and no joining of strings"},
	{"-", "there is no arithmetic; a minus may only stand right before a number, and no name has one"},
	{"*", "there is no arithmetic"},
	{"/", "there is no arithmetic"},
	{"%", "there is no arithmetic"},
	{"#", "variables and functions with # are not supported; inside .?[ ] write the property's name alone"},
	{"@", "references with @ are not supported; outside a string only paths, literals and operators may stand"},
	{"{", "there are no lists or maps in braces; join comparisons by ||"},
	{"}", "there are no lists or maps in braces; join comparisons by ||"},
	{"\\", "a backslash escapes nothing; double a quote to write it inside a string: 'O''Brien'"},
	{"`", "a string goes between single quotes: '…'"},
	{";", "an expression is one condition; join conditions by && or ||"},
	{"‘", "this is a typographic quote; write a plain '"},
	{"’", "this is a typographic quote; write a plain '"},
	{"“", "this is a typographic quote; write a plain \" or '"},
	{"”", "this is a typographic quote; write a plain \" or '"},
	{"\u00a0", "this is a no-break space; write a plain space"},
	{"\u200b", "this is an invisible zero-width space; delete it"},
	{"\ufeff", "this is an invisible byte order mark; delete it"},
}

// scan cuts source into tokens; the last is a tokenEnd or, where nothing fits, a tokenBad.
func scan(source string) []token {
	tokens := make([]token, 0, len(source)/4+2)
	for at := 0; ; {
		at += blanks(source[at:])
		t := scanOne(source, at)
		tokens = append(tokens, t)
		if t.kind == tokenEnd || t.kind == tokenBad {
			return tokens
		}
		at = t.to
	}
}

func blanks(text string) int { return len(text) - len(strings.TrimLeft(text, " \t\r\n")) }

func scanOne(source string, at int) token {
	rest := source[at:]
	piece := func(kind tokenKind, size int) token {
		return token{kind: kind, span: span{at, at + size}, text: rest[:size]}
	}
	bad := func(format string, args ...any) token {
		return token{kind: tokenBad, span: span{at, at}, text: fmt.Sprintf(format, args...)}
	}
	if rest == "" {
		return piece(tokenEnd, 0)
	}
	switch c := rest[0]; {
	case isLetter(c):
		return piece(tokenName, nameSize(rest))
	case isDigit(c) || c == '-' && len(rest) > 1 && isDigit(rest[1]):
		size := numberSize(rest)
		if next := rest[size:]; next != "" && isLetter(next[0]) {
			return bad("%s begins like a number; put a space behind the number or quotes around it all", clip(rest[:size+nameSize(next)]))
		}
		return piece(tokenNumber, size)
	case c == '\'' || c == '"':
		size, text := stringAt(rest)
		if size == 0 {
			return bad("this string is never closed; end it with %c", c)
		}
		t := piece(tokenString, size)
		t.text = text
		return t
	}
	for _, s := range longStrangers {
		if strings.HasPrefix(rest, s.text) {
			return bad("%s", s.advice)
		}
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s.text) {
			t := piece(s.kind, len(s.text))
			t.op = s.op
			return t
		}
	}
	for _, s := range strangers {
		if strings.HasPrefix(rest, s.text) {
			return bad("%s", s.advice)
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return bad("%q cannot stand here; only inside a string", r)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func nameSize(text string) int {
	size := 1
	for size < len(text) && (isLetter(text[size]) || isDigit(text[size])) {
		size++
	}
	return size
}

// numberSize is how long the number is at the head of text: digits, perhaps with a minus before and a fraction behind.
func numberSize(text string) int {
	size := 1
	for size < len(text) && isDigit(text[size]) {
		size++
	}
	if size+1 < len(text) && text[size] == '.' && isDigit(text[size+1]) {
		for size++; size < len(text) && isDigit(text[size]); {
			size++
		}
	}
	return size
}

// stringAt reads the string at the head of text; size is 0 if it never ends.
func stringAt(text string) (size int, inside string) {
	quote := text[:1]
	for size = 1; ; size += 2 {
		at := strings.Index(text[size:], quote)
		if at < 0 {
			return 0, ""
		}
		size += at
		if !strings.HasPrefix(text[size+1:], quote) {
			return size + 1, strings.ReplaceAll(text[1:size], quote+quote, quote)
		}
	}
}

// clip makes a part of a source fit for a message.
func clip(text string) string {
	const most = 60
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return text
}
