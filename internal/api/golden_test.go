package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the API answers into the golden files")

// A golden file holds exchanges with one fresh world: a request line and
// perhaps a body, a line of dashes, the status and the body of the answer. A
// line of equals signs stands between two exchanges.
const (
	dashes = "\n----\n"
	equals = "\n====\n"
)

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	newWorld(t) // what the store makes on first use must not belong to one bubble
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".golden"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { golden(t, file) })
		})
	}
}

func golden(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	var got []string
	for exchange := range strings.SplitSeq(string(text), equals) {
		request, _, _ := strings.Cut(exchange, dashes)
		request = strings.TrimSpace(request)
		line, body, _ := strings.Cut(request, "\n")
		method, path, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("%q is no request line", line)
		}
		answer := w.call(method, path, body)
		got = append(got, request+dashes+shown(t, answer.Code, answer.Body.Bytes()))
	}
	all := strings.Join(got, equals) + "\n"
	if *update {
		w.must(os.WriteFile(file, []byte(all), 0o644))
		return
	}
	if diff := cmp.Diff(string(text), all); diff != "" {
		t.Error(diff)
	}
}

var (
	replayID = regexp.MustCompile(`rpl[a-z2-7]{26}`)
	onDisk   = regexp.MustCompile(`"bytes": \d+`)
)

// shown is an answer, less what differs each time.
func shown(t *testing.T, status int, body []byte) string {
	if len(body) == 0 {
		return fmt.Sprint(status)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, body, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	text := strings.TrimSpace(indented.String())
	text = replayID.ReplaceAllString(text, "rpl(random)")
	return fmt.Sprintf("%d\n%s", status, onDisk.ReplaceAllString(text, `"bytes": 0`))
}
