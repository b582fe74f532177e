package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// Principal is who a request comes from.
type Principal struct {
	// Name is shown to people.
	Name string
}

// Tokens knows who may come in by which token.
type Tokens struct {
	admin Principal
	hash  [sha256.Size]byte
	log   *slog.Logger
}

// NewToken returns a token of 32 random bytes, in base64url.
func NewToken() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// maxToken bounds a token, in bytes.
const maxToken = 4096

// New lets in whoever shows token, as admin. The token is 1 to 4096 printable
// ASCII characters without spaces, as it has to fit into a header.
func New(token string, admin Principal, log *slog.Logger) (*Tokens, error) {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, odd) {
		return nil, errors.New("the admin token must be 1 to 4096 printable ASCII characters without spaces")
	}
	return &Tokens{admin: admin, hash: sha256.Sum256([]byte(token)), log: log}, nil
}

// Check returns who the request comes from: it must carry
// `Authorization: SSWS <token>` (Okta's own scheme) or `Bearer <token>`
// (RFC 6750 §2.1). The time it takes tells nothing about the token.
func (t *Tokens) Check(r *http.Request) (Principal, bool) {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return Principal{}, false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "SSWS") && !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, false
	}
	hash := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
	if subtle.ConstantTimeCompare(hash[:], t.hash[:]) != 1 {
		return Principal{}, false
	}
	return t.admin, true
}
