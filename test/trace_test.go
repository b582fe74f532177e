package test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// traced are the system calls that tell what goes to disk and what is said to
// the outside. A question mark lets a machine be without one.
const traced = "execve,?open,openat,?mkdir,mkdirat,?link,linkat,?unlink,unlinkat,read,write,pwrite64,ftruncate,fsync,fdatasync"

// traceCommand runs a program under strace, which writes a trace to a file:
// with the paths of descriptors, and every byte of every string as \xNN.
func traceCommand(file string) []string {
	return []string{"strace", "-f", "-y", "-xx", "-s", "65536", "--seccomp-bpf", "-e", "signal=none", "-e", "trace=" + traced, "-o", file}
}

// tracedCall is one system call of a trace. strace stops a thread before and
// after each call, so what happened because of a call that ended comes later in
// the trace than that end: the order of the lines is one of cause and effect.
type tracedCall struct {
	name       string
	path       string // that it made or opened, or of the descriptor that it is about
	from       string // what it linked to
	args       []string
	data       []byte // read or written
	result     int
	begin, end int // lines; end is beyond all others when it did not end
}

// never is the end of calls that did not end.
const never = 1 << 60

// readTrace reads the trace of a process that has ended.
func readTrace(t testing.TB, file string) []*tracedCall {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, 1<<20)
	type part struct {
		call *tracedCall
		text string
	}
	open := make(map[string]part) // by thread
	var calls []*tracedCall
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		thread, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		text = strings.TrimSpace(text)
		p := part{call: &tracedCall{begin: n, end: n}, text: text}
		switch {
		case strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---"):
			continue
		case strings.HasPrefix(text, "<... "):
			p = open[thread]
			delete(open, thread)
			_, rest, _ := strings.Cut(text, " resumed>")
			p.text += rest
			p.call.end = n
		case strings.HasSuffix(text, "<unfinished ...>"):
			p.text = strings.TrimSuffix(text, "<unfinished ...>")
			p.call.end = never
			open[thread] = p
			calls = append(calls, p.call)
			p.call.parse(p.text)
			continue
		default:
			calls = append(calls, p.call)
		}
		p.call.parse(p.text)
	}
	if len(calls) == 0 {
		t.Fatal("the trace is empty")
	}
	return calls
}

// parse reads what is there of "name(argument, ...) = result". As all strings
// are in hexadecimal, nothing in them looks like something else.
func (c *tracedCall) parse(text string) {
	name, rest, _ := strings.Cut(text, "(")
	c.name = name
	inside, result := rest, ""
	if i := strings.LastIndex(rest, ") "); i >= 0 {
		inside, result = rest[:i], rest[i:]
	}
	c.args = strings.Split(inside, ",")
	for i := range c.args {
		c.args[i] = strings.TrimSpace(c.args[i])
	}
	_, result, _ = strings.Cut(result, "= ")
	number, _, _ := strings.Cut(strings.TrimSpace(result), " ")
	number, _, _ = strings.Cut(number, "<")
	c.result, _ = strconv.Atoi(number)
	switch c.name {
	case "open", "openat":
		_, opened, _ := strings.Cut(result, "<")
		opened, _, _ = strings.Cut(opened, ">")
		c.path = unhex(opened)
	case "mkdir", "mkdirat", "unlink", "unlinkat":
		c.path = unhex(between(inside, `"`, `"`))
	case "link", "linkat":
		_, to, _ := strings.Cut(inside, `", `)
		c.from, c.path = unhex(between(inside, `"`, `"`)), unhex(between(to, `"`, `"`))
	default:
		c.path = unhex(between(c.args[0], "<", ">"))
		if len(c.args) > 1 && strings.HasPrefix(c.args[1], `"`) {
			c.data = []byte(unhex(between(c.args[1], `"`, `"`)))
		}
	}
}

func between(text, left, right string) string {
	_, text, _ = strings.Cut(text, left)
	text, _, _ = strings.Cut(text, right)
	return text
}

// unhex reads \xNN\xNN... and leaves other text as it is.
func unhex(text string) string {
	if !strings.HasPrefix(text, `\x`) {
		return text
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
	if err != nil {
		return ""
	}
	return string(b)
}

func (c *tracedCall) succeeded() bool { return c.end != never && c.result >= 0 }

func (c *tracedCall) creates() bool {
	switch c.name {
	case "mkdir", "mkdirat", "link", "linkat":
		return c.succeeded()
	case "open", "openat":
		return c.succeeded() && strings.Contains(strings.Join(c.args, " "), "O_CREAT")
	default:
		return false
	}
}

func (c *tracedCall) syncs(path string) bool {
	return (c.name == "fsync" || c.name == "fdatasync") && c.path == path && c.succeeded()
}

// syncedBetween reports whether a file was synced by a call that began after
// one line and had ended by another.
func syncedBetween(calls []*tracedCall, path string, after, before int) bool {
	for _, c := range calls {
		if c.syncs(path) && c.begin > after && c.end < before {
			return true
		}
	}
	return false
}

// answer is a 2xx on its way to a caller.
type answer struct {
	line    int
	request string   // its first line
	marks   []string // what its request carried that can be found again on disk
}

var marked = regexp.MustCompile(`mark-[a-z0-9-]+`)

// answers finds every 2xx that the gateway gave, with the marks of its request.
func answers(calls []*tracedCall) (found []answer) {
	// A write has its effect after its beginning, a read has it before its end.
	at := func(c *tracedCall) int {
		if c.name == "read" {
			return c.end
		}
		return c.begin
	}
	calls = slices.SortedFunc(slices.Values(calls), func(a, b *tracedCall) int { return at(a) - at(b) })
	read := make(map[string][]byte) // since its last answer, by connection
	for _, c := range calls {
		if !strings.HasPrefix(c.path, "socket:") && !strings.HasPrefix(c.path, "TCP:") {
			continue
		}
		switch {
		case c.name == "read" && c.succeeded():
			read[c.path] = append(read[c.path], c.data[:min(c.result, len(c.data))]...)
		case c.name == "write" && bytes.HasPrefix(c.data, []byte("HTTP/1.1 ")):
			if request := read[c.path]; c.data[len("HTTP/1.1 ")] == '2' {
				first, _, _ := bytes.Cut(request, []byte("\r\n"))
				a := answer{line: c.begin, request: string(first)}
				for _, mark := range marked.FindAll(request, -1) {
					a.marks = append(a.marks, string(mark))
				}
				found = append(found, a)
			}
			delete(read, c.path)
		}
	}
	return found
}

// Sizes in SQLite's write-ahead log (sqlite.org/fileformat2.html, "The WAL File
// Format"): SQLite writes the header of a frame and then its page.
const (
	frameHeader = 24
	pageSize    = 4096
)

// walWrite is one page written to the log.
type walWrite struct {
	page   []byte
	commit bool // the last of its transaction
	end    int
}

func walWrites(calls []*tracedCall, wal string) (writes []walWrite) {
	commit := false
	for _, c := range calls {
		if c.name != "pwrite64" || c.path != wal || !c.succeeded() {
			continue
		}
		switch len(c.data) {
		case frameHeader:
			commit = binary.BigEndian.Uint32(c.data[4:]) != 0
		case pageSize:
			writes = append(writes, walWrite{page: c.data, commit: commit, end: c.end})
		}
	}
	return writes
}

// unsyncedAnswers holds every answer against the log: everything that its
// request carried must have been written there, and the end of that
// transaction, and then a sync must have begun and ended, all before the answer.
func unsyncedAnswers(calls []*tracedCall, wal string) (violations []string) {
	writes := walWrites(calls, wal)
	for _, a := range answers(calls) {
		for _, mark := range a.marks {
			written := false
			for i := range writes {
				// The table of uuids holds them as they are; all else is compressed.
				written = written || bytes.Contains(writes[i].page, []byte(mark))
				if !written || !writes[i].commit {
					continue
				}
				if !syncedBetween(calls, wal, writes[i].end, a.line) {
					violations = append(violations, fmt.Sprintf("%s was acknowledged in line %d, but not synced after line %d", mark, a.line, writes[i].end))
				}
				break
			}
			if !written {
				violations = append(violations, fmt.Sprintf("%s was acknowledged in line %d and never written", mark, a.line))
			}
		}
	}
	return violations
}

// unsyncedFile says how a file or directory could be gone, or be empty, after a
// power cut at a line; "" when it could not. The directory that holds it must
// have been synced since it was made, and what was written to it before it had
// its name must have been synced before that.
func unsyncedFile(calls []*tracedCall, path string, line int) string {
	var made *tracedCall
	for _, c := range calls {
		if c.creates() && c.path == path && c.end < line {
			made = c
			break // whoever opens it later does not make it
		}
	}
	if made == nil {
		return fmt.Sprintf("%s was not made before line %d", path, line)
	}
	if !syncedBetween(calls, filepath.Dir(path), made.end, line) {
		return fmt.Sprintf("%s was made in line %d, and its directory not synced before line %d", path, made.begin, line)
	}
	for _, c := range calls {
		if made.from != "" && c.path == made.from && c.name == "write" && !syncedBetween(calls, made.from, c.end, made.begin) {
			return fmt.Sprintf("%s was written in line %d, and has its name since line %d without a sync", path, c.begin, made.begin)
		}
	}
	return ""
}

// onDisk is what is in a file for certain when the power is cut at a line: what
// was written before a sync that has ended. A file is written by one thread at
// a time, so no write is under way while it is synced.
func onDisk(calls []*tracedCall, path string, line int) []byte {
	var written, synced []byte
	for _, c := range calls {
		if c.path != path || c.end >= line {
			continue
		}
		switch {
		case c.name == "pwrite64" && c.succeeded():
			at, err := strconv.Atoi(c.args[3])
			if err != nil {
				panic(fmt.Sprintf("line %d: %v", c.begin, err))
			}
			if end := at + len(c.data); end > len(written) {
				written = append(written, make([]byte, end-len(written))...)
			}
			copy(written[at:], c.data)
		case c.name == "ftruncate" && c.succeeded():
			if size, err := strconv.Atoi(c.args[1]); err == nil && size <= len(written) {
				written = written[:size]
			}
		case c.syncs(path):
			synced = bytes.Clone(written)
		}
	}
	return synced
}
