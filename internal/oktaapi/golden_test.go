package oktaapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

var update = flag.Bool("update", false, "write the answers of this run into the golden files")

const (
	answerLine = "---"
	nextLine   = "==="
)

// TestGolden plays each file of testdata/golden against a gateway of its own: a
// request, a line of dashes, the answer it must get, a line of equals signs, and
// so on. A request is its first line, headers, an empty line, the body; "!hold
// <hook1> gone" in place of one puts a hook on hold. Ids are numbered in the
// order of their appearance. A second passes before each request.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var played []string
			synctest.Test(t, func(t *testing.T) {
				p := &player{gateway: newGateway(t)}
				for part := range strings.SplitSeq(string(text), "\n"+nextLine+"\n") {
					request, _, _ := strings.Cut(part, "\n"+answerLine+"\n")
					<-time.After(time.Second)
					played = append(played, request+"\n"+answerLine+"\n"+p.play(t, request))
				}
			})
			got := strings.Join(played, "\n"+nextLine+"\n") + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		})
	}
}

type player struct {
	*gateway
	ids []string
}

func (p *player) play(t *testing.T, request string) string {
	for strings.HasPrefix(request, "#") {
		_, request, _ = strings.Cut(request, "\n")
	}
	for i, id := range p.ids {
		request = strings.ReplaceAll(request, name(i), id)
	}
	if strings.HasPrefix(request, "!hold ") {
		return p.hold(t, strings.Fields(request)[1], hook.Reason(strings.Fields(request)[2]))
	}
	line, rest, _ := strings.Cut(request, "\n")
	head, body, _ := strings.Cut("\n"+rest, "\n\n")
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.TrimPrefix(head, "\n") + "\n\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("headers of %q: %v", line, err)
	}
	method, path, _ := strings.Cut(line, " ")
	w := p.call(method, path, http.Header(header), body)
	return p.shown(t, w.Code, w.Header(), w.Body.Bytes())
}

func (p *player) hold(t *testing.T, id string, reason hook.Reason) string {
	h, err := p.admin.EventHook(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.store.Hold(context.Background(), h.Number, reason, time.Now(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	return "on hold"
}

var (
	hookID  = regexp.MustCompile(`\bwho[0-9A-Za-z]{17}\b`)
	errorID = regexp.MustCompile(`"oae[0-9A-Za-z]{22}"`)
	// What follows is in the words of package expression.
	position = regexp.MustCompile(`(line \d+, column \d+: )(?:[^"\\]|\\.)*`)
)

// shown is the answer without what is random in it, or another package's prose.
func (p *player) shown(t *testing.T, status int, header http.Header, body []byte) string {
	var b strings.Builder
	fmt.Fprintln(&b, status)
	for _, key := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintf(&b, "%s: %s\n", key, header.Get(key))
	}
	text := errorID.ReplaceAllString(spread(t, body), `"<errorId>"`)
	text = position.ReplaceAllString(text, "$1<why>")
	for _, id := range hookID.FindAllString(text, -1) {
		if !slices.Contains(p.ids, id) && id != "whoDoesNotExist00001" {
			p.ids = append(p.ids, id)
		}
	}
	for i, id := range p.ids {
		text = strings.ReplaceAll(text, id, name(i))
	}
	b.WriteString("\n" + text)
	return strings.TrimRight(b.String(), "\n")
}

// spread puts each member of an object, or of the objects in an array, on a
// line of its own, so that a difference is easy to see.
func spread(t *testing.T, body []byte) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	var b strings.Builder
	for {
		before := dec.InputOffset()
		token, err := dec.Token()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatalf("the answer is not JSON: %v: %s", err, body)
		}
		switch token {
		case json.Delim('{'), json.Delim('['), json.Delim('}'), json.Delim(']'):
			b.Write(bytes.TrimLeft(body[before:dec.InputOffset()], ","))
			b.WriteByte('\n')
			continue
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("the answer is not JSON: %v: %s", err, body)
		}
		fmt.Fprintf(&b, "  %q: %s\n", token, value)
	}
}

func name(i int) string { return fmt.Sprintf("<hook%d>", i+1) }
