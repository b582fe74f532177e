package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
)

// A cursor that the API did not write is refused, or means what it says.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "czEu", "ZTE5Mi4", "ZDAuNjQuNC4wLg", "cjIu", "ZTE5Mi4=", "ZS0xLg", "dDI5My4", "dDk5OTk5OTk5OTk5OTk5OTk5OTkuLg", "ZTk5OTk5OTk5OTk5OTk5OTk5OTkuLg", "\x00"} {
		f.Add(seed)
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, path := range []string{"/v1/sources", "/v1/events", "/v1/event-types", "/v1/deliveries", "/v1/rejected"} {
			answer := w.call(http.MethodGet, path+"?"+url.Values{"after": {cursor}}.Encode(), "")
			if answer.Code != http.StatusOK && answer.Code != http.StatusBadRequest {
				t.Errorf("%s?after=%q: %d %s", path, cursor, answer.Code, answer.Body)
			}
		}
	})
}

// Whatever the body, the answer is clear, and a dry run changes nothing.
func FuzzReplay(f *testing.F) {
	for _, seed := range []string{
		`{"select":{"from":"deliveries","hook":"who00000000000000002","state":"dead"},"dryRun":true}`,
		`{"select":{"from":"events","type":"a","source":"acme","since":"2000-01-01T00:00:00Z","until":"2001-01-01T00:00:00+01:00","expression":"mfa"},"to":"who00000000000000001","filter":true,"dryRun":true}`,
		`{"select":{"from":"events","expression":"("},"to":"who00000000000000001","dryRun":true}`,
		`{"select":{"from":"events"},"select":null,"dryRun":true}`,
		`{"select":[],"to":1e400}`,
		"[\"\xff\"]", "{", "null", "[[[[[[[[[[",
	} {
		f.Add([]byte(seed))
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := w.call(http.MethodPost, "/v1/replays", string(body))
		switch answer.Code {
		case http.StatusOK, http.StatusCreated, http.StatusBadRequest, http.StatusConflict:
		default:
			t.Errorf("%q: %d %s", body, answer.Code, answer.Body)
		}
		var result struct {
			DryRun            bool
			Selected, Created int
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &result); err != nil {
			t.Errorf("%q: %v in %s", body, err, answer.Body)
		}
		if result.DryRun && result.Created != 0 || result.Created > result.Selected {
			t.Errorf("%q: %s", body, answer.Body)
		}
	})
}
