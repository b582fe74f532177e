package access

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/okta"
)

// Guard lets requests with a token through to next and answers 401 to the
// others: below /api/v1 as Okta does, elsewhere with problem details.
func (t *Tokens) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := t.Check(r); ok {
			next.ServeHTTP(w, r)
			return
		}
		t.log.Warn("request without a valid admin token refused", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr)
		// A 401 must name the schemes (RFC 9110 §15.5.2).
		w.Header()["Www-Authenticate"] = []string{`SSWS realm="grapnel"`, `Bearer realm="grapnel"`}
		if strings.HasPrefix(r.URL.Path, "/api/v1/") {
			okta.WriteError(w, okta.NewError(okta.CodeInvalidToken))
			return
		}
		refuse(w)
	})
}

// problem is RFC 9457's object.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func refuse(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(problem{ // to a client that may have gone
		Title:  http.StatusText(http.StatusUnauthorized),
		Status: http.StatusUnauthorized,
		Detail: "the admin token is missing or wrong; send it as \"Authorization: Bearer <token>\" or \"Authorization: SSWS <token>\"",
	})
}
