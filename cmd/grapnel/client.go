package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// remote are the flags of every command that talks to a gateway.
type remote struct {
	URL   string `name:"url" env:"GRAPNEL_URL" default:"http://127.0.0.1:8081" help:"The gateway's admin address."`
	Token string `env:"GRAPNEL_TOKEN" help:"The admin token. Default: the one in ${token_file}, beside the gateway's store."`
}

// tokenFile is where a gateway with the default store writes its token.
const tokenFile = "grapnel-data/admin-token"

// Bounds on a request.
const (
	requestTimeout = time.Hour // a replay of everything takes its time
	maxAnswer      = 256 << 20 // bytes
	quiet          = 2 * time.Second
)

// client talks to the admin listener of one gateway.
type client struct {
	base  string
	token string
	http  http.Client
}

// AfterApply makes the client that the command's Run gets.
func (r *remote) AfterApply(k *kong.Context) error {
	base, err := url.Parse(r.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return fmt.Errorf("--url: %q is not an address like http://127.0.0.1:8081", r.URL)
	}
	c := &client{base: strings.TrimSuffix(r.URL, "/"), token: r.Token}
	c.http.Timeout = requestTimeout
	// The token must not follow a redirect to another place.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	k.Bind(c)
	return nil
}

// do performs a request and returns the answer's body. body is nil, JSON as
// []byte, or anything that is to be written as JSON.
func (c *client) do(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	token, err := c.adminToken()
	if err != nil {
		return nil, err
	}
	payload, ok := body.([]byte)
	if body != nil && !ok {
		if payload, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	patience := time.AfterFunc(quiet, func() { fmt.Fprintf(os.Stderr, "waiting for %s ...\n", c.base) })
	defer patience.Stop()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.unreachable(ctx, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the answer is longer than %d MiB; ask for less with --limit", maxAnswer>>20)
	case resp.StatusCode/100 != 2:
		return nil, c.refused(resp, answer)
	}
	return answer, nil
}

func (c *client) adminToken() (string, error) {
	if c.token != "" {
		return c.token, nil
	}
	text, err := os.ReadFile(tokenFile)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("no admin token: there is no %s here; give --token or GRAPNEL_TOKEN, or run this where the gateway runs", tokenFile)
	}
	return strings.TrimSpace(string(text)), err
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; what the gateway had done by then stays done")
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("no answer from %s: %w; is \"grapnel serve\" running there? --url or GRAPNEL_URL says where it is", c.base, err)
}

// refused tells what the gateway says: in problem details (RFC 9457) under
// /v1, in Okta's error shape under /api/v1.
func (c *client) refused(resp *http.Response, answer []byte) error {
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%s does not accept the token; --token, GRAPNEL_TOKEN or %s must hold the gateway's admin token", c.base, tokenFile)
	}
	var said struct {
		Detail  string `json:"detail"`
		Summary string `json:"errorSummary"`
		Causes  []struct {
			Summary string `json:"errorSummary"`
		} `json:"errorCauses"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Detail == "" && said.Summary == "" {
		return fmt.Errorf("%w: %s", c.strange(), resp.Status)
	}
	text := said.Detail + said.Summary
	for _, cause := range said.Causes {
		text += "; " + cause.Summary
	}
	return errors.New(printable(text))
}

func (c *client) strange() error {
	return fmt.Errorf("%s does not answer as a gateway does; --url or GRAPNEL_URL must be its admin address", c.base)
}

// object performs a request that answers one JSON object.
func (c *client) object(ctx context.Context, method, path string, body any) (row, json.RawMessage, error) {
	answer, err := c.do(ctx, method, path, nil, body)
	if err != nil {
		return nil, nil, err
	}
	var r row
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, nil, c.strange()
	}
	return r, answer, nil
}

// listing is a list of the API, as far as it was read.
type listing struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next,omitempty"`
}

// list reads pages until it has limit items or the list has ended.
func (c *client) list(ctx context.Context, path string, query url.Values, limit int) (listing, error) {
	const largest = 1000 // that the API allows
	all := listing{Items: []json.RawMessage{}}
	for {
		query.Set("limit", fmt.Sprint(min(largest, limit-len(all.Items))))
		answer, err := c.do(ctx, http.MethodGet, path, query, nil)
		if err != nil {
			return all, err
		}
		var page listing
		if err := json.Unmarshal(answer, &page); err != nil || page.Items == nil {
			return all, c.strange()
		}
		all.Items = append(all.Items, page.Items...)
		all.Next = page.Next
		if page.Next == "" || len(all.Items) >= limit {
			return all, nil
		}
		query.Set("after", page.Next)
	}
}
