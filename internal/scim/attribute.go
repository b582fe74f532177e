package scim

import (
	"maps"
	"slices"
	"strings"
)

// kind is what an attribute holds or a literal is.
type kind uint8

const (
	anything kind = iota // an attribute of which nothing is documented
	text
	number
	boolean
	null   // a literal only
	object // takes pr alone
	holder // an object that cannot be named alone
	barred // an attribute that Okta has and refuses in filters
)

// String is what to say of a value of the kind.
func (k kind) String() string {
	return [...]string{"anything", "text", "a number", "true or false", "null", "an object", "an object", "a time"}[k]
}

// attribute is what is documented of a part of a LogEvent. That it is a list
// makes no difference to a filter.
type attribute struct {
	kind  kind
	parts map[string]*attribute
	// rest is what parts that are not named hold; nil if there are none.
	rest *attribute
}

func group(parts map[string]*attribute) *attribute { return &attribute{kind: object, parts: parts} }

func leaf(k kind) *attribute { return &attribute{kind: k} }

// unknown is an attribute in a map whose content changes between releases.
var unknown = func() *attribute {
	a := &attribute{kind: anything}
	a.rest = a
	return a
}()

func openMap() *attribute { return &attribute{kind: object, rest: unknown} }

// logEvent has every attribute that Okta documents of a LogEvent.
var logEvent = group(map[string]*attribute{
	"uuid":            leaf(text),
	"published":       leaf(barred),
	"eventType":       leaf(text),
	"version":         leaf(text),
	"severity":        leaf(text),
	"legacyEventType": leaf(text),
	"displayMessage":  leaf(text),
	"actor":           group(entity()),
	"target":          group(target()),
	"client": group(map[string]*attribute{
		"id": leaf(text), "zone": leaf(text), "device": leaf(text), "ipAddress": leaf(text),
		"userAgent": group(map[string]*attribute{
			"rawUserAgent": leaf(text), "os": leaf(text), "browser": leaf(text),
		}),
		"geographicalContext": geographicalContext,
	}),
	"device": group(map[string]*attribute{
		"id": leaf(text), "name": leaf(text), "os_platform": leaf(text), "os_version": leaf(text),
		"managed": leaf(boolean), "registered": leaf(boolean), "jailbreak": leaf(boolean),
		"secure_hardware_present": leaf(boolean),
		"disk_encryption_type":    leaf(text), "screen_lock_type": leaf(text),
		"device_integrator": openMap(),
	}),
	"request": group(map[string]*attribute{
		"ipChain": group(map[string]*attribute{
			"ip": leaf(text), "version": leaf(text), "source": leaf(text),
			"geographicalContext": geographicalContext, "ipDetails": ipDetails,
		}),
	}),
	"outcome":      group(map[string]*attribute{"result": leaf(text), "reason": leaf(text)}),
	"transaction":  group(map[string]*attribute{"id": leaf(text), "type": leaf(text), "detail": openMap()}),
	"debugContext": group(map[string]*attribute{"debugData": openMap()}),
	"authenticationContext": group(map[string]*attribute{
		"authenticationProvider": leaf(text), "credentialProvider": leaf(text), "credentialType": leaf(text),
		"issuer":             group(map[string]*attribute{"id": leaf(text), "type": leaf(text)}),
		"authenticationStep": leaf(number),
		"externalSessionId":  leaf(text), "rootSessionId": leaf(text), "interface": leaf(text),
	}),
	"securityContext": group(map[string]*attribute{
		"asNumber": leaf(number), "asOrg": leaf(text), "isp": leaf(text), "domain": leaf(text),
		"isProxy": leaf(boolean), "ipDetails": ipDetails,
		"risk": group(map[string]*attribute{
			"level": leaf(text), "previousLevel": leaf(text), "detectionName": leaf(text), "issuer": leaf(text),
			"reasons": unknown,
		}),
		"userBehaviors": group(map[string]*attribute{"id": leaf(text), "name": leaf(text), "result": leaf(text)}),
		"botProtection": group(map[string]*attribute{"level": leaf(text)}),
	}),
})

var geographicalContext = group(map[string]*attribute{
	"city": leaf(text), "state": leaf(text), "country": leaf(text), "postalCode": leaf(text),
	"geolocation": group(map[string]*attribute{"lat": leaf(number), "lon": leaf(number)}),
})

var ipDetails = group(map[string]*attribute{
	"asNumber": leaf(number), "asOrg": leaf(text), "isp": leaf(text), "domain": leaf(text),
	"ipServiceCategories": group(map[string]*attribute{
		"type": leaf(text), "operator": leaf(text), "isAnonymous": leaf(boolean),
	}),
})

func entity() map[string]*attribute {
	return map[string]*attribute{
		"id": leaf(text), "type": leaf(text), "alternateId": leaf(text), "displayName": leaf(text),
		"detailEntry": openMap(),
	}
}

func target() map[string]*attribute {
	parts := entity()
	change := func() *attribute { return &attribute{kind: holder, rest: unknown} }
	parts["changeDetails"] = &attribute{kind: holder, parts: map[string]*attribute{"from": change(), "to": change()}}
	return parts
}

// find returns the part of a called name, nil if there is none.
func (a *attribute) find(name string) *attribute {
	if part := a.parts[name]; part != nil {
		return part
	}
	return a.rest
}

// instead says what to write for name, which is no part of a; prefix is the way to a.
func (a *attribute) instead(prefix, name string) string {
	if len(a.parts) == 0 {
		return strings.TrimSuffix(prefix, ".") + " has none within"
	}
	names := slices.Sorted(maps.Keys(a.parts))
	for _, part := range names {
		if strings.EqualFold(strings.ReplaceAll(name, "_", ""), strings.ReplaceAll(part, "_", "")) {
			return "write " + prefix + part
		}
	}
	return "there are " + strings.Join(names, ", ")
}

// refusal says why op does not go with the attribute at path; empty if it does.
func (a *attribute) refusal(path string, op operator) string {
	switch {
	case op == present:
	case a.kind == object:
		return "it is an object; use pr, or name an attribute within it"
	case a.kind == number && op.textual():
		return "it holds numbers; use eq, ne, gt, ge, lt, le or pr"
	case a.kind == boolean && op != equal && op != notEqual:
		return "it holds true or false; use eq, ne or pr"
	case op == contains && (path == "debugContext.debugData.url" || path == "debugContext.debugData.requestUri"):
		return "use sw, ew or eq"
	}
	return ""
}
