// Package secret seals credentials for keeping at rest, compares secrets in
// constant time, and reads and creates the small files that hold a key or a
// token. It owns the sealed format and nothing else: which rows are sealed is
// the business of admin, where the bytes lie is the store's, and what a
// secret is good for is the concern of whoever opens it.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

const keyAdvice = "make one with `openssl rand -base64 32`"

// Key seals and opens. It prints as a fixed word with every verb of fmt, so
// that it cannot slip into a log; only Encode gives it away. The zero Key is
// no key: using it panics.
type Key struct {
	// A function, because fmt calls no methods of unexported fields but
	// prints what is in them: a Key in someone's unexported field thus shows
	// an address and not its bytes.
	reveal func() [KeySize]byte
}

func newKey(bytes [KeySize]byte) Key {
	return Key{reveal: func() [KeySize]byte { return bytes }}
}

// ParseKey reads a key of 32 bytes from its base64 text: the standard or the
// URL alphabet, padded or not, with white space around it. The error says
// what to do and never repeats the text.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Key{}, errors.New("the secret key is empty; " + keyAdvice)
	}
	// 32 bytes are 43 characters and, in the padded form, one '='.
	unpadded := strings.TrimSuffix(text, "=")
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(unpadded)
	raw, err := base64.RawStdEncoding.Strict().DecodeString(standard)
	if err != nil {
		return Key{}, fmt.Errorf("the secret key is not base64 of %d bytes (%w); %s", KeySize, err, keyAdvice)
	}
	if len(raw) != KeySize {
		return Key{}, fmt.Errorf("the secret key has %d bytes and must have %d; %s", len(raw), KeySize, keyAdvice)
	}
	if [KeySize]byte(raw) == [KeySize]byte{} {
		return Key{}, errors.New("the secret key is all zeros; " + keyAdvice)
	}
	return newKey([KeySize]byte(raw)), nil
}

// GenerateKey makes a new random key.
func GenerateKey() Key {
	var bytes [KeySize]byte
	// crypto/rand never fails: it ends the program when the system has no randomness.
	rand.Read(bytes[:])
	return newKey(bytes)
}

// Encode returns the key as padded standard base64, the form that ParseKey
// reads and that a key file holds.
func (k Key) Encode() string {
	bytes := k.reveal()
	return base64.StdEncoding.EncodeToString(bytes[:])
}

const redacted = "secret.Key(redacted)"

// String returns a fixed word, never the key.
func (k Key) String() string { return redacted }

// Format writes the same fixed word whatever the verb: without it %d and %#v
// would print the bytes.
func (k Key) Format(state fmt.State, _ rune) { fmt.Fprint(state, redacted) }

func (k Key) aead() cipher.AEAD {
	if k.reveal == nil {
		panic("secret: a zero Key was used; get one from ParseKey or GenerateKey")
	}
	bytes := k.reveal()
	block, err := aes.NewCipher(bytes[:])
	if err != nil {
		panic(err) // only for key lengths that the type rules out
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for ciphers other than crypto/aes
	}
	return aead
}
