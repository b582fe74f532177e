package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

type eventsCmd struct {
	remote `embed:""`
	List   eventsList   `cmd:"" help:"List events, newest first."`
	Get    eventsGet    `cmd:"" help:"Show one event with its deliveries."`
	Replay eventsReplay `cmd:"" help:"Send events to an event hook."`
}

// paging are the flags of every list.
type paging struct {
	Limit int    `default:"100" help:"How many to show at most."`
	After string `placeholder:"NEXT" help:"Go on after an earlier list, which said so."`
}

// Validate is called by kong.
func (p *paging) Validate() error {
	if p.Limit < 1 || p.Limit > 100_000 {
		return fmt.Errorf("--limit: must be from 1 to 100000")
	}
	return nil
}

func (p *paging) query() url.Values {
	q := url.Values{}
	set(q, "after", p.After)
	return q
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

// when is a time on the command line, kept as RFC 3339.
type when string

// UnmarshalText reads "2026-01-31T09:30:00Z", or "90m" for 90 minutes ago.
func (w *when) UnmarshalText(b []byte) error {
	if ago, err := time.ParseDuration(string(b)); err == nil && ago >= 0 {
		*w = when(time.Now().Add(-ago).UTC().Format(time.RFC3339Nano))
		return nil
	}
	if _, err := time.Parse(time.RFC3339, string(b)); err != nil {
		return fmt.Errorf("%q is neither a time like 2026-01-31T09:30:00Z nor a duration like 90m", b)
	}
	*w = when(b)
	return nil
}

// selection are the flags that events and deliveries have in common.
type selection struct {
	Type   string `help:"The exact event type."`
	Source string `help:"The source's name."`
	Since  when   `placeholder:"TIME" help:"From this time on; 90m means 90 minutes ago."`
	Until  when   `placeholder:"TIME" help:"Before this time."`
}

func (s *selection) add(q url.Values) {
	set(q, "type", s.Type)
	set(q, "source", s.Source)
	set(q, "since", string(s.Since))
	set(q, "until", string(s.Until))
}

type eventsList struct {
	output
	paging
	selection
	UUID string `name:"uuid" help:"Okta's uuid of the event."`
}

func (cmd *eventsList) Run(ctx context.Context, c *client) error {
	q := cmd.query()
	cmd.add(q)
	set(q, "uuid", cmd.UUID)
	found, err := c.list(ctx, "/v1/events", q, cmd.Limit)
	if err != nil {
		return err
	}
	return cmd.printList("events", found, []column{
		{"ID", "id", false},
		{"RECEIVED", "received", false},
		{"TYPE", "type", true},
		{"SOURCE", "source", true},
		{"UUID", "uuid", false},
	})
}

type eventsGet struct {
	output
	ID string `arg:"" help:"The event's id, or Okta's uuid of it."`
}

func (cmd *eventsGet) Run(ctx context.Context, c *client) error {
	id := cmd.ID
	if _, err := strconv.ParseInt(id, 10, 64); err != nil {
		if id, err = findEvent(ctx, c, id); err != nil {
			return err
		}
	}
	e, raw, err := c.object(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(id), nil)
	if err != nil {
		return err
	}
	if cmd.json() {
		return printJSON(raw)
	}
	return printEvent(e, raw)
}

func printEvent(e row, raw []byte) error {
	err := printFields(e, []column{
		{"ID", "id", false},
		{"UUID", "uuid", false},
		{"Type", "type", false},
		{"Source", "source", false},
		{"Published", "published", false},
		{"Received", "received", false},
		{"Filter errors", "filterErrors", false},
	})
	if err != nil {
		return err
	}
	var parts struct {
		LogEvent   json.RawMessage `json:"logEvent"`
		Deliveries []row           `json:"deliveries"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts.Deliveries) > 0 {
		fmt.Println()
		if err := printTable(parts.Deliveries, deliveryColumns); err != nil {
			return err
		}
	}
	fmt.Println()
	return printJSON(parts.LogEvent)
}

// findEvent returns the id of the newest event with a uuid.
func findEvent(ctx context.Context, c *client, uuid string) (string, error) {
	found, err := c.list(ctx, "/v1/events", url.Values{"uuid": {uuid}}, 1)
	if err != nil {
		return "", err
	}
	if len(found.Items) == 0 {
		return "", fmt.Errorf("there is no event %q; \"grapnel events list\" shows what there is", uuid)
	}
	var e row
	err = json.Unmarshal(found.Items[0], &e)
	return e.text("id"), err
}

type eventsReplay struct {
	output
	selection
	replayFlags
	To string `required:"" placeholder:"HOOK" help:"The id of the event hook that gets the events."`
}

func (cmd *eventsReplay) Run(ctx context.Context, c *client) error {
	return cmd.send(ctx, c, &cmd.output, map[string]any{"from": "events"}, &cmd.selection, cmd.To)
}
