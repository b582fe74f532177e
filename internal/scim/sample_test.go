package scim

import "testing"

// signIn is a System Log event with something of every kind in it: two targets,
// values that are null or absent, escapes.
const signIn = `{
  "uuid": "5f7e7e1c-6a0c-11f1-8d3a-3f1e0c9b7a55",
  "published": "2026-05-28T09:20:40.871Z",
  "eventType": "user.session.start",
  "version": "0",
  "severity": "WARN",
  "legacyEventType": null,
  "displayMessage": "User login to Okta",
  "actor": {"id": "00u1", "type": "User", "alternateId": "jane@acme.example", "displayName": "Jane \"J\u00e4n\" Doe", "detailEntry": null},
  "client": {"ipAddress": "203.0.113.24", "zone": "", "geographicalContext": {"city": "San Francisco", "geolocation": {"lat": 37.5, "lon": -122}}},
  "device": {"managed": false, "os_platform": "iOS"},
  "request": {"ipChain": [{"ip": "203.0.113.24", "version": "V4"}, {"ip": "198.51.100.7", "ipDetails": {"ipServiceCategories": [{"type": "VPN", "isAnonymous": true}]}}]},
  "outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"},
  "target": [
    {"id": "00u2", "type": "User", "alternateId": null, "changeDetails": {"from": {"status": "STAGED"}, "to": {"status": "ACTIVE"}}},
    {"id": "0oa3", "type": "AppInstance", "alternateId": "Sales"}
  ],
  "transaction": {"id": "XOxBw-2JIRnCFd0gG0GjHAAABjY", "type": "WEB", "detail": {"requestApiTokenId": "00T9", "expires": "2026-05-28T11:00:00+02:00", "n": 7}},
  "debugContext": {"debugData": {"requestUri": "/oauth2/v1/token", "threatSuspected": "false", "mixed": ["a", 5, null, true, {"deep": 1}]}},
  "authenticationContext": {"authenticationStep": 0, "externalSessionId": null},
  "securityContext": {"asNumber": 64500, "isProxy": false, "risk": {"reasons": ["New Device", "New IP"]}, "userBehaviors": []}
}`

func mustParse(t testing.TB, source string) *Filter {
	t.Helper()
	f, err := Parse(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return f
}
