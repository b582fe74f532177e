package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

type deliveriesCmd struct {
	remote `embed:""`
	List   deliveriesList   `cmd:"" help:"List deliveries, newest event first."`
	Get    deliveriesGet    `cmd:"" help:"Show one delivery with its attempts."`
	Retry  deliveriesRetry  `cmd:"" help:"Send one delivery again."`
	Replay deliveriesReplay `cmd:"" help:"Send many deliveries again."`
}

const deliveriesPath = "/v1/deliveries"

var deliveryColumns = []column{
	{"ID", "id", false},
	{"STATE", "state", false},
	{"REASON", "reason", true},
	{"HOOK", "hook", false},
	{"TYPE", "type", true},
	{"ATTEMPTS", "attemptCount", false},
	{"CREATED", "created", false},
	{"DUE", "due", false},
	{"EVENT", "event", false},
}

type deliveriesList struct {
	output
	paging
	selection
	State []string `enum:"waiting,sending,delivered,dead,cancelled" help:"One of ${enum}; repeatable."`
	Hook  string   `placeholder:"ID" help:"The event hook's id."`
	Event string   `placeholder:"UUID" help:"Okta's uuid of the event, or the event's id."`
}

func (cmd *deliveriesList) Run(ctx context.Context, c *client) error {
	q := cmd.query()
	cmd.add(q)
	set(q, "state", strings.Join(cmd.State, ","))
	set(q, "hook", cmd.Hook)
	set(q, "event", cmd.Event)
	found, err := c.list(ctx, deliveriesPath, q, cmd.Limit)
	if err != nil {
		return err
	}
	return cmd.printList("deliveries", found, deliveryColumns)
}

type deliveriesGet struct {
	output
	ID string `arg:"" help:"The delivery's id."`
}

func (cmd *deliveriesGet) Run(ctx context.Context, c *client) error {
	d, raw, err := c.object(ctx, http.MethodGet, deliveriesPath+"/"+url.PathEscape(cmd.ID), nil)
	if err != nil {
		return err
	}
	return cmd.printDelivery(d, raw)
}

type deliveriesRetry struct {
	output
	ID string `arg:"" help:"The delivery's id."`
}

func (cmd *deliveriesRetry) Run(ctx context.Context, c *client) error {
	d, raw, err := c.object(ctx, http.MethodPost, deliveriesPath+"/"+url.PathEscape(cmd.ID)+"/retry", nil)
	if err != nil {
		return err
	}
	if d.text("id") == cmd.ID {
		talk("The delivery was waiting; it is due now.")
	} else {
		talk("The delivery had ended; this is a new one.")
	}
	return cmd.printDelivery(d, raw)
}

func (o *output) printDelivery(d row, raw []byte) error {
	if o.json() {
		return printJSON(raw)
	}
	err := printFields(d, []column{
		{"ID", "id", false},
		{"State", "state", false},
		{"Reason", "reason", false},
		{"Event", "event", false},
		{"Event id", "eventId", false},
		{"Type", "type", false},
		{"Source", "source", false},
		{"Hook", "hook", false},
		{"Created", "created", false},
		{"Due", "due", false},
		{"Replay of", "replayOf", false},
		{"Attempts", "attemptCount", false},
	})
	if err != nil {
		return err
	}
	var parts struct {
		Attempts []row `json:"attempts"`
		Response row   `json:"response"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts.Attempts) > 0 {
		fmt.Println()
		if err := printTable(parts.Attempts, attemptColumns); err != nil {
			return err
		}
	}
	if parts.Response == nil {
		return nil
	}
	return printResponse(parts.Response)
}

var attemptColumns = []column{
	{"ATTEMPT AT", "at", false},
	{"DURATION", "duration", false},
	{"STATUS", "status", false},
	{"REASON", "reason", false},
}

func printResponse(r row) error {
	fmt.Println("\nLast response")
	headers, _ := r["headers"].([]any)
	for _, h := range headers {
		header, _ := h.(map[string]any)
		fmt.Printf("  %s: %s\n", row(header).text("key"), row(header).text("value"))
	}
	body := text(r["body"])
	if encoded := r.text("bodyBase64"); encoded != "" {
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return err
		}
		body = fmt.Sprintf("(%d bytes that are not text; --output json shows them)", len(raw))
	}
	if trouble := r.text("error"); trouble != "" {
		fmt.Println("  " + trouble)
	}
	for line := range strings.Lines(body) {
		fmt.Println("  " + printable(strings.TrimRight(line, "\r\n")))
	}
	return nil
}

// replayFlags are the flags of both commands that send many again.
type replayFlags struct {
	Expression string `help:"Only events for which this holds, in Okta Expression Language."`
	Filter     bool   `help:"Only events that the event hook subscribes to and its filter lets through."`
	DryRun     bool   `help:"Count, and send nothing."`
}

type deliveriesReplay struct {
	output
	selection
	replayFlags
	State string `enum:"waiting,sending,delivered,dead,cancelled," default:"" help:"The deliveries' state. Default: all that have ended."`
	Hook  string `placeholder:"ID" help:"The event hook whose deliveries are sent again."`
	To    string `placeholder:"ID" help:"The event hook that gets them. Default: the same."`
}

// Validate is called by kong.
func (cmd *deliveriesReplay) Validate() error {
	if cmd.Hook == "" && cmd.To == "" {
		return fmt.Errorf("give --hook, --to or both")
	}
	return nil
}

func (cmd *deliveriesReplay) Run(ctx context.Context, c *client) error {
	from := map[string]any{"from": "deliveries"}
	if cmd.Hook != "" {
		from["hook"] = cmd.Hook
	}
	if cmd.State != "" {
		from["state"] = cmd.State
	}
	return cmd.send(ctx, c, &cmd.output, from, &cmd.selection, cmd.To)
}

// send asks for a replay and tells what came of it.
func (f *replayFlags) send(ctx context.Context, c *client, o *output, from map[string]any, s *selection, to string) error {
	q := url.Values{}
	s.add(q)
	set(q, "expression", f.Expression)
	for name := range q {
		from[name] = q.Get(name)
	}
	body := map[string]any{"select": from, "filter": f.Filter, "dryRun": f.DryRun}
	if to != "" {
		body["to"] = to
	}
	r, raw, err := c.object(ctx, http.MethodPost, "/v1/replays", body)
	if err != nil {
		return err
	}
	if why := r.text("filterError"); why != "" {
		talk("The expression could not judge %s events, which are left out. The first error: %s", r.text("filterErrors"), why)
	}
	if o.json() {
		return printJSON(raw)
	}
	return printFields(r, []column{
		{"Replay", "id", false},
		{"Event hook", "hook", false},
		{"Events selected", "selected", false},
		{"Deliveries made", "created", false},
		{"Dry run", "dryRun", false},
	})
}
