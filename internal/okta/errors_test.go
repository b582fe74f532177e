package okta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"testing"
)

var errorID = regexp.MustCompile(`"errorId":"oae[0-9A-Za-z]{22}"`)

// The errors that Okta is known to send come out byte for byte, but for the id.
func TestWriteErrorRecorded(t *testing.T) {
	want := map[string]struct {
		err    error
		status int
	}{
		"error-400-validation.json":          {ValidationError("eventHook", "channel.config.uri: The URI must begin with https://"), 400},
		"error-400-verification-failed.json": {ValidationError("eventHook", "Unable to verify event hook. Hook Acme directory hook execution failed"), 400},
		"error-401-invalid-token.json":       {NewError(CodeInvalidToken), 401},
		"error-403-no-permission.json":       {NewError(CodeForbidden), 403},
		"error-404-not-found.json":           {fmt.Errorf("wrapped: %w", NotFoundError("whoDoesNotExist00001", "EventHook")), 404},
		"error-429-rate-limit.json":          {NewError(CodeRateLimit), 429},
	}
	files, err := filepath.Glob("testdata/error-*.json")
	if err != nil || len(files) != len(want) {
		t.Fatalf("samples %v, %v", files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		w := httptest.NewRecorder()
		WriteError(w, want[name].err)
		if w.Code != want[name].status || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		got := errorID.ReplaceAll(w.Body.Bytes(), []byte(`"errorId":"x"`))
		if sample := errorID.ReplaceAll(sample(t, name), []byte(`"errorId":"x"`)); !bytes.Equal(got, sample) {
			t.Errorf("%s: got %s, want %s", name, got, sample)
		}
	}
}

func TestErrorCodes(t *testing.T) {
	statuses := map[ErrorCode]int{
		"E0000001": 400, "E0000003": 400, "E0000004": 401, "E0000005": 403, "E0000006": 403, "E0000007": 404,
		"E0000008": 404, "E0000009": 500, "E0000010": 503, "E0000011": 401, "E0000015": 401, "E0000021": 400,
		"E0000022": 405, "E0000031": 400, "E0000047": 429, "E0000053": 400, "E0000060": 501,
	}
	if len(errorTable) != len(statuses) {
		t.Errorf("%d codes, want %d", len(errorTable), len(statuses))
	}
	for code, want := range statuses {
		if code.Status() != want || NewError(code).ErrorSummary == "" {
			t.Errorf("%s: %d %q", code, code.Status(), NewError(code).ErrorSummary)
		}
	}
	if got := ErrorCode("E9").Status(); got != http.StatusInternalServerError {
		t.Errorf("unknown code: %d", got)
	}
}

// An error that is not Okta's must not tell the caller what it says.
func TestWriteErrorHidesOthers(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, errors.New("password is hunter2"))
	var e Error
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	if w.Code != 500 || e.ErrorCode != CodeInternal || bytes.Contains(w.Body.Bytes(), []byte("hunter2")) || e.ErrorCauses == nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID("who")
		if seen[id] || !regexp.MustCompile(`^who[0-9A-Za-z]{17}$`).MatchString(id) {
			t.Fatalf("id %q, seen %v", id, seen[id])
		}
		seen[id] = true
	}
}
