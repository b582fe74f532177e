package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
	"github.com/grapnel-hooks/grapnel/internal/okta"
)

const (
	sourceName = "acme"
	authKey    = "Authorization"
	downFor    = 20 * time.Second
)

// eventHook is one of the demo's event hooks, with its destination.
type eventHook struct {
	name   string
	about  string         // one line
	state  func() string  // of the destination now, in at most 15 characters
	types  []string       // events.items
	filter string         // for all of them; "" for none
	policy map[string]any // the delivery object
	// wants tells, from the org's books, which events the hook is to get.
	wants       func(sentEvent) bool
	destination *destination
	downAtFirst bool // for downFor

	id      string
	updated time.Time // lastUpdated, when the demo has set it up
}

// newHooks returns the four hooks, whose destinations do not run yet. Their
// policies are quick, so that one sees within seconds what takes hours
// otherwise.
func newHooks(network *app.Network, started func() time.Time) []*eventHook {
	here := func() *destination { return newDestination(network.Listen, rand.Text()) }
	all := func(sentEvent) bool { return true }
	still := func(text string) func() string { return func() string { return text } }

	good := &eventHook{
		name: "good", about: "takes everything at once", state: still("always up"),
		types: []string{"*"}, wants: all, destination: here(), policy: map[string]any{},
	}
	flaky := &eventHook{
		name: "flaky", about: "503 half the time; dead after 5 attempts", state: still("half 503"),
		types: []string{"*"}, wants: all, destination: here(),
		policy: map[string]any{"retry": map[string]any{"schedule": []string{"500ms", "1s", "2s", "3s"}}},
	}
	flaky.destination.failing = half()
	late := &eventHook{
		name: "late", about: fmt.Sprintf("refuses connections for its first %v", downFor),
		types: []string{"*"}, wants: all, destination: here(), downAtFirst: true,
		policy: map[string]any{
			"verification": "none", // it cannot be asked yet
			"retry":        map[string]any{"initial": "500ms", "max": "3s", "for": "1h"},
		},
	}
	late.state = func() string {
		if late.destination.up() {
			return "up again"
		}
		return fmt.Sprintf("down, %ds more", max(0, int((downFor-time.Since(started())).Seconds()+1)))
	}
	failed := &eventHook{
		name: "failed-sign-ins", about: "only user.session.start with outcome FAILURE", state: still("filtered"),
		types: []string{"user.session.start"}, filter: "event.outcome.result eq 'FAILURE'",
		wants: func(e sentEvent) bool { return e.failedSignIn }, destination: here(), policy: map[string]any{},
	}
	return []*eventHook{good, flaky, late, failed}
}

// create makes the hook in the gateway, by Okta's own API, and has it verified
// by Okta's handshake if its destination is up.
func (h *eventHook) create(ctx context.Context, g *gateway) error {
	events := map[string]any{"type": okta.SubscriptionType, "items": h.types}
	if h.filter != "" {
		var filters []okta.EventFilter
		for _, t := range h.types {
			filters = append(filters, okta.EventFilter{Event: t, Condition: okta.FilterCondition{Expression: h.filter}})
		}
		events["filter"] = map[string]any{"type": okta.FilterType, "eventFilterMap": filters}
	}
	var made okta.EventHook
	err := g.call(ctx, http.MethodPost, "/api/v1/eventHooks", map[string]any{
		"name": h.name, "events": events, "delivery": h.policy,
		"channel": map[string]any{"type": okta.ChannelType, "version": okta.ChannelVersion, "config": map[string]any{
			"uri":        "http://" + h.destination.address + "/okta",
			"authScheme": map[string]any{"type": okta.AuthSchemeType, "key": authKey, "value": h.destination.secret},
		}},
	}, &made)
	if err == nil && made.VerificationStatus != okta.Verified {
		err = g.call(ctx, http.MethodPost, hookPath(made.ID)+"/lifecycle/verify", nil, &made)
	}
	h.id, h.updated = made.ID, made.LastUpdated
	return err
}

func hookPath(id string) string { return "/api/v1/eventHooks/" + id }
