package oktaapi

import (
	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// specOf checks what has only one legal value in Okta's resource, and so no
// place in a spec, and the form of the delivery object; admin checks the rest.
func specOf(asked *okta.EventHook) admin.EventHookSpec {
	config := asked.Channel.Config
	spec := admin.EventHookSpec{
		Name: asked.Name, Description: asked.Description, Status: hook.Status(asked.Status),
		Types:   asked.Events.Items,
		Channel: admin.ChannelSpec{URI: config.URI, Headers: headers[hook.Header](config.Headers)},
	}
	only := func(field, value, legal string) {
		if value == "" {
			spec.Found = append(spec.Found, field+": The field cannot be left blank")
		} else if value != legal {
			spec.Found = append(spec.Found, field+": Only "+legal+" is supported")
		}
	}
	only("events.type", asked.Events.Type, okta.SubscriptionType)
	only("channel.type", asked.Channel.Type, okta.ChannelType)
	only("channel.version", asked.Channel.Version, okta.ChannelVersion)
	if auth := config.AuthScheme; auth != nil {
		only("channel.config.authScheme.type", auth.Type, okta.AuthSchemeType)
		spec.Channel.Auth = &admin.AuthSpec{Key: auth.Key, Value: auth.Value}
	}
	if filter := asked.Events.Filter; filter != nil {
		for _, f := range filter.EventFilterMap {
			spec.Filters = append(spec.Filters, hook.Filter{Type: f.Event, Expression: f.Condition.Expression})
		}
	}
	policy, err := policyOf(asked.Delivery)
	if err != nil {
		spec.Found = append(spec.Found, admin.Causes(err)...)
	}
	spec.Policy = policy
	return spec
}

// resource is the hook in Okta's words.
func resource(h *admin.EventHook) (*okta.EventHook, error) {
	r := &okta.EventHook{
		ID: h.ID, Name: h.Name, Description: h.Description,
		Status: string(h.Status), VerificationStatus: okta.Unverified,
		Created: h.Created, CreatedBy: h.CreatedBy, LastUpdated: h.LastUpdated,
		Events: okta.EventSubscriptions{Type: okta.SubscriptionType, Items: h.Types},
		Channel: okta.EventHookChannel{
			Type: okta.ChannelType, Version: okta.ChannelVersion,
			Config: okta.ChannelConfig{URI: h.Channel.URI, Headers: headers[okta.Header](h.Channel.Headers)},
		},
	}
	if h.Verified {
		r.VerificationStatus = okta.Verified
	}
	if auth := h.Channel.Auth; auth != nil {
		r.Channel.Config.AuthScheme = &okta.AuthScheme{Type: okta.AuthSchemeType, Key: auth.Key}
	}
	if len(h.Filters) > 0 {
		r.Events.Filter = &okta.EventHookFilters{}
		for _, f := range h.Filters {
			r.Events.Filter.EventFilterMap = append(r.Events.Filter.EventFilterMap,
				okta.EventFilter{Event: f.Type, Condition: okta.FilterCondition{Expression: f.Expression}})
		}
	}
	var err error
	r.Delivery, err = deliveryOf(h)
	return r, err
}

func headers[To, From okta.Header | hook.Header](from []From) []To {
	to := make([]To, len(from))
	for i, h := range from {
		to[i] = To(h)
	}
	return to
}
