package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// startGateway starts `grapnel serve` on a store of its own and sets it up
// with one source and its event hooks, through the API as anyone would.
func (o *Options) startGateway(ctx context.Context, urls []string, orgHost string) (*subject, error) {
	listen, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	token := rand.Text()
	env := []string{"GRAPNEL_ADMIN_TOKEN=" + token}
	store, tidy := o.Store, func() error { return nil }
	if store == "" {
		dir, err := os.MkdirTemp(o.Dir, "grapnel-bench-")
		if err != nil {
			return nil, fmt.Errorf("no directory for the store can be made; name another with --dir: %w", err)
		}
		store, tidy = "sqlite:"+filepath.Join(dir, "grapnel.db"), func() error { return os.RemoveAll(dir) }
		key := make([]byte, 32)
		rand.Read(key)
		env = append(env, "GRAPNEL_SECRET_KEY="+base64.StdEncoding.EncodeToString(key))
	} else if key, ok := os.LookupEnv("GRAPNEL_SECRET_KEY"); ok {
		env = append(env, "GRAPNEL_SECRET_KEY="+key)
	}
	p, err := startProcess(ctx, gatewayName, o.Executable, []string{
		"serve", "--listen", listen, "--admin-listen", admin, "--store", store,
		"--allow-destination", "127.0.0.0/8", "--allow-http",
	}, env)
	if err != nil {
		return nil, errors.Join(err, tidy())
	}
	s := &subject{process: p, close: tidy}
	api := adminAPI{base: "http://" + admin, token: token}
	if err := s.untilReady(ctx, func(ctx context.Context) error {
		return api.call(ctx, http.MethodGet, "/readyz", nil)
	}); err != nil {
		return s, err
	}
	name := "bench-" + orgHost[:8]
	secret := rand.Text()
	s.target = target{address: listen, path: "/in/" + name, secret: secret}
	return s, api.setUp(ctx, name, secret, urls)
}

// adminAPI is the gateway's admin listener.
type adminAPI struct {
	base, token string
}

type object = map[string]any

// unmatched is an event type that no event of the load has.
const unmatched = "policy.lifecycle.update"

// setUp makes a source, and for every URL an event hook that takes all its
// events. Without a URL there is one hook, which takes none.
func (a adminAPI) setUp(ctx context.Context, name, secret string, urls []string) error {
	err := a.call(ctx, http.MethodPost, "/v1/sources", object{
		"name": name,
		"auth": object{"key": "Authorization", "value": secret},
	})
	if err != nil {
		return err
	}
	items := make([]string, len(eventTypes))
	for i, t := range eventTypes {
		items[i] = t[0]
	}
	if len(urls) == 0 {
		urls, items = []string{"http://127.0.0.1/"}, []string{unmatched}
	}
	for i, url := range urls {
		err := a.call(ctx, http.MethodPost, "/api/v1/eventHooks", object{
			"name":   name + "-" + strconv.Itoa(i),
			"events": object{"type": "EVENT_TYPE", "items": items},
			"channel": object{"type": "HTTP", "version": "1.0.0", "config": object{
				"uri":        url,
				"authScheme": object{"type": "HEADER", "key": "Authorization", "value": secret},
			}},
			"delivery": object{
				"verification": "none", // the sink does not do the handshake
				// All hooks together have as many attempts under way as the relay.
				"concurrency": (relayWorkers + len(urls) - 1) / len(urls),
				"sources":     []string{name},
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a adminAPI) call(ctx context.Context, method, path string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "SSWS "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the gateway answered %s to %s %s: %s", resp.Status, method, path, answer)
	}
	return nil
}
