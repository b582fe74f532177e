package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The trials in this package that end a gateway the hard way, starve it or feed
// it rubbish use the real program, as a process, over real sockets.

// patience bounds every wait for something that a healthy gateway does soon. It
// is long, as the machine may be busy with something else.
const patience = time.Minute

var programs struct {
	sync.Mutex
	dir   string
	built map[string]string // file by build flags
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// program builds grapnel, once for each set of build flags.
func program(t *testing.T, flags ...string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "grapnel-test-")
		if err != nil {
			t.Fatal(err)
		}
		programs.dir, programs.built = dir, make(map[string]string)
	}
	key := strings.Join(flags, " ")
	if file := programs.built[key]; file != "" {
		return file
	}
	file := filepath.Join(programs.dir, "grapnel-"+strconv.Itoa(len(programs.built)))
	seeSource(t)
	args := append(append([]string{"build", "-o", file}, flags...), "github.com/grapnel-hooks/grapnel/cmd/grapnel")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	programs.built[key] = file
	return file
}

// seeSource looks at every file that the program is built from, so that go test
// knows on what this test depends: what a child reads it does not see, and
// would report an old result.
func seeSource(t *testing.T) {
	t.Helper()
	files := 0
	for _, dir := range []string{"../cmd", "../internal", "../go.mod"} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				files++
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 2 {
		t.Fatal("the program's source is not where it was")
	}
}

// site is a place where a gateway lives, over all its lives: a directory, and
// what it is started with.
type site struct {
	testing.TB
	dir     string
	command []string
	trace   string // where strace writes, when it runs the command
	client  *http.Client
	token   string // of the admin, once known
	life    *life  // the last one
}

// newSite makes a place for a gateway whose store lies in dir.
func newSite(t *testing.T, dir, program string) *site {
	s := &site{
		TB: t, dir: dir,
		command: []string{
			program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
			"--store", "sqlite:" + filepath.Join(dir, "grapnel.db"),
			"--allow-http", "--allow-destination", "127.0.0.1/32",
		},
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	t.Cleanup(func() {
		if s.life != nil {
			s.life.kill()
		}
		s.client.CloseIdleConnections()
	})
	return s
}

// life is one run of the program, from its start to its end.
type life struct {
	*site
	process       *exec.Cmd
	log           logbook
	public, admin string        // addresses, once it serves
	exited        chan struct{} // closed when it has ended
	end           error         // how, then
}

// logbook keeps what a process says.
type logbook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	serving chan struct{} // closed when it says that it serves
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start begins a life and does not wait for anything.
func (s *site) start() *life {
	s.Helper()
	l := &life{site: s, exited: make(chan struct{})}
	l.log.serving = make(chan struct{})
	l.process = exec.Command(s.command[0], s.command[1:]...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GRAPNEL_") {
			l.process.Env = append(l.process.Env, v)
		}
	}
	stderr, err := l.process.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := l.process.Start(); err != nil {
		s.Fatal(err)
	}
	s.life = l
	go func() {
		l.listen(stderr)
		l.end = l.process.Wait()
		close(l.exited)
	}()
	return l
}

// listen reads the log, in which the gateway says where it serves.
func (l *life) listen(stderr io.Reader) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		l.log.mu.Lock()
		l.log.text.WriteString(line)
		l.log.mu.Unlock()
		if strings.Contains(line, "msg=serving") {
			l.public, l.admin = logField(line, "public"), logField(line, "admin")
			close(l.log.serving)
		}
		if err != nil {
			return
		}
	}
}

func logField(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key+"=")
	value, _, _ := strings.Cut(rest, " ")
	return strings.TrimSpace(value)
}

// serve begins a life and waits until the gateway serves.
func (s *site) serve() *life {
	s.Helper()
	l := s.start()
	if !l.serves() {
		s.Fatalf("the gateway does not serve: %v\n%s", l.end, l.log.String())
	}
	return l
}

// serves waits until the gateway serves, and reports false when it ends first.
func (l *life) serves() bool {
	l.Helper()
	select {
	case <-l.log.serving:
	case <-l.exited:
		return false
	case <-time.After(patience):
		l.Fatalf("the gateway neither serves nor ends\n%s", l.log.String())
	}
	if l.token == "" {
		token, err := os.ReadFile(filepath.Join(l.dir, "admin-token"))
		if err != nil {
			l.Fatal(err)
		}
		l.token = strings.TrimSpace(string(token))
	}
	return true
}

// signal sends a signal to the gateway, unless it has ended.
func (l *life) signal(signal syscall.Signal) {
	select {
	case <-l.exited:
		return
	default:
	}
	if l.trace == "" {
		_ = l.process.Process.Signal(signal)
		return
	}
	// strace ends with the process that it runs, whose number it writes first.
	until(l, "a trace", func() bool {
		text, _ := os.ReadFile(l.trace)
		number, _, found := strings.Cut(string(text), " ")
		pid, err := strconv.Atoi(number)
		if found && err == nil {
			_ = syscall.Kill(pid, signal)
		}
		return found
	})
}

// kill ends the process at once, wherever it is.
func (l *life) kill() {
	l.signal(syscall.SIGKILL)
	<-l.exited
}

// stop asks the process to end, and expects it to end well.
func (l *life) stop() {
	l.Helper()
	l.signal(syscall.SIGTERM)
	l.ends()
}

// ends waits for an end that is expected to be a good one.
func (l *life) ends() {
	l.Helper()
	select {
	case <-l.exited:
	case <-time.After(patience):
		l.kill()
		l.Fatalf("the gateway does not stop\n%s", l.log.String())
	}
	if l.end != nil {
		l.Fatalf("the gateway stopped with: %v\n%s", l.end, l.log.String())
	}
}

// call calls the admin listener and reads the answer, which must have a
// status, into v if that is not nil.
func (l *life) call(method, path, body string, status int, v any) {
	l.Helper()
	got, answer, err := l.try(method, path, body)
	if err != nil {
		l.Fatalf("%s %s: %v", method, path, err)
	}
	if got != status {
		l.Fatalf("%s %s: %d, want %d: %s", method, path, got, status, answer)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(answer, v); err != nil {
		l.Fatalf("%s %s: %v", method, path, err)
	}
}

func (l *life) try(method, path, body string) (status int, answer []byte, err error) {
	request, err := http.NewRequest(method, "http://"+l.admin+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "SSWS "+l.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := l.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// orgSecret is what the source acme shows.
const orgSecret = "Bearer of-the-org"

// createSource makes the source acme.
func (l *life) createSource() {
	l.Helper()
	l.call("POST", "/v1/sources", `{"name":"acme","auth":{"key":"Authorization","value":"`+orgSecret+`"}}`, http.StatusCreated, nil)
}

// createHook makes an event hook. events is the resource's member of that name.
func (l *life) createHook(name, uri, events, delivery string) (id string) {
	l.Helper()
	var created struct{ ID string }
	l.call("POST", "/api/v1/eventHooks", fmt.Sprintf(`{"name":%q,"events":%s,
		"channel":{"type":"HTTP","version":"1.0.0","config":{"uri":%q}},"delivery":%s}`,
		name, events, uri, delivery), http.StatusOK, &created)
	return created.ID
}

// everything is the events member of a hook that wants every event.
const everything = `{"type":"EVENT_TYPE","items":["*"]}`

// post is Okta's POST of some events to the source acme.
func (l *life) post(ctx context.Context, events ...string) (status int, header http.Header, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.public+"/in/acme", strings.NewReader(oktaDelivery(events...)))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", orgSecret)
	request.Header.Set("Content-Type", "application/json")
	response, err := l.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, nil, err
	}
	return response.StatusCode, response.Header, nil
}

// send posts events that must be acknowledged.
func (l *life) send(events ...string) {
	l.Helper()
	status, _, err := l.post(l.Context(), events...)
	if err != nil || status != http.StatusOK {
		l.Fatalf("POST /in/acme: %d, %v", status, err)
	}
}

// oktaDelivery is the body of Okta's POST of some events.
func oktaDelivery(events ...string) string {
	return `{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1",` +
		`"source":"https://acme.okta.example/api/v1/eventHooks/who1","eventId":"6c1b7a2e-93d4-4f0a-8b6e-2f5d1a7c9e30",` +
		`"data":{"events":[` + strings.Join(events, ",") + `]},"eventTime":"2026-01-01T00:00:00.000Z","contentType":"application/json"}`
}

// gatewayStats is what GET /v1/stats tells.
type gatewayStats struct {
	Hooks []struct {
		Name                                         string
		Matched, Delivered, Dead, Waiting, Cancelled int64
	}
	Sources []struct {
		Name                                                                            string
		Deliveries, Received, Duplicates, Rejected, Unauthorized, TooLarge, Unavailable int64
	}
	UnknownSources struct{ Deliveries int64 }
}

func (l *life) stats() (s gatewayStats) {
	l.Helper()
	l.call("GET", "/v1/stats", "", http.StatusOK, &s)
	return s
}

// until asks again and again until done, for as long as patience lasts.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	untilWithin(t, patience, what, done)
}

// untilWithin is until with a patience of its own.
func untilWithin(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("still not: %s", what)
		}
	}
}

// peakMemory is the most memory that the process has had, in bytes (VmHWM).
func (l *life) peakMemory() int64 {
	l.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.process.Process.Pid))
	if err != nil {
		l.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	if err != nil {
		l.Fatal(errors.Join(errors.New("no VmHWM in /proc/PID/status"), err))
	}
	return kilobytes << 10
}
