package main

// How the client commands print:
//
//   - Data goes to stdout, talk to stderr: what a pipe receives is data only.
//   - --output json prints what the gateway answered, indented, and nothing
//     else but a secret that was made here. It is for programs; tables are for
//     people and may change.
//   - A table has a head of capital letters and two spaces between columns. It
//     is as wide as it needs to be, but on a terminal never wider than that:
//     texts are cut (…) first, then columns are left out from the right.
//     Without a terminal nothing is cut.
//   - Colour only marks a state, only on a terminal, and not with NO_COLOR set
//     (no-color.org).
//   - What came from elsewhere never controls the terminal: control characters
//     are shown as �, and in JSON escaped.
//   - An empty list is an empty table, and a line of talk.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// output is the flag of every command that prints data.
type output struct {
	Output string `enum:"table,json" default:"table" short:"o" help:"How to print: ${enum}."`
}

// row is a JSON object to be printed.
type row map[string]any

// UnmarshalJSON keeps numbers as they are written: an event may hold some that
// are too large for a float64.
func (r *row) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode((*map[string]any)(r))
}

// column is one column of a table, or one line of a single thing.
type column struct {
	title string
	path  string // the member, with dots between levels
	flex  bool   // a text that may be cut on a narrow terminal
}

// narrowest is what remains of a text that is cut.
const narrowest = 12

// json prints what the gateway answered.
func (o *output) json() bool { return o.Output == "json" }

func printJSON(raw []byte) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil {
		return err
	}
	// Only within strings can a JSON text hold these.
	var b strings.Builder
	for _, r := range strings.TrimSpace(indented.String()) {
		if unicode.IsControl(r) && r != '\n' {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	_, err := fmt.Println(b.String())
	return err
}

// printList prints a listing as one table or one JSON document.
func (o *output) printList(what string, found listing, columns []column) error {
	if o.json() {
		raw, err := json.Marshal(found)
		if err != nil {
			return err
		}
		return printJSON(raw)
	}
	rows := make([]row, len(found.Items))
	for i, item := range found.Items {
		if err := json.Unmarshal(item, &rows[i]); err != nil {
			return err
		}
	}
	if err := printTable(rows, columns); err != nil {
		return err
	}
	switch {
	case found.Next != "":
		talk("There are more %s: --limit, or --after %s", what, found.Next)
	case len(rows) == 0:
		talk("There are no such %s.", what)
	}
	return nil
}

// screen is where data is printed.
type screen struct {
	io.Writer
	width  int // of a terminal; 0 for none
	colour bool
}

func stdout() *screen {
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		width = 0
	}
	return &screen{os.Stdout, width, width > 0 && os.Getenv("NO_COLOR") == ""}
}

func printTable(rows []row, columns []column) error { return stdout().table(rows, columns) }

func (s *screen) table(rows []row, columns []column) error {
	lines := make([][]string, 0, len(rows)+1)
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = c.title
	}
	lines = append(lines, head)
	for _, r := range rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = r.text(c.path)
		}
		lines = append(lines, cells)
	}
	widths := fit(lines, columns, s.width)
	var b strings.Builder
	for n, cells := range lines {
		var line strings.Builder
		for i, width := range widths {
			text := cut(cells[i], width)
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(text)+2)
			if n > 0 {
				text = s.paint(text)
			}
			line.WriteString(text + pad)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(s, b.String())
	return err
}

// fit returns the widths of the columns that are shown; total 0 is no bound.
func fit(lines [][]string, columns []column, total int) []int {
	natural := make([]int, len(columns))
	for _, cells := range lines {
		for i, text := range cells {
			natural[i] = max(natural[i], utf8.RuneCountInString(text))
		}
	}
	if total <= 0 {
		return natural
	}
	for n := len(columns); n > 1; n-- {
		if widths := squeeze(natural[:n], columns, total); widths != nil {
			return widths
		}
	}
	return natural[:1]
}

// squeeze cuts texts, the widest first, until all columns fit; it returns nil
// when they cannot.
func squeeze(natural []int, columns []column, total int) []int {
	widths := slices.Clone(natural)
	for {
		over := -2 - total
		widest := -1
		for i, w := range widths {
			over += w + 2
			if columns[i].flex && w > narrowest && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		switch {
		case over <= 0:
			return widths
		case widest < 0:
			return nil
		default:
			widths[widest] = max(narrowest, widths[widest]-over)
		}
	}
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// printFields prints the members of one thing that are there, a line for each.
func printFields(r row, columns []column) error {
	s, width := stdout(), 0
	for _, c := range columns {
		width = max(width, len(c.title))
	}
	var b strings.Builder
	for _, c := range columns {
		if text := r.text(c.path); text != "" {
			fmt.Fprintf(&b, "%-*s  %s\n", width, c.title, s.paint(text))
		}
	}
	_, err := io.WriteString(s, b.String())
	return err
}

// text returns a member as it is shown: "" when it is not there.
func (r row) text(path string) string { return printable(text(r.member(path))) }

// texts returns the elements of a list as they are shown.
func (r row) texts(path string) []string {
	list, _ := r.member(path).([]any)
	shown := make([]string, len(list))
	for i := range list {
		shown[i] = printable(text(list[i]))
	}
	return shown
}

func (r row) member(path string) any {
	var v any = map[string]any(r)
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = text(v[i])
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		if key, ok := v["key"].(string); ok && len(v) == 1 {
			return key // a header whose value is not shown
		}
		raw, _ := json.Marshal(v) // it was read from JSON
		return string(raw)
	default:
		return fmt.Sprint(v)
	}
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

var colours = map[string]string{
	"delivered": "32", "ACTIVE": "32", "VERIFIED": "32", "right": "32",
	"waiting": "33", "sending": "33", "UNVERIFIED": "33", "INACTIVE": "33",
	"dead": "31", "wrong": "31", "absent": "31",
}

func (s *screen) paint(text string) string {
	colour := colours[text]
	if colour == "" || !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// talk tells a person something that is not data.
func talk(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
