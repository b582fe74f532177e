package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type sourcesCmd struct {
	remote `embed:""`
	List   sourcesList   `cmd:"" help:"List sources."`
	Get    sourcesGet    `cmd:"" help:"Show one source."`
	Create sourcesCreate `cmd:"" help:"Create a source, and show what to paste into Okta."`
	Delete sourcesDelete `cmd:"" help:"Delete a source; its events stay."`
}

const sourcesPath = "/v1/sources"

func sourcePath(name string) string { return sourcesPath + "/" + url.PathEscape(name) }

var sourceColumns = []column{
	{"NAME", "name", false},
	{"URL", "url", false},
	{"EVENTS", "counters.received", false},
	{"DUPLICATES", "counters.duplicates", false},
	{"REJECTED", "counters.rejected", false},
	{"REFUSED", "counters.unauthorized", false},
	{"VERIFIED WITH", "challenge.secret", false},
	{"HOST", "host", true},
}

type sourcesList struct {
	output
	paging
}

func (cmd *sourcesList) Run(ctx context.Context, c *client) error {
	found, err := c.list(ctx, sourcesPath, cmd.query(), cmd.Limit)
	if err != nil {
		return err
	}
	return cmd.printList("sources", found, sourceColumns)
}

type sourcesGet struct {
	output
	Name string `arg:"" help:"The source's name."`
}

func (cmd *sourcesGet) Run(ctx context.Context, c *client) error {
	s, raw, err := c.object(ctx, http.MethodGet, sourcePath(cmd.Name), nil)
	if err != nil {
		return err
	}
	if n := s.text("counters.rejected"); n != "" && n != "0" {
		talk("What was rejected, and why: GET /v1/rejected?source=%s", cmd.Name)
	}
	return cmd.printSource(s, raw, "", sourceFields)
}

// printSource prints a source, with its secret if it was made here.
func (o *output) printSource(s row, raw []byte, secret string, columns []column) error {
	for _, warning := range s.texts("warnings") {
		talk("Warning: %s", warning)
	}
	if auth, ok := s["auth"].(map[string]any); ok && secret != "" {
		auth["value"] = secret
		var err error
		if raw, err = json.Marshal(s); err != nil {
			return err
		}
	}
	if o.json() {
		return printJSON(raw)
	}
	return printFields(s, columns)
}

// The lines of a source: what is to be entered in Okta, and how it went since.
var (
	setupFields = []column{
		{"Name", "name", false},
		{"Endpoint URL", "url", false},
		{"Authentication field", "auth.key", false},
		{"Authentication secret", "auth.value", false},
		{"Custom headers", "auth.headers", false},
	}
	sourceFields = append(slices.Clone(setupFields),
		column{"Org", "host", false},
		column{"Created", "created", false},
		column{"Older secret until", "previous.until", false},
		column{"Verified at", "challenge.at", false},
		column{"Verified with secret", "challenge.secret", false},
		column{"Deliveries", "counters.deliveries", false},
		column{"Events", "counters.received", false},
		column{"Duplicates", "counters.duplicates", false},
		column{"Rejected", "counters.rejected", false},
		column{"Refused (401)", "counters.unauthorized", false},
		column{"Too large (413)", "counters.tooLarge", false},
		column{"Unavailable (503)", "counters.unavailable", false},
	)
)

type sourcesCreate struct {
	output
	Name      string            `arg:"" help:"1 to 63 lower-case letters, digits and hyphens; part of the URL."`
	AuthKey   string            `default:"Authorization" help:"The header that carries the secret: Okta's \"authentication field\"."`
	AuthValue string            `help:"The secret: Okta's \"authentication secret\". Default: a random one, which is printed."`
	Header    map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A custom header that must match, too; repeatable."`
	Host      string            `help:"The org's host name. Default: learnt from the first delivery."`
	Force     bool              `help:"Allow a host that another source has: every event then arrives twice."`
}

func (cmd *sourcesCreate) Run(ctx context.Context, c *client) error {
	generated := ""
	if cmd.AuthValue == "" {
		generated = strings.ToLower(rand.Text())
		cmd.AuthValue = generated
	}
	type header struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	headers := []header{}
	for key, value := range cmd.Header {
		headers = append(headers, header{key, value})
	}
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.Key, b.Key) })
	body := map[string]any{
		"name": cmd.Name,
		"auth": map[string]any{"key": cmd.AuthKey, "value": cmd.AuthValue, "headers": headers},
	}
	if cmd.Host != "" {
		body["host"] = cmd.Host
	}
	if cmd.Force {
		body["force"] = true
	}
	s, raw, err := c.object(ctx, http.MethodPost, sourcesPath, body)
	if err != nil {
		return err
	}
	if generated != "" {
		talk("The secret is shown only now.")
	}
	talk("In Okta: Workflow > Event Hooks > Create Event Hook; paste the URL, the authentication field and the secret.")
	return cmd.printSource(s, raw, generated, setupFields)
}

type sourcesDelete struct {
	Name string `arg:"" help:"The source's name."`
}

func (cmd *sourcesDelete) Run(ctx context.Context, c *client) error {
	if _, err := c.do(ctx, http.MethodDelete, sourcePath(cmd.Name), nil, nil); err != nil {
		return err
	}
	talk("Source %s is deleted; its events stay until retention removes them.", cmd.Name)
	return nil
}
