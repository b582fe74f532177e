package secret

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestSealOpens(t *testing.T) {
	key := GenerateKey()
	for _, plaintext := range []string{"", "s", "a shared secret", strings.Repeat("x", 100_000)} {
		sealed := key.Seal("hook/1/secret", []byte(plaintext))
		if len(sealed) != len(plaintext)+overhead || cap(sealed) != len(sealed) {
			t.Errorf("%d bytes sealed into %d (capacity %d)", len(plaintext), len(sealed), cap(sealed))
		}
		opened, err := key.Open("hook/1/secret", sealed)
		if err != nil || string(opened) != plaintext {
			t.Errorf("%d bytes: opened %d, %v", len(plaintext), len(opened), err)
		}
	}
	if bytes.Equal(key.Seal("c", []byte("p")), key.Seal("c", []byte("p"))) {
		t.Error("sealing twice gave the same bytes: the nonce repeats")
	}
}

func TestOpenRefusals(t *testing.T) {
	key := GenerateKey()
	sealed := key.Seal("hook/1/secret", []byte("a shared secret"))
	newer := bytes.Clone(sealed)
	newer[0] = 2

	cases := map[string]struct {
		key     Key
		context string
		sealed  []byte
		want    error
	}{
		"another key":         {GenerateKey(), "hook/1/secret", sealed, ErrWrongKey},
		"another row":         {key, "hook/2/secret", sealed, ErrWrongKey},
		"no context":          {key, "", sealed, ErrWrongKey},
		"cut short":           {key, "hook/1/secret", sealed[:len(sealed)-1], ErrWrongKey},
		"a byte more":         {key, "hook/1/secret", append(bytes.Clone(sealed), 0), ErrWrongKey},
		"nothing":             {key, "hook/1/secret", nil, ErrUnknownFormat},
		"only a version":      {key, "hook/1/secret", []byte{version1}, ErrUnknownFormat},
		"no room for a tag":   {key, "hook/1/secret", sealed[:overhead-1], ErrUnknownFormat},
		"a later version":     {key, "hook/1/secret", newer, ErrUnknownFormat},
		"never sealed (JSON)": {key, "hook/1/secret", []byte(`{"value":"a secret that nobody sealed"}`), ErrUnknownFormat},
	}
	for name, c := range cases {
		opened, err := c.key.Open(c.context, c.sealed)
		if !errors.Is(err, c.want) || opened != nil {
			t.Errorf("%s: %q, %v", name, opened, err)
		}
	}
}

func TestEveryChangedBitIsNoticed(t *testing.T) {
	key := GenerateKey()
	sealed := key.Seal("hook/1/secret", []byte("a shared secret"))
	for bit := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := key.Open("hook/1/secret", changed); err == nil {
			t.Errorf("bit %d changed and the value still opened", bit)
		}
	}
}

func TestCanary(t *testing.T) {
	key := GenerateKey()
	canary := key.Canary()
	if err := key.CheckCanary(canary); err != nil {
		t.Errorf("the right key: %v", err)
	}
	err := GenerateKey().CheckCanary(canary)
	if !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), "--secret-key-file") {
		t.Errorf("a wrong key: %v", err)
	}
	err = key.CheckCanary([]byte("?"))
	if !errors.Is(err, ErrUnknownFormat) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("a broken canary: %v", err)
	}
}

func TestEqual(t *testing.T) {
	cases := []struct {
		a, b string
		want bool
	}{
		{"secret", "secret", true},
		{"secret", "Secret", false},
		{"secret", "secret ", false},
		{"secret", "secre", false},
		{"secret", "", false},
		{"", "secret", false},
		{"", "", false},
		{strings.Repeat("x", 10_000), strings.Repeat("x", 10_000), true},
	}
	for _, c := range cases {
		if Equal(c.a, c.b) != c.want {
			t.Errorf("Equal(%.10q, %.10q) is not %v", c.a, c.b, c.want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key, err := ParseKey("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("hook/1/secret", []byte{})
	f.Add("hook/1/secret", []byte{version1})
	f.Add("hook/1/secret", bytes.Repeat([]byte{version1}, overhead))
	f.Add("canary", key.Canary())
	f.Fuzz(func(t *testing.T, context string, data []byte) {
		opened, err := key.Open(context, data)
		switch {
		case err == nil && context != canaryContext:
			t.Errorf("bytes that nobody sealed for %q opened as %q", context, opened)
		case err != nil && !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrUnknownFormat):
			t.Errorf("an error of no kind: %v", err)
		}
		back, err := key.Open(context, key.Seal(context, data))
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%q came back as %q, %v", data, back, err)
		}
	})
}
