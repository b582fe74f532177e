package okta

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
)

// An ErrorCode is one of Okta's API error codes. Programs branch on it and on
// the HTTP status; summaries are for people and may change.
type ErrorCode string

// The codes of the event hook and System Log APIs, by what went wrong.
const (
	CodeValidation       ErrorCode = "E0000001" // 400 a field is missing, malformed or not allowed
	CodeMalformedBody    ErrorCode = "E0000003" // 400 the body is not JSON, or not an object
	CodeAuthentication   ErrorCode = "E0000004" // 401
	CodeInvalidSession   ErrorCode = "E0000005" // 403
	CodeForbidden        ErrorCode = "E0000006" // 403 the caller lacks the permission
	CodeNotFound         ErrorCode = "E0000007" // 404 no such object
	CodeNoSuchPath       ErrorCode = "E0000008" // 404
	CodeInternal         ErrorCode = "E0000009" // 500
	CodeReadOnly         ErrorCode = "E0000010" // 503
	CodeInvalidToken     ErrorCode = "E0000011" // 401
	CodeFeatureDisabled  ErrorCode = "E0000015" // 401
	CodeMediaType        ErrorCode = "E0000021" // 400 Accept or Content-Type
	CodeMethodNotAllowed ErrorCode = "E0000022" // 405
	CodeFilterOperator   ErrorCode = "E0000031" // 400 System Log: operator not usable on a field
	CodeRateLimit        ErrorCode = "E0000047" // 429
	CodeInvalidSearch    ErrorCode = "E0000053" // 400 System Log: filter syntax, unknown field, parameter
	CodeUnsupported      ErrorCode = "E0000060" // 501
)

var errorTable = map[ErrorCode]struct {
	status  int
	summary string
}{
	CodeValidation:       {http.StatusBadRequest, "Api validation failed"},
	CodeMalformedBody:    {http.StatusBadRequest, "The body is not a well-formed JSON object"},
	CodeAuthentication:   {http.StatusUnauthorized, "Authentication failed"},
	CodeInvalidSession:   {http.StatusForbidden, "The session is not valid"},
	CodeForbidden:        {http.StatusForbidden, "You do not have permission to perform the requested action"},
	CodeNotFound:         {http.StatusNotFound, "Not found"},
	CodeNoSuchPath:       {http.StatusNotFound, "There is nothing at this path"},
	CodeInternal:         {http.StatusInternalServerError, "Something went wrong on our side"},
	CodeReadOnly:         {http.StatusServiceUnavailable, "Changes are not possible at the moment"},
	CodeInvalidToken:     {http.StatusUnauthorized, "Invalid token provided"},
	CodeFeatureDisabled:  {http.StatusUnauthorized, "The feature is not enabled"},
	CodeMediaType:        {http.StatusBadRequest, "Accept and Content-Type must be application/json"},
	CodeMethodNotAllowed: {http.StatusMethodNotAllowed, "The method is not supported at this path"},
	CodeFilterOperator:   {http.StatusBadRequest, "The operator is not supported for this field"},
	CodeRateLimit:        {http.StatusTooManyRequests, "API call exceeded rate limit due to too many requests."},
	CodeInvalidSearch:    {http.StatusBadRequest, "The search is not valid"},
	CodeUnsupported:      {http.StatusNotImplemented, "The operation is not supported"},
}

// Status returns the HTTP status that goes with the code, 500 for a code that
// is not one of ours.
func (c ErrorCode) Status() int {
	if e, ok := errorTable[c]; ok {
		return e.status
	}
	return http.StatusInternalServerError
}

// An Error is the JSON object of every failed call to Okta's API.
type Error struct {
	ErrorCode    ErrorCode `json:"errorCode"`
	ErrorSummary string    `json:"errorSummary"`
	// ErrorLink equals ErrorCode, as it does at Okta.
	ErrorLink ErrorCode `json:"errorLink"`
	// ErrorID tells one occurrence from another; 25 characters, starting "oae".
	ErrorID string `json:"errorId"`
	// ErrorCauses is never null.
	ErrorCauses []ErrorCause `json:"errorCauses"`
}

// An ErrorCause names one thing to put right.
type ErrorCause struct {
	ErrorSummary string `json:"errorSummary"`
}

func (e *Error) Error() string {
	s := string(e.ErrorCode) + ": " + e.ErrorSummary
	for _, c := range e.ErrorCauses {
		s += "; " + c.ErrorSummary
	}
	return s
}

// NewError makes an error with the code's own summary and a fresh id. A cause
// reads "field.path: what to put right".
func NewError(code ErrorCode, causes ...string) *Error {
	e := &Error{
		ErrorCode:    code,
		ErrorSummary: errorTable[code].summary,
		ErrorLink:    code,
		ErrorID:      "oae" + randomText(22),
		ErrorCauses:  make([]ErrorCause, 0, len(causes)),
	}
	for _, c := range causes {
		e.ErrorCauses = append(e.ErrorCauses, ErrorCause{c})
	}
	return e
}

// ValidationError is CodeValidation about one object of the API, such as
// "eventHook".
func ValidationError(object string, causes ...string) *Error {
	e := NewError(CodeValidation, causes...)
	e.ErrorSummary += ": " + object
	return e
}

// NotFoundError is CodeNotFound for an id and the name of its type, such as
// "EventHook".
func NotFoundError(id, typeName string) *Error {
	e := NewError(CodeNotFound)
	e.ErrorSummary += fmt.Sprintf(": Resource not found: %s (%s)", id, typeName)
	return e
}

// WriteError answers with err if it is an *Error, and with a bare CodeInternal
// otherwise: what else went wrong is not for the caller.
func WriteError(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = NewError(CodeInternal)
	}
	body, err := Marshal(e)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.ErrorCode.Status())
	// A caller that is gone cannot be told so.
	_, _ = w.Write(body)
}

// NewID makes an id like Okta's: the prefix ("who" for an event hook, "cal" for
// an inline hook) and random letters and digits, 20 characters together.
func NewID(prefix string) string {
	return prefix + randomText(20-len(prefix))
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// randomText returns n letters and digits, each equally likely. crypto/rand
// never fails.
func randomText(n int) string {
	text := make([]byte, 0, n)
	var random [32]byte
	for {
		_, _ = rand.Read(random[:])
		for _, c := range random {
			if len(text) >= n {
				return string(text)
			}
			if c &= 63; int(c) < len(alphanumeric) {
				text = append(text, alphanumeric[c])
			}
		}
	}
}
