package secret

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestParseKeyForms(t *testing.T) {
	// Bytes whose base64 has '+' and '/', so that the alphabets differ.
	raw := []byte(strings.Repeat("\xfb\xff\xfe", 11))[:KeySize]
	forms := map[string]string{
		"standard":          base64.StdEncoding.EncodeToString(raw),
		"standard unpadded": base64.RawStdEncoding.EncodeToString(raw),
		"URL":               base64.URLEncoding.EncodeToString(raw),
		"URL unpadded":      base64.RawURLEncoding.EncodeToString(raw),
		"with a newline":    base64.StdEncoding.EncodeToString(raw) + "\n",
	}
	if !strings.ContainsAny(forms["standard"], "+/") || !strings.ContainsAny(forms["URL"], "-_") {
		t.Fatal("the sample does not tell the alphabets apart")
	}
	for name, text := range forms {
		key, err := ParseKey(text)
		if err != nil || key.Encode() != forms["standard"] {
			t.Errorf("%s: got %v, %v", name, key, err)
		}
	}
}

func TestParseKeyRefusals(t *testing.T) {
	cases := map[string]struct{ text, says string }{
		"empty":              {"", "is empty"},
		"white space":        {" \n", "is empty"},
		"31 bytes":           {base64.StdEncoding.EncodeToString(make([]byte, 31)), "is not base64"},
		"31 bytes, unpadded": {base64.RawStdEncoding.EncodeToString(make([]byte, 31)), "has 31 bytes"},
		"33 bytes":           {base64.StdEncoding.EncodeToString(make([]byte, 33)), "has 33 bytes"},
		"hex of 32 bytes":    {strings.Repeat("5f", 32), "has 48 bytes"},
		"a pass phrase":      {"correct horse battery staple", "is not base64"},
		"all zeros":          {base64.StdEncoding.EncodeToString(make([]byte, 32)), "all zeros"},
		"twice padded":       {GenerateKey().Encode() + "=", "is not base64"},
		"stray last bits":    {strings.Repeat("A", 42) + "B", "is not base64"},
	}
	for name, c := range cases {
		_, err := ParseKey(c.text)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "openssl rand -base64 32") {
			t.Errorf("%s: %v", name, err)
		}
		if len(c.text) > 20 && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: the error repeats the text: %v", name, err)
		}
	}
}

func TestGeneratedKeysDiffer(t *testing.T) {
	if GenerateKey().reveal() == GenerateKey().reveal() {
		t.Error("generated keys repeat")
	}
}

func TestKeyNeverPrints(t *testing.T) {
	key := GenerateKey()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%t"} {
		for _, value := range []any{key, &key, struct{ Key Key }{key}, []Key{key}, map[string]Key{"": key}} {
			if got := fmt.Sprintf(verb, value); !strings.Contains(got, redacted) {
				t.Errorf("%s of %T gives %s", verb, value, got)
			}
		}
		hidden := fmt.Sprintf(verb, struct{ key Key }{key})
		bytes := strings.Trim(fmt.Sprintf(verb, key.reveal()), "[]")
		if len(hidden) > 80 || strings.Contains(hidden, bytes) {
			t.Errorf("%s of an unexported field gives %s", verb, hidden)
		}
	}
	encoded, err := json.Marshal(key)
	if err != nil || string(encoded) != "{}" {
		t.Errorf("JSON gives %s, %v", encoded, err)
	}
}

func TestZeroKeyPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a zero Key sealed")
		}
	}()
	Key{}.Seal("source/acme", nil)
}

func FuzzParseKey(f *testing.F) {
	f.Add("")
	f.Add(strings.Repeat("A", 43) + "=")
	f.Add(strings.Repeat("-_", 21) + "8")
	f.Add("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err != nil {
			if key.reveal != nil {
				t.Error("an error came with a key")
			}
			if len(text) > 40 && strings.Contains(err.Error(), text) {
				t.Errorf("the error repeats the text: %v", err)
			}
			return
		}
		again, err := ParseKey(key.Encode())
		if err != nil || again.Encode() != key.Encode() {
			t.Errorf("the encoded key reads as another: %v", err)
		}
	})
}
