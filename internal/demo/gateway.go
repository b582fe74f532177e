package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

const (
	anyPort     = "127.0.0.1:0"
	stopping    = 5 * time.Second  // attempts under way may take that long
	apiPatience = 30 * time.Second // of one call
	maxAnswer   = 64 << 20         // bytes of its answer
)

// gateway is a gateway like any other, but for its store in a temporary
// directory. Everything but starting and stopping it goes through its API.
type gateway struct {
	app    *app.App
	dir    string
	client *http.Client
	url    string // of its APIs
	log    *tail
}

// startGateway starts a gateway at the default ports, or others when these are
// taken.
func startGateway(ctx context.Context, version string, network *app.Network) (*gateway, error) {
	g := &gateway{log: &tail{}, client: newClient(network)}
	var err error
	if g.dir, err = os.MkdirTemp("", "grapnel-demo-"); err != nil {
		return nil, fmt.Errorf("%w; name a directory for temporary files with TMPDIR", err)
	}
	if err := g.start(ctx, version, network); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

func (g *gateway) start(ctx context.Context, version string, network *app.Network) (err error) {
	preferring := *network
	preferring.Listen = func(protocol, address string) (net.Listener, error) {
		l, err := network.Listen(protocol, address)
		if err != nil {
			return network.Listen(protocol, anyPort)
		}
		return l, nil
	}
	g.app, err = app.New(ctx, app.Options{
		Store: "sqlite:" + filepath.Join(g.dir, "grapnel.db"), AllowDestination: []string{"127.0.0.0/8"}, AllowHTTP: true,
		Version: version, Network: &preferring,
		Log: slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		g.app = nil
		return err
	}
	g.url = "http://" + g.app.AdminAddr().String()
	return g.app.Start(ctx)
}

// newClient makes a client that knows nothing of the environment's proxies.
func newClient(network *app.Network) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: network.Dial, MaxIdleConnsPerHost: 4},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// stop ends the gateway and removes what it kept.
func (g *gateway) stop() {
	g.client.CloseIdleConnections()
	if g.app != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopping)
		defer cancel()
		g.app.Stop(ctx)
	}
	if err := os.RemoveAll(g.dir); err != nil {
		// A tail takes everything.
		_, _ = fmt.Fprintf(g.log, "%s could not be removed: %v\n", g.dir, err)
	}
}

// call calls an API of the gateway; body is sent as JSON unless it is nil, and
// the answer read into answer unless that is nil.
func (g *gateway) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, apiPatience)
	defer cancel()
	payload, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		payload = nil
	}
	request, err := http.NewRequestWithContext(ctx, method, g.url+path, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "SSWS "+g.app.Token())
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := g.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case response.StatusCode < 200 || response.StatusCode > 299:
		return fmt.Errorf("the gateway answered %s %s with %s: %s", method, path, response.Status, text)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(text, answer)
}

// list calls each for every item of a list, page by page.
func list[T any](ctx context.Context, g *gateway, path string, query url.Values, each func(T)) error {
	query.Set("limit", "1000")
	for {
		var page struct {
			Items []T
			Next  string
		}
		if err := g.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			each(item)
		}
		if page.Next == "" {
			return nil
		}
		query.Set("after", page.Next)
	}
}

// stats is what the demo reads of GET /v1/stats.
type stats struct {
	Hooks   []hookCounters
	Sources []sourceCounters
}

type sourceCounters struct {
	Name                           string
	Received, Duplicates, Rejected int
}

type hookCounters struct {
	ID                                                     string
	Matched, Delivered, Waiting, Dead, Cancelled, Attempts int
}

func (g *gateway) stats(ctx context.Context) (s stats, err error) {
	err = g.call(ctx, http.MethodGet, "/v1/stats", nil, &s)
	return s, err
}

// source returns the counters of the demo's source.
func (s *stats) source() sourceCounters {
	i := slices.IndexFunc(s.Sources, func(c sourceCounters) bool { return c.Name == sourceName })
	if i < 0 {
		return sourceCounters{Name: sourceName}
	}
	return s.Sources[i]
}

func (s *stats) hook(id string) hookCounters {
	i := slices.IndexFunc(s.Hooks, func(c hookCounters) bool { return c.ID == id })
	if i < 0 {
		return hookCounters{ID: id}
	}
	return s.Hooks[i]
}

// tail keeps the end of a log: it must not be written into the display.
type tail struct {
	mu    sync.Mutex
	lines []string
	more  int // lines that were dropped
}

const tailLines = 10

// Write takes one line, as slog's handlers write.
func (t *tail) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == tailLines {
		t.lines = t.lines[1:]
		t.more++
	}
	t.lines = append(t.lines, string(bytes.TrimRight(line, "\n")))
	return len(line), nil
}

// read returns the last lines, and how many came before them.
func (t *tail) read() (lines []string, more int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines), t.more
}
