package okta

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const baseURL = "https://acme-dev.okta.example"

func sample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

// Reading a recorded answer and writing it again must give the same bytes.
func TestEncodeEventHookRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/event-hook-*-response.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want := sample(t, filepath.Base(file))
			var got []byte
			if want[0] == '[' {
				var hooks []*EventHook
				if err := json.Unmarshal(want, &hooks); err != nil {
					t.Fatal(err)
				}
				if got, err = EncodeEventHooks(hooks, baseURL+"/"); err != nil {
					t.Fatal(err)
				}
			} else {
				var hook EventHook
				if err := json.Unmarshal(want, &hook); err != nil {
					t.Fatal(err)
				}
				if got, err = EncodeEventHook(&hook, baseURL); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// The recorded create request, stored and answered, is the recorded response.
func TestEventHookCreate(t *testing.T) {
	hook, err := DecodeEventHook(sample(t, "event-hook-create-request.json"))
	if err != nil {
		t.Fatal(err)
	}
	if v := hook.Channel.Config.AuthScheme.Value; v == nil || *v != "Basic YWNtZTpub3QtYS1yZWFsLXNlY3JldA==" {
		t.Errorf("secret %v", v)
	}
	if hook.Status != "" || hook.Delivery != nil || !hook.Channel.Config.HasAuthScheme {
		t.Errorf("status %q, delivery %s, authScheme there %v", hook.Status, hook.Delivery, hook.Channel.Config.HasAuthScheme)
	}
	hook.ID, hook.Status, hook.VerificationStatus = "whoq7nw2t5LkVb93X1d7", StatusActive, Unverified
	hook.CreatedBy = "00u4k8xw1HhTzq2Rm1d7"
	// A fraction of a second and a zone must not show.
	hook.Created = time.Date(2026, 5, 28, 10, 2, 11, 987654321, time.FixedZone("", 7200))
	hook.LastUpdated = hook.Created
	got, err := EncodeEventHook(hook, baseURL)
	if err != nil {
		t.Fatal(err)
	}
	if want := sample(t, "event-hook-create-response.json"); !bytes.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEncodeEventHookEmpty(t *testing.T) {
	got, err := EncodeEventHook(&EventHook{ID: "who1", Status: StatusInactive, Delivery: json.RawMessage(`{"timeout": "30s"}`)}, "http://h")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"who1","status":"INACTIVE","verificationStatus":"","name":"","description":null,` +
		`"created":"0001-01-01T00:00:00.000Z","createdBy":"","lastUpdated":"0001-01-01T00:00:00.000Z",` +
		`"events":{"type":"","items":[],"filter":null},` +
		`"channel":{"type":"","version":"","config":{"uri":"","headers":[],"method":"POST","authScheme":null}},` +
		`"delivery":{"timeout":"30s"},` +
		`"_links":{"activate":{"href":"http://h/api/v1/eventHooks/who1/lifecycle/activate","hints":{"allow":["POST"]}},` +
		`"self":{"href":"http://h/api/v1/eventHooks/who1"},` +
		`"delete":{"href":"http://h/api/v1/eventHooks/who1","hints":{"allow":["DELETE"]}}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err = EncodeEventHooks(nil, "http://h"); err != nil || string(got) != "[]" {
		t.Errorf("no hooks: %s, %v", got, err)
	}
	if _, err = EncodeEventHook(&EventHook{Delivery: json.RawMessage(`{`)}, "http://h"); err == nil {
		t.Error("encoded a broken delivery object")
	}
}

// However a hook is encoded, by whatever hand, its secret stays in.
func TestAuthSchemeKeepsItsSecret(t *testing.T) {
	secret := "s3cret"
	hook := &EventHook{Channel: EventHookChannel{Config: ChannelConfig{AuthScheme: &AuthScheme{"HEADER", "Authorization", &secret}}}}
	plain, err := json.Marshal(hook)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := EncodeEventHook(hook, baseURL)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{plain, encoded} {
		if bytes.Contains(b, []byte(secret)) || !bytes.Contains(b, []byte(`"authScheme":{"type":"HEADER","key":"Authorization"}`)) {
			t.Errorf("%s", b)
		}
	}
}

// What a caller left out, gave as null and gave must be told apart.
func TestDecodeEventHookPresence(t *testing.T) {
	value := func(s string) *string { return &s }
	tests := []struct {
		body, delivery, status string
		deliveryNil            bool
		has                    bool
		scheme                 *AuthScheme
	}{
		{body: `{}`, deliveryNil: true},
		{body: ` {"delivery":null,"status":null,"channel":null}`, delivery: "null"},
		{body: `{"delivery":{"timeout":"9s"},"status":"INACTIVE"}`, delivery: `{"timeout":"9s"}`, status: "INACTIVE"},
		{body: `{"channel":{"config":{"authScheme":null}}}`, deliveryNil: true, has: true},
		{body: `{"channel":{"config":{"authScheme":{}}}}`, deliveryNil: true, has: true, scheme: &AuthScheme{}},
		{body: `{"channel":{"config":{"authScheme":{"type":"HEADER","key":"X","value":null}}}}`, deliveryNil: true, has: true, scheme: &AuthScheme{"HEADER", "X", nil}},
		{body: `{"channel":{"config":{"authScheme":{"value":""}}}}`, deliveryNil: true, has: true, scheme: &AuthScheme{"", "", value("")}},
		// Read-only and unknown fields are ignored, whatever they hold.
		{body: `{"id":7,"created":true,"lastUpdated":"x","createdBy":[],"verificationStatus":{},"_links":1,"new":1,"channel":{"config":{"method":5}},"events":{"filter":{"type":1}}}`, deliveryNil: true},
	}
	for _, tt := range tests {
		hook, err := DecodeEventHook([]byte(tt.body))
		if err != nil {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		if (hook.Delivery == nil) != tt.deliveryNil || string(hook.Delivery) != tt.delivery || hook.Status != tt.status {
			t.Errorf("%s: delivery %q, status %q", tt.body, hook.Delivery, hook.Status)
		}
		config := hook.Channel.Config
		if config.HasAuthScheme != tt.has || (config.AuthScheme == nil) != (tt.scheme == nil) {
			t.Errorf("%s: authScheme there %v: %v", tt.body, config.HasAuthScheme, config.AuthScheme)
		} else if tt.scheme != nil {
			got, want := *config.AuthScheme, *tt.scheme
			if got.Type != want.Type || got.Key != want.Key || (got.Value == nil) != (want.Value == nil) {
				t.Errorf("%s: %+v", tt.body, got)
			}
		}
	}
}

func TestDecodeEventHookErrors(t *testing.T) {
	tests := []struct {
		body  string
		code  ErrorCode
		cause string // the start of the only cause; empty: no cause
	}{
		{``, CodeMalformedBody, ""},
		{`null`, CodeMalformedBody, ""},
		{`[]`, CodeMalformedBody, ""},
		{`"x"`, CodeMalformedBody, ""},
		{`{"name":`, CodeMalformedBody, "unexpected end"},
		{`{"name":"x"} {}`, CodeMalformedBody, "invalid character"},
		{`{"name":1}`, CodeValidation, "name: expected a string, not number"},
		{`{"description":{}}`, CodeValidation, "description: expected a string, not object"},
		{`{"status":true}`, CodeValidation, "status: expected a string, not bool"},
		{`{"events":[]}`, CodeValidation, "events: expected an object, not array"},
		{`{"events":{"items":"user.session.start"}}`, CodeValidation, "events.items: expected an array, not string"},
		{`{"events":{"items":[1]}}`, CodeValidation, "events.items: expected a string, not number"},
		{`{"events":{"filter":{"eventFilterMap":[{"condition":{"expression":1}}]}}}`, CodeValidation, "events.filter.eventFilterMap.condition.expression: expected a string, not number"},
		{`{"channel":{"config":{"headers":{}}}}`, CodeValidation, "channel.config.headers: expected an array, not object"},
		{`{"channel":{"config":{"authScheme":{"value":1}}}}`, CodeValidation, "channel.config.authScheme.value: expected a string, not number"},
	}
	for _, tt := range tests {
		_, err := DecodeEventHook([]byte(tt.body))
		e, ok := err.(*Error)
		if !ok || e.ErrorCode != tt.code {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		if tt.cause == "" && len(e.ErrorCauses) == 0 {
			continue
		}
		if len(e.ErrorCauses) != 1 || !strings.HasPrefix(e.ErrorCauses[0].ErrorSummary, tt.cause) {
			t.Errorf("%s: causes %v", tt.body, e.ErrorCauses)
		}
	}
}

// FuzzDecodeEventHook: what is accepted survives being written and read again.
func FuzzDecodeEventHook(f *testing.F) {
	for _, name := range []string{"event-hook-create-request.json", "event-hook-replace-request.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, b); err != nil {
			f.Fatal(err)
		}
		f.Add(compact.Bytes())
	}
	f.Add([]byte(`{"delivery":{"a":[1,null]},"channel":{"config":{"authScheme":null}},"name":"<&>"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		hook, err := DecodeEventHook(body)
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		first, err := EncodeEventHook(hook, baseURL)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeEventHook(first)
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		second, err := EncodeEventHook(again, baseURL)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
	})
}
