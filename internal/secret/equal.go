package secret

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Equal reports whether a presented secret is the wanted one, in a time that
// does not depend on where they differ. Both are hashed first, so that secrets
// of different lengths take the same path. Two empty secrets are not equal: a
// secret that was never set must not let in a caller who presents none.
func Equal(a, b string) bool {
	hashA, hashB := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(hashA[:], hashB[:]) == 1 && a != ""
}
