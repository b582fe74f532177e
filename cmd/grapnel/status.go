package main

import (
	"fmt"
	"os"
	"time"
)

// status tells how a long command goes: in one line that is written over on a
// terminal, else in a line now and then.
type status struct {
	out   *os.File
	said  time.Duration
	drawn bool
}

// How long it takes until the first line, and between lines that stay.
const (
	firstLine = 2 * time.Second
	lineEvery = 5 * time.Second
)

func newStatus(out *os.File) *status { return &status{out: out} }

// show shows what there is to tell so long after the beginning.
func (s *status) show(line string, after time.Duration) {
	if columns, _ := size(s.out); columns > 0 {
		// One column stays free: terminals differ in what comes after the last.
		fmt.Fprintf(s.out, "\r%s\x1b[K", cut(line, columns-1))
		s.drawn = true
		return
	}
	if after < s.said {
		s.said = 0 // another phase
	}
	if after >= firstLine && (s.said == 0 || after >= s.said+lineEvery) {
		s.said = after
		fmt.Fprintln(s.out, line)
	}
}

// clear removes the line that would be written over.
func (s *status) clear() {
	if s.drawn {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.drawn = false
	}
}
