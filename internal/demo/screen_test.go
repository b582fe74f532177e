package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func sample() frame {
	f := frame{
		elapsed: 83 * time.Second,
		org:     orgCounts{types: 24, calls: 40, answered: 312, latest: "user.session.start, Ann Vega, SUCCESS"},
		source:  sourceCounters{Received: 301, Duplicates: 11},
	}
	for _, name := range []string{"good", "flaky", "late", "failed-sign-ins"} {
		f.hooks = append(f.hooks, hookFrame{hookCounters{Matched: 301, Delivered: 280, Waiting: 20, Dead: 1, Attempts: 512}, name, "down, 20s more"})
	}
	return f
}

func TestLinesFit(t *testing.T) {
	f := sample()
	lines := f.lines(true)
	lines = append(lines, intakeHead, hookHead+"  GOT  REPEATS")
	for _, line := range lines {
		if _, width := cut(line, 1000); width > 79 {
			t.Errorf("%d columns: %s", width, line)
		}
	}
	for _, line := range f.lines(false) {
		if strings.Contains(line, "\x1b") {
			t.Errorf("colour: %q", line)
		}
	}
}

// terminal follows a cursor through what a Screen writes: rows that were
// written below the first, and the one the cursor is in.
func cursor(t *testing.T, written string, columns int) (row int) {
	t.Helper()
	column := 0
	for len(written) > 0 {
		switch {
		case strings.HasPrefix(written, "\x1b["):
			end := strings.IndexAny(written, "ABCDJKm")
			if written[end] == 'A' {
				up := 0
				for _, digit := range written[2:end] {
					up = up*10 + int(digit-'0')
				}
				row -= up
			}
			written = written[end+1:]
			continue
		case written[0] == '\n':
			row, column = row+1, 0
		case written[0] == '\r':
			column = 0
		case column == columns:
			t.Fatal("a line breaks")
		default:
			column++
		}
		written = written[1:]
	}
	return row
}

func TestRedrawStaysInPlace(t *testing.T) {
	var out bytes.Buffer
	columns, rows := 80, 24
	s := &Screen{Out: &out, Size: func() (int, int) { return columns, rows }, Colour: true}
	f := sample()
	if err := s.show(f); err != nil {
		t.Fatal(err)
	}
	height := cursor(t, out.String(), columns)
	for range 3 {
		if err := s.show(f); err != nil {
			t.Fatal(err)
		}
	}
	if got := cursor(t, out.String(), columns); got != height {
		t.Errorf("the cursor is %d rows below the start after four frames, %d after one", got, height)
	}

	// The terminal becomes narrow: 10 lines of over 40 columns have broken in two.
	out.Reset()
	broken := 0
	for _, width := range s.drawn {
		if width > 40 {
			broken++
		}
	}
	columns, rows = 40, 10
	if err := s.show(f); err != nil {
		t.Fatal(err)
	}
	if got, want := cursor(t, out.String(), columns), rows-1-height-broken; got != want {
		t.Errorf("the cursor moved by %d rows, want %d", got, want)
	}

	out.Reset()
	if err := s.clear(); err != nil {
		t.Fatal(err)
	}
	if got := cursor(t, out.String(), columns); got != -(rows - 1) {
		t.Errorf("clear moved the cursor by %d rows, want %d", got, -(rows - 1))
	}
}

func TestALineEveryFiveSeconds(t *testing.T) {
	var out bytes.Buffer
	s := quietScreen(&out)
	f := sample()
	for at := time.Duration(0); at <= 30*time.Second; at += poll {
		f.elapsed = at
		if err := s.show(f); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.SplitAfter(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 || strings.Contains(out.String(), "\x1b") {
		t.Fatalf("%q", lines)
	}
	const want = "  5s  sent 312 = received 301 + duplicates 11 | good 301 = 280 + 20 + 1 |"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("%s\nwant %s", lines[0], want)
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		line    string
		columns int
		want    string
		width   int
	}{
		{"abc", 5, "abc", 3},
		{"abcdef", 5, "abcde", 5},
		{"\x1b[32mabcdef\x1b[0m", 3, "\x1b[32mabc\x1b[0m", 3},
		{"äöü", 2, "äö", 2},
		{"abc", 0, "", 0},
	} {
		if got, width := cut(test.line, test.columns); got != test.want || width != test.width {
			t.Errorf("cut(%q, %d) = %q, %d; want %q, %d", test.line, test.columns, got, width, test.want, test.width)
		}
	}
}

func TestTheLogIsQuotedAtTheEnd(t *testing.T) {
	var log tail
	for range tailLines + 3 {
		if _, err := log.Write([]byte("level=ERROR msg=trouble\n")); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	quietScreen(&out).quote(&log)
	if got := strings.Count(out.String(), "trouble"); got != tailLines || !strings.Contains(out.String(), "3 lines before") {
		t.Errorf("%d lines:\n%s", got, &out)
	}
}
