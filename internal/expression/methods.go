package expression

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

type methodID uint8

const (
	listSize methodID = iota
	listIsEmpty
	listContains
	textContains
	textStartsWith
	textLength
	textUpper
	textLower
	textSubstring
	textReplace
	textReplaceFirst
	textRemoveSpaces
	textBefore
	textAfter
)

// method is a row of a dialect's table of methods.
type method struct {
	name     string
	id       methodID
	on       kind   // of the receiver: kindText or kindList
	params   []kind // kindAny: any scalar
	optional int    // how many of params, the last ones, may be left out
	result   kind
}

// oktaMethods are those a published filter uses, and isEmpty of the general language, which is size() eq 0.
var oktaMethods = []method{
	{name: "contains", id: textContains, on: kindText, params: []kind{kindText}, result: kindBool},
	{name: "size", id: listSize, on: kindList, result: kindNumber},
	{name: "isEmpty", id: listIsEmpty, on: kindList, result: kindBool},
}

// generalMethods are the string methods of Okta's general Expression Language, startsWith, and contains on lists,
// without which lists of plain strings could not be searched.
var generalMethods = []method{
	{name: "startsWith", id: textStartsWith, on: kindText, params: []kind{kindText}, result: kindBool},
	{name: "length", id: textLength, on: kindText, result: kindNumber},
	{name: "toUpperCase", id: textUpper, on: kindText, result: kindText},
	{name: "toLowerCase", id: textLower, on: kindText, result: kindText},
	{name: "substring", id: textSubstring, on: kindText, params: []kind{kindNumber, kindNumber}, optional: 1, result: kindText},
	{name: "substringBefore", id: textBefore, on: kindText, params: []kind{kindText}, result: kindText},
	{name: "substringAfter", id: textAfter, on: kindText, params: []kind{kindText}, result: kindText},
	{name: "replace", id: textReplace, on: kindText, params: []kind{kindText, kindText}, result: kindText},
	{name: "replaceFirst", id: textReplaceFirst, on: kindText, params: []kind{kindText, kindText}, result: kindText},
	{name: "removeSpaces", id: textRemoveSpaces, on: kindText, result: kindText},
	{name: "contains", id: listContains, on: kindList, params: []kind{kindAny}, result: kindBool},
}

// maxParams is the greatest number of parameters of a method.
const maxParams = 2

// call runs the method name of s on receiver.
func (m *machine) call(p *path, i int, receiver value) (value, error) {
	s := &p.steps[i]
	var called *method
	switch receiver.kind {
	case kindNull:
		// Null in the place of a list is an empty list; any other call on null is null.
		if s.onList != nil && s.onList.id == listSize {
			return wholeNumber(0), nil
		}
		if s.onList != nil && s.onList.id == listIsEmpty {
			return boolean(true), nil
		}
		return null, nil
	case kindText:
		called = s.onText
	case kindList:
		called = s.onList
	}
	if called == nil {
		return value{}, m.fail(s.span, "%s is %s, and %s() is not for such", m.upTo(p, i), receiver.kind, s.name)
	}
	var args [maxParams]value
	for j, arg := range s.args {
		var err error
		if args[j], err = m.eval(arg); err != nil {
			return value{}, err
		}
		if args[j].kind == kindNull {
			return null, nil
		}
		if want := called.params[j]; want != kindAny && args[j].kind != want {
			return value{}, m.fail(arg.where(), "argument %d of %s() is %s and must be %s", j+1, s.name, args[j].kind, want)
		}
	}
	if called.on == kindList {
		return m.callList(s, called.id, receiver, args[0])
	}
	if !m.spend(len(receiver.text) / bytesPerStep) {
		return value{}, m.exhausted(s.span)
	}
	return m.callText(s, called.id, receiver.text, &args)
}

func (m *machine) callList(s *step, id methodID, list, wanted value) (value, error) {
	switch id {
	case listSize:
		return wholeNumber(int64(m.size(list))), nil
	case listIsEmpty:
		return boolean(m.size(list) == 0), nil
	}
	for at := m.first(list); at.more; at = m.next(list, at) {
		if !m.spend(1) {
			return value{}, m.exhausted(s.span)
		}
		same, err := m.same(s.span, at.value, wanted)
		if err != nil || same {
			return boolean(same), err
		}
	}
	return boolean(false), nil
}

// callText runs a method on a string. What makes a new string answers it in memory of its own.
func (m *machine) callText(s *step, id methodID, text []byte, args *[maxParams]value) (value, error) {
	first, second := args[0].text, args[1].text
	switch id {
	case textContains:
		return boolean(bytes.Contains(text, first)), nil
	case textStartsWith:
		return boolean(bytes.HasPrefix(text, first)), nil
	case textLength:
		return wholeNumber(int64(utf8.RuneCount(text))), nil
	case textUpper:
		return textValue(bytes.ToUpper(text)), nil
	case textLower:
		return textValue(bytes.ToLower(text)), nil
	case textSubstring:
		return m.substring(s, text, args)
	case textBefore:
		if at := bytes.Index(text, first); at >= 0 {
			text = text[:at]
		}
		return textValue(text), nil
	case textAfter:
		at := bytes.Index(text, first)
		if at < 0 {
			return textValue(nil), nil
		}
		return textValue(text[at+len(first):]), nil
	case textReplaceFirst:
		if !m.spend(len(second) / bytesPerStep) {
			return value{}, m.exhausted(s.span)
		}
		return textValue(bytes.Replace(text, first, second, 1)), nil
	case textReplace:
		if !m.spend(bytes.Count(text, first) * len(second) / bytesPerStep) {
			return value{}, m.exhausted(s.span)
		}
		return textValue(bytes.ReplaceAll(text, first, second)), nil
	default: // textRemoveSpaces
		return textValue(bytes.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, text)), nil
	}
}

// substring counts in characters (code points), the second index excluded, as the general language does.
func (m *machine) substring(s *step, text []byte, args *[maxParams]value) (value, error) {
	length := int64(utf8.RuneCount(text))
	to := wholeNumber(length)
	if len(s.args) == 2 {
		to = args[1]
	}
	from := args[0]
	if !from.whole || !to.whole || from.n < 0 || from.n > to.n || to.n > length {
		return value{}, m.fail(s.span, "substring() is asked for a part that the string, %d characters long, does not have", length)
	}
	return textValue(text[runeOffset(text, from.n):runeOffset(text, to.n)]), nil
}

// runeOffset is how many bytes the first n characters of text take.
func runeOffset(text []byte, n int64) int {
	at := 0
	for ; n > 0; n-- {
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	return at
}
