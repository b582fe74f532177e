package demo

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// lineEvery is how often a line tells how it goes where nothing can be redrawn.
const lineEvery = 5 * time.Second

// Screen is where a demo talks to people.
type Screen struct {
	Out io.Writer
	// Size returns how many columns and rows Out has now; 0, 0 when it is no
	// terminal.
	Size func() (columns, rows int)
	// Colour says whether Out shows colours.
	Colour bool

	drawn []int         // the widths of the lines that will be drawn over
	said  time.Duration // since the start, when the last line was due
}

// say writes what stays.
func (s *Screen) say(text string) error {
	s.drawn = nil
	_, err := io.WriteString(s.Out, text)
	return err
}

// show shows how it goes: in place on a terminal, else as a line now and then.
func (s *Screen) show(f frame) error {
	columns, rows := s.Size()
	if columns > 0 && rows > 0 {
		return s.redraw(f.lines(s.Colour), columns, rows)
	}
	if f.elapsed < s.said+lineEvery {
		return nil
	}
	s.said = f.elapsed.Truncate(lineEvery)
	return s.say(f.line())
}

// redraw writes lines over those it wrote the last time. The terminal may have
// another width by now, and have broken lines that fitted then.
func (s *Screen) redraw(lines []string, columns, rows int) error {
	var b bytes.Buffer
	s.erase(&b, columns)
	lines = lines[:min(len(lines), rows-1)]
	for _, line := range lines {
		// One column stays free: a terminal is of two minds where the cursor is
		// after the last.
		line, width := cut(line, columns-1)
		s.drawn = append(s.drawn, width)
		fmt.Fprintf(&b, "%s\x1b[K\n", line)
	}
	b.WriteString("\x1b[J")
	_, err := s.Out.Write(b.Bytes())
	return err
}

// erase moves the cursor to where the last redraw began.
func (s *Screen) erase(b *bytes.Buffer, columns int) {
	up := 0
	for _, width := range s.drawn {
		up += max(1, (width+columns-1)/columns)
	}
	s.drawn = s.drawn[:0]
	b.WriteByte('\r')
	if up > 0 {
		fmt.Fprintf(b, "\x1b[%dA", up)
	}
}

// clear takes away what was drawn in place.
func (s *Screen) clear() error {
	columns, _ := s.Size()
	if columns <= 0 || len(s.drawn) == 0 {
		return nil
	}
	var b bytes.Buffer
	s.erase(&b, columns)
	b.WriteString("\x1b[J")
	_, err := s.Out.Write(b.Bytes())
	return err
}

// quote tells what a log says, if anything.
func (s *Screen) quote(t *tail) {
	lines, more := t.read()
	if len(lines) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("The gateway's log:\n")
	if more > 0 {
		fmt.Fprintf(&b, "  … %d lines before these\n", more)
	}
	for _, line := range lines {
		b.WriteString("  " + line + "\n")
	}
	_ = s.say(b.String()) // there is nobody else to tell
}

// cut returns the first columns of a line, its colours ended, and its width.
func cut(line string, columns int) (string, int) {
	var b strings.Builder
	width := 0
	escape := false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case width == columns:
			continue
		default:
			width++
		}
		b.WriteRune(r)
	}
	return b.String(), width
}
