package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// startGateway starts a gateway on a new store, which is removed afterwards.
func (o *Options) startGateway(ctx context.Context, urls []string, orgHost string) (*subject, error) {
	place, err := o.newSite(ctx)
	if err != nil {
		return nil, err
	}
	s, err := o.startOn(ctx, place, urls, orgHost)
	if s == nil {
		return nil, errors.Join(err, place.remove())
	}
	s.leave, s.close = stay, place.remove
	return s, err
}

// startOn starts a gateway at a site and sets it up with one source and its
// event hooks, through the API as anyone would. More arguments of serve may
// follow.
func (o *Options) startOn(ctx context.Context, place *site, urls []string, orgHost string, arguments ...string) (*subject, error) {
	s := &subject{site: place, leave: stay, close: func() error { return nil }}
	var err error
	if s.before, err = place.size(ctx); err != nil {
		return nil, err
	}
	g, err := o.serve(ctx, place, arguments...)
	if err != nil {
		return nil, err
	}
	s.process, s.api = g.process, g.api
	if err := g.untilReady(ctx); err != nil {
		return s, err
	}
	name, secret := "bench-"+orgHost[:8], rand.Text()
	s.target = g.target(name, secret)
	// All hooks together have as many attempts under way as the relay.
	hooks, err := g.api.setUp(ctx, name, secret, urls, (relayWorkers+len(urls)-1)/max(1, len(urls)))
	s.leave = func(ctx context.Context) error { return g.api.takeDown(ctx, name, hooks) }
	return s, err
}

// gateway is a process of `grapnel serve`.
type gateway struct {
	*process
	listen string
	api    adminAPI
}

// serve starts a gateway at a site; it is not ready yet.
func (o *Options) serve(ctx context.Context, place *site, arguments ...string) (*gateway, error) {
	listen, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	all := append([]string{
		"serve", "--listen", listen, "--admin-listen", admin, "--allow-destination", "127.0.0.0/8", "--allow-http",
	}, place.arguments()...)
	p, err := startProcess(ctx, gatewayName, o.Executable, append(all, arguments...))
	if err != nil {
		return nil, err
	}
	return &gateway{process: p, listen: listen, api: adminAPI{base: "http://" + admin, token: place.token}}, nil
}

// untilReady waits until the gateway says that it is ready.
func (g *gateway) untilReady(ctx context.Context) error {
	return g.process.untilReady(ctx, func(ctx context.Context) error {
		return g.api.call(ctx, http.MethodGet, "/readyz", nil, nil)
	})
}

// target is where a source's events go.
func (g *gateway) target(source, secret string) target {
	return target{address: g.listen, path: "/in/" + source, secret: secret}
}

// callTimeout bounds one call of the API.
const callTimeout = 30 * time.Second

// adminAPI is the gateway's admin listener.
type adminAPI struct {
	base, token string
}

type object = map[string]any

// unmatched is an event type that no event of the load has.
const unmatched = "policy.lifecycle.update"

// setUp makes a source, and for every URL an event hook that takes all its
// events, with so many attempts at once; it returns their ids. Without a URL there
// is one hook, which takes none.
func (a adminAPI) setUp(ctx context.Context, name, secret string, urls []string, concurrency int) (hooks []string, err error) {
	err = a.call(ctx, http.MethodPost, "/v1/sources", object{
		"name": name,
		"auth": object{"key": "Authorization", "value": secret},
	}, nil)
	if err != nil {
		return nil, err
	}
	items := make([]string, len(eventTypes))
	for i, t := range eventTypes {
		items[i] = t[0]
	}
	if len(urls) == 0 {
		urls, items = []string{"http://127.0.0.1/"}, []string{unmatched}
	}
	for i, url := range urls {
		var made struct{ ID string }
		err := a.call(ctx, http.MethodPost, "/api/v1/eventHooks", object{
			"name":   name + "-" + strconv.Itoa(i),
			"events": object{"type": "EVENT_TYPE", "items": items},
			"channel": object{"type": "HTTP", "version": "1.0.0", "config": object{
				"uri":        url,
				"authScheme": object{"type": "HEADER", "key": "Authorization", "value": secret},
			}},
			"delivery": object{
				"verification": "none", // the sink does not do the handshake
				"concurrency":  concurrency,
				"sources":      []string{name},
			},
		}, &made)
		if err != nil {
			return hooks, err
		}
		hooks = append(hooks, made.ID)
	}
	return hooks, nil
}

// takeDown removes what setUp has made, so that it costs later events nothing.
func (a adminAPI) takeDown(ctx context.Context, source string, hooks []string) error {
	for _, id := range hooks {
		path := "/api/v1/eventHooks/" + id
		if err := a.call(ctx, http.MethodPost, path+"/lifecycle/deactivate", nil, nil); err != nil {
			return err
		}
		if err := a.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
	}
	return a.call(ctx, http.MethodDelete, "/v1/sources/"+source, nil, nil)
}

// call makes one call, and reads the answer into answer if that is not nil.
func (a adminAPI) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
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
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the gateway answered %s to %s %s: %.4000s", resp.Status, method, path, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
