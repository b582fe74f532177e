package expression

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Position is a place in the source of an expression.
type Position struct {
	Offset int // bytes before it
	Line   int // from 1
	Column int // from 1, in characters (code points)
}

func positionAt(source string, offset int) Position {
	before := source[:offset]
	line := strings.LastIndexByte(before, '\n') + 1
	return Position{
		Offset: offset,
		Line:   strings.Count(before, "\n") + 1,
		Column: utf8.RuneCountInString(before[line:]) + 1,
	}
}

func (p Position) String() string { return fmt.Sprintf("line %d, column %d", p.Line, p.Column) }

// SyntaxError says why Compile refuses an expression. It covers what the grammar forbids and what the
// dialect does not know, for the person who wrote the expression mends both alike.
type SyntaxError struct {
	Position
	Message string // what is wrong and what to write instead
	Source  string // the whole expression
}

func (e *SyntaxError) Error() string { return e.Position.String() + ": " + e.Message }

// Pointer renders two lines: the line of the source, cut to pointerWidth characters, and a caret below the place.
func (e *SyntaxError) Pointer() string { return pointer(e.Source, e.Position) }

// EvalError says why Match could not tell whether a document matches. The caller treats the document as not
// matching and shows the reason. Values of the document are not in it, so it may be logged.
type EvalError struct {
	Position
	Message string
	Source  string
}

func (e *EvalError) Error() string { return e.Position.String() + ": " + e.Message }

// Pointer renders two lines as SyntaxError.Pointer does.
func (e *EvalError) Pointer() string { return pointer(e.Source, e.Position) }

// WarningKind says what a Warning is about.
type WarningKind string

const (
	// LeavesOkta: Okta would refuse the expression here, so the hook could not be moved to Okta as it is.
	LeavesOkta WarningKind = "leaves_okta_dialect"
	// UnknownField: Okta documents no such field of a LogEvent. Okta adds fields without notice, so it may
	// exist all the same; more often it is a slip.
	UnknownField WarningKind = "unknown_field"
	// UnlikelyType: what Okta documents of the field's type makes this comparison or call useless.
	UnlikelyType WarningKind = "unlikely_type"
)

// Warning is a doubt about an expression that compiles.
type Warning struct {
	Position
	Kind    WarningKind
	Message string
	Source  string
}

func (w Warning) String() string { return w.Position.String() + ": " + w.Message }

// Pointer renders two lines as SyntaxError.Pointer does.
func (w Warning) Pointer() string { return pointer(w.Source, w.Position) }

// pointerWidth is how many characters of a line Pointer shows, less than a terminal's 80.
const pointerWidth = 76

func pointer(source string, at Position) string {
	line := strings.Split(source, "\n")[at.Line-1]
	shown := []rune(strings.ToValidUTF8(line, string(utf8.RuneError)))
	caret := min(at.Column-1, len(shown))
	for i, r := range shown {
		if unicode.IsControl(r) {
			shown[i] = ' ' // a tab would move the caret, an escape sequence the terminal
		}
	}
	if len(shown) > pointerWidth {
		from := min(max(0, caret-pointerWidth/2), len(shown)-pointerWidth)
		to := from + pointerWidth
		cut := shown[from:to:to]
		if from > 0 {
			cut[0] = '…'
		}
		if to < len(shown) {
			cut[len(cut)-1] = '…'
		}
		shown, caret = cut, caret-from
	}
	return strings.TrimRight(string(shown), " ") + "\n" + strings.Repeat(" ", caret) + "^"
}
