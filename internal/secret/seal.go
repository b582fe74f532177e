package secret

import (
	"errors"
	"fmt"
)

// A sealed value is one byte of format version, then for version 1 what
// AES-256-GCM with a random nonce gives: 12 bytes of nonce, the ciphertext,
// 16 bytes of tag (NIST SP 800-38D). The additional data is the version byte
// followed by the context.
const (
	version1 = 1
	overhead = 1 + 12 + 16
)

var (
	// ErrWrongKey means that a sealed value was sealed with another key or
	// for another context, or that its bytes were changed. AES-GCM cannot
	// tell these apart.
	ErrWrongKey = errors.New("sealed with another key, for another place, or changed since")

	// ErrUnknownFormat means that the bytes are not a sealed value of a
	// version that this program knows.
	ErrUnknownFormat = errors.New("not a sealed value that this version of Grapnel knows")
)

// Seal encrypts plaintext. The context names the one place where the value
// belongs, such as a table, a row and a column; Open must be given the same,
// so that a sealed value copied into another row does not open. The result is
// 29 bytes longer than plaintext and differs each time. One key is good for
// 2^32 calls (SP 800-38D §8.3), far more than credentials will ever be saved.
func (k Key) Seal(context string, plaintext []byte) []byte {
	sealed := make([]byte, 1, overhead+len(plaintext))
	sealed[0] = version1
	return k.aead().Seal(sealed, nil, plaintext, additionalData(version1, context))
}

// Open decrypts what Seal made for the same context. Its errors are
// ErrWrongKey and ErrUnknownFormat; wrap them with the name of what was to be
// opened.
func (k Key) Open(context string, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != version1 {
		return nil, ErrUnknownFormat
	}
	plaintext, err := k.aead().Open(nil, nil, sealed[1:], additionalData(version1, context))
	if err != nil {
		return nil, ErrWrongKey
	}
	return plaintext, nil
}

// additionalData binds the version too: a later version's value cannot be
// passed off as an earlier one's.
func additionalData(version byte, context string) []byte {
	return append([]byte{version}, context...)
}

const (
	canaryContext = "canary"
	canaryText    = "grapnel"
)

// Canary returns a sealed value for the store to keep from its first start,
// by which CheckCanary recognises the key at every later one.
func (k Key) Canary() []byte { return k.Seal(canaryContext, []byte(canaryText)) }

// CheckCanary refuses a key other than the one that made the canary. The
// error says what to do and matches ErrWrongKey or ErrUnknownFormat.
func (k Key) CheckCanary(canary []byte) error {
	_, err := k.Open(canaryContext, canary)
	switch {
	case errors.Is(err, ErrWrongKey):
		return fmt.Errorf("the secret key is not the one this store was made with; "+
			"start with that --secret-key-file or GRAPNEL_SECRET_KEY: %w", err)
	case err != nil:
		return fmt.Errorf("the store's canary cannot be read; "+
			"start the version of Grapnel that wrote the store last, or restore the store from a backup: %w", err)
	}
	return nil
}
