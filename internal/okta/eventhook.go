package okta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// The values that fields of an EventHook take, and Okta's bounds on a hook.
const (
	StatusActive   = "ACTIVE"
	StatusInactive = "INACTIVE"

	Unverified = "UNVERIFIED"
	Verified   = "VERIFIED"

	SubscriptionType = "EVENT_TYPE"          // events.type
	FilterType       = "EXPRESSION_LANGUAGE" // events.filter.type
	ChannelType      = "HTTP"                // channel.type
	ChannelVersion   = "1.0.0"               // channel.version
	AuthSchemeType   = "HEADER"              // channel.config.authScheme.type
)

// An EventHook is Okta's event hook resource. Its JSON tags serve to read what
// an Okta-compatible API answered; EncodeEventHook writes it, DecodeEventHook
// reads what a caller of the API sent.
type EventHook struct {
	ID                 string             `json:"id"`
	Status             string             `json:"status"`
	VerificationStatus string             `json:"verificationStatus"`
	Name               string             `json:"name"`
	Description        *string            `json:"description"`
	Created            time.Time          `json:"created"`
	CreatedBy          string             `json:"createdBy"`
	LastUpdated        time.Time          `json:"lastUpdated"`
	Events             EventSubscriptions `json:"events"`
	Channel            EventHookChannel   `json:"channel"`
	// Delivery is what Grapnel adds to the resource, still encoded: nil if the
	// JSON had no such key, the bytes "null" if it was null.
	Delivery json.RawMessage `json:"delivery"`
}

// EventSubscriptions says which events a hook wants.
type EventSubscriptions struct {
	Type   string            `json:"type"`
	Items  []string          `json:"items"`
	Filter *EventHookFilters `json:"filter"`
}

// EventHookFilters holds one condition for each filtered event type.
type EventHookFilters struct {
	EventFilterMap []EventFilter `json:"eventFilterMap"`
}

// An EventFilter is the condition for one event type, in Okta Expression
// Language.
type EventFilter struct {
	Event     string          `json:"event"`
	Condition FilterCondition `json:"condition"`
}

// A FilterCondition is an expression. Okta's condition.version is internal and
// always null, so it is not kept.
type FilterCondition struct {
	Expression string `json:"expression"`
}

// An EventHookChannel is where deliveries go.
type EventHookChannel struct {
	Type    string        `json:"type"`
	Version string        `json:"version"`
	Config  ChannelConfig `json:"config"`
}

// ChannelConfig is an HTTP endpoint. Its method is always POST.
type ChannelConfig struct {
	URI     string   `json:"uri"`
	Headers []Header `json:"headers"`
	// AuthScheme is nil if there is none: absent or null in the JSON.
	AuthScheme *AuthScheme `json:"authScheme"`
	// HasAuthScheme is set by DecodeEventHook: the key was there, so that nil
	// means null.
	HasAuthScheme bool `json:"-"`
}

// A Header is a custom header of a channel.
type Header struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// An AuthScheme is the header by which an endpoint knows its caller. Value is
// the secret, the whole header value; nil if it was absent or null. It is never
// written to JSON.
type AuthScheme struct {
	Type  string  `json:"type"`
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

// MarshalJSON leaves Value out.
func (a AuthScheme) MarshalJSON() ([]byte, error) {
	return Marshal(struct {
		Type string `json:"type"`
		Key  string `json:"key"`
	}{a.Type, a.Key})
}

// DecodeEventHook reads the body of a create or replace call. It fills what a
// caller may write: Status ("" if not given), Name, Description, Events,
// Channel and Delivery; everything else is ignored, as are unknown keys.
//
// It checks shapes, not values: a missing or null field stays empty. The error
// is an *Error: CodeMalformedBody unless the body is one JSON object,
// CodeValidation with the field's path if a field has the wrong type.
func DecodeEventHook(body []byte) (*EventHook, error) {
	var in struct {
		Status      string             `json:"status"`
		Name        string             `json:"name"`
		Description *string            `json:"description"`
		Events      EventSubscriptions `json:"events"`
		Channel     EventHookChannel   `json:"channel"`
		Delivery    json.RawMessage    `json:"delivery"`
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return nil, NewError(CodeMalformedBody)
	}
	var wrongType *json.UnmarshalTypeError
	switch err := json.Unmarshal(body, &in); {
	case errors.As(err, &wrongType):
		return nil, ValidationError("eventHook", describe(wrongType))
	case err != nil:
		return nil, NewError(CodeMalformedBody, err.Error())
	}
	var keys struct {
		Channel struct{ Config map[string]json.RawMessage }
	}
	if err := json.Unmarshal(body, &keys); err != nil {
		return nil, NewError(CodeMalformedBody, err.Error())
	}
	_, present := keys.Channel.Config["authScheme"]
	in.Channel.Config.HasAuthScheme = present || in.Channel.Config.AuthScheme != nil
	return &EventHook{
		Status: in.Status, Name: in.Name, Description: in.Description,
		Events: in.Events, Channel: in.Channel, Delivery: in.Delivery,
	}, nil
}

func describe(e *json.UnmarshalTypeError) string {
	want := "an object"
	switch e.Type.Kind() {
	case reflect.String:
		want = "a string"
	case reflect.Slice:
		want = "an array"
	}
	return fmt.Sprintf("%s: expected %s, not %s", e.Field, want, e.Value)
}

// EncodeEventHook writes a hook as Okta answers it: every field of the
// resource, null where Okta writes null, the secret left out, and _links by
// status. baseURL is the scheme and host of the API, such as
// https://acme.okta.example. It fails only if Delivery is not JSON.
func EncodeEventHook(h *EventHook, baseURL string) ([]byte, error) {
	return Marshal(resource(h, baseURL))
}

// EncodeEventHooks writes the answer to a list call, a plain array.
func EncodeEventHooks(hooks []*EventHook, baseURL string) ([]byte, error) {
	all := make([]hookJSON, 0, len(hooks))
	for _, h := range hooks {
		all = append(all, resource(h, baseURL))
	}
	return Marshal(all)
}

// hookJSON has its keys in the order of Okta's answers.
type hookJSON struct {
	ID                 string          `json:"id"`
	Status             string          `json:"status"`
	VerificationStatus string          `json:"verificationStatus"`
	Name               string          `json:"name"`
	Description        *string         `json:"description"`
	Created            string          `json:"created"`
	CreatedBy          string          `json:"createdBy"`
	LastUpdated        string          `json:"lastUpdated"`
	Events             eventsJSON      `json:"events"`
	Channel            channelJSON     `json:"channel"`
	Delivery           json.RawMessage `json:"delivery,omitempty"`
	Links              linksJSON       `json:"_links"`
}

type eventsJSON struct {
	Type   string      `json:"type"`
	Items  []string    `json:"items"`
	Filter *filterJSON `json:"filter"`
}

type filterJSON struct {
	Type           string          `json:"type"`
	EventFilterMap []conditionJSON `json:"eventFilterMap"`
}

type conditionJSON struct {
	Event     string `json:"event"`
	Condition struct {
		Version    *string `json:"version"`
		Expression string  `json:"expression"`
	} `json:"condition"`
}

type channelJSON struct {
	Type    string `json:"type"`
	Version string `json:"version"`
	Config  struct {
		URI        string      `json:"uri"`
		Headers    []Header    `json:"headers"`
		Method     string      `json:"method"`
		AuthScheme *AuthScheme `json:"authScheme"`
	} `json:"config"`
}

// linksJSON in this order gives both orders that Okta writes: self, verify,
// deactivate on an active hook, and activate, self, delete on an inactive one.
type linksJSON struct {
	Activate   *linkJSON `json:"activate,omitempty"`
	Self       *linkJSON `json:"self"`
	Verify     *linkJSON `json:"verify,omitempty"`
	Deactivate *linkJSON `json:"deactivate,omitempty"`
	Delete     *linkJSON `json:"delete,omitempty"`
}

type linkJSON struct {
	Href  string     `json:"href"`
	Hints *hintsJSON `json:"hints,omitempty"`
}

type hintsJSON struct {
	Allow []string `json:"allow"`
}

func resource(h *EventHook, baseURL string) hookJSON {
	r := hookJSON{
		ID: h.ID, Status: h.Status, VerificationStatus: h.VerificationStatus,
		Name: h.Name, Description: h.Description,
		Created: seconds(h.Created), CreatedBy: h.CreatedBy, LastUpdated: seconds(h.LastUpdated),
		Events:   eventsJSON{Type: h.Events.Type, Items: append([]string{}, h.Events.Items...)},
		Channel:  channelJSON{Type: h.Channel.Type, Version: h.Channel.Version},
		Delivery: h.Delivery,
		Links:    links(h, baseURL),
	}
	if h.Events.Filter != nil {
		r.Events.Filter = &filterJSON{Type: FilterType, EventFilterMap: []conditionJSON{}}
		for _, f := range h.Events.Filter.EventFilterMap {
			c := conditionJSON{Event: f.Event}
			c.Condition.Expression = f.Condition.Expression
			r.Events.Filter.EventFilterMap = append(r.Events.Filter.EventFilterMap, c)
		}
	}
	r.Channel.Config.URI = h.Channel.Config.URI
	r.Channel.Config.Headers = append([]Header{}, h.Channel.Config.Headers...)
	r.Channel.Config.Method = "POST"
	r.Channel.Config.AuthScheme = h.Channel.Config.AuthScheme
	return r
}

func links(h *EventHook, baseURL string) linksJSON {
	self := strings.TrimSuffix(baseURL, "/") + "/api/v1/eventHooks/" + h.ID
	to := func(path, method string) *linkJSON {
		return &linkJSON{Href: self + path, Hints: &hintsJSON{Allow: []string{method}}}
	}
	if h.Status == StatusInactive {
		return linksJSON{
			Self:     &linkJSON{Href: self},
			Activate: to("/lifecycle/activate", "POST"),
			Delete:   to("", "DELETE"),
		}
	}
	return linksJSON{
		Self:       &linkJSON{Href: self},
		Verify:     to("/lifecycle/verify", "POST"),
		Deactivate: to("/lifecycle/deactivate", "POST"),
	}
}

// seconds is Timestamp without the milliseconds, which Okta gives as .000 here.
func seconds(t time.Time) string {
	return t.UTC().Truncate(time.Second).Format(Timestamp)
}
