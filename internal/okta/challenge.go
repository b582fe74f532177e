package okta

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Headers and the User-Agent of Okta's own calls. None of them proves where a
// call comes from.
const (
	HeaderChallenge = "X-Okta-Verification-Challenge"
	HeaderRequestID = "X-Okta-Request-Id"
	UserAgent       = "Okta-Integrations"
)

// AppendVerification appends the answer to a verification challenge.
func AppendVerification(dst []byte, challenge string) []byte {
	dst = append(dst, `{"verification":`...)
	dst = appendString(dst, challenge)
	return append(dst, '}')
}

// WriteVerification answers a verification challenge with 200.
func WriteVerification(w http.ResponseWriter, challenge string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	// If Okta is gone, it will ask again.
	_, _ = w.Write(AppendVerification(nil, challenge))
}

// CheckVerification reports whether body, which an endpoint sent with a 2xx
// status, answers the challenge it was sent: a JSON object whose key
// verification holds the challenge unchanged.
//
// Other keys may stand beside it and the Content-Type may be anything, since no
// source says that Okta minds either. The error tells the endpoint's owner what
// to answer instead.
func CheckVerification(body []byte, challenge string) error {
	if challenge == "" {
		return errors.New("no challenge was sent, so nothing can answer it")
	}
	const advice = `answer {"verification":"<value of the header ` + HeaderChallenge + `>"}`
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the answer is not a JSON object (%w); %s", err, advice)
	}
	raw, ok := answer["verification"]
	if !ok {
		return errors.New("the answer has no key verification; " + advice)
	}
	var got string
	if err := json.Unmarshal(raw, &got); err != nil || got != challenge {
		return errors.New("verification is not the challenge that was sent; " + advice)
	}
	return nil
}
