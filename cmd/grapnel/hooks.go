package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

type hooksCmd struct {
	remote     `embed:""`
	List       hooksList       `cmd:"" help:"List event hooks."`
	Get        hooksGet        `cmd:"" help:"Show one event hook."`
	Create     hooksCreate     `cmd:"" help:"Create an event hook from JSON, as in Okta's API."`
	Activate   hooksActivate   `cmd:"" help:"Let deliveries go to an event hook again."`
	Deactivate hooksDeactivate `cmd:"" help:"Stop an event hook; its deliveries wait."`
	Verify     hooksVerify     `cmd:"" help:"Verify an event hook's destination by Okta's handshake."`
	Delete     hooksDelete     `cmd:"" help:"Delete an event hook that is not active; what waits for it is cancelled."`
}

// Event hooks are managed by Okta's own API.
const hooksPath = "/api/v1/eventHooks"

func hookPath(id string) string { return hooksPath + "/" + url.PathEscape(id) }

var hookColumns = []column{
	{"ID", "id", false},
	{"NAME", "name", true},
	{"STATUS", "status", false},
	{"VERIFICATION", "verificationStatus", false},
	{"HOLD", "delivery.hold.reason", true},
	{"EVENT TYPES", "events.items", true},
	{"URI", "channel.config.uri", true},
}

type hooksList struct{ output }

func (cmd *hooksList) Run(ctx context.Context, c *client) error {
	answer, err := c.do(ctx, http.MethodGet, hooksPath, nil, nil)
	if err != nil {
		return err
	}
	if cmd.json() {
		return printJSON(answer)
	}
	var found listing
	if err := json.Unmarshal(answer, &found.Items); err != nil {
		return c.strange()
	}
	return cmd.printList("event hooks", found, hookColumns)
}

// oneHook is the argument of the commands for one event hook.
type oneHook struct {
	output
	ID string `arg:"" help:"The event hook's id."`
}

// lifecycle performs one of Okta's operations on a hook and shows the result.
func (h *oneHook) lifecycle(ctx context.Context, c *client, operation string) error {
	return h.show(ctx, c, http.MethodPost, hookPath(h.ID)+"/lifecycle/"+operation, nil)
}

func (o *output) show(ctx context.Context, c *client, method, path string, body any) error {
	h, raw, err := c.object(ctx, method, path, body)
	if err != nil {
		return err
	}
	if h["verificationStatus"] == "UNVERIFIED" {
		talk("Nothing goes to this event hook before it is verified: grapnel hooks verify %s", h.text("id"))
	}
	if h.text("delivery.hold.reason") != "" {
		talk("Deliveries to this event hook wait because of what its destination did. Once that is mended: grapnel hooks activate %s", h.text("id"))
	}
	for _, warning := range h.texts("delivery.warnings") {
		talk("Warning: %s", warning)
	}
	if o.json() {
		return printJSON(raw)
	}
	return printFields(h, []column{
		{"ID", "id", false},
		{"Name", "name", false},
		{"Description", "description", false},
		{"Status", "status", false},
		{"Verification", "verificationStatus", false},
		{"On hold", "delivery.hold.reason", false},
		{"On hold since", "delivery.hold.since", false},
		{"Event types", "events.items", false},
		{"Filter", "events.filter.eventFilterMap", false},
		{"URI", "channel.config.uri", false},
		{"Authentication field", "channel.config.authScheme.key", false},
		{"Delivery", "delivery", false},
		{"Created", "created", false},
		{"Last updated", "lastUpdated", false},
	})
}

type hooksGet struct{ oneHook }

func (cmd *hooksGet) Run(ctx context.Context, c *client) error {
	return cmd.show(ctx, c, http.MethodGet, hookPath(cmd.ID), nil)
}

type hooksCreate struct {
	output
	File string `short:"f" required:"" placeholder:"FILE" help:"The file with the event hook's JSON; - for stdin."`
}

// maxHookFile bounds an event hook's JSON, in bytes.
const maxHookFile = 1 << 20

func (cmd *hooksCreate) Run(ctx context.Context, c *client) error {
	in := os.Stdin
	if cmd.File != "-" {
		file, err := os.Open(cmd.File)
		if err != nil {
			return usageError{fmt.Errorf("--file: %w", err)}
		}
		defer file.Close()
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, maxHookFile+1))
	switch {
	case err != nil:
		return fmt.Errorf("--file: %w", err)
	case len(body) > maxHookFile:
		return usageError{fmt.Errorf("--file: an event hook is at most %d bytes of JSON", maxHookFile)}
	case !json.Valid(body):
		return usageError{fmt.Errorf("--file: %s is not JSON", cmd.File)}
	}
	return cmd.show(ctx, c, http.MethodPost, hooksPath, body)
}

type hooksActivate struct{ oneHook }

func (cmd *hooksActivate) Run(ctx context.Context, c *client) error {
	return cmd.lifecycle(ctx, c, "activate")
}

type hooksDeactivate struct{ oneHook }

func (cmd *hooksDeactivate) Run(ctx context.Context, c *client) error {
	return cmd.lifecycle(ctx, c, "deactivate")
}

type hooksVerify struct{ oneHook }

func (cmd *hooksVerify) Run(ctx context.Context, c *client) error {
	return cmd.lifecycle(ctx, c, "verify")
}

type hooksDelete struct {
	ID string `arg:"" help:"The event hook's id."`
}

func (cmd *hooksDelete) Run(ctx context.Context, c *client) error {
	if _, err := c.do(ctx, http.MethodDelete, hookPath(cmd.ID), nil, nil); err != nil {
		return err
	}
	talk("Event hook %s is deleted; what waited for it is cancelled.", cmd.ID)
	return nil
}
