package reach

import (
	"errors"
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	const (
		name    = "name"
		address = "address"
		refused = "refused"
	)
	for host, want := range map[string]string{
		"hooks.example.com":              name,
		"hooks.example.com.":             name,
		"HOOKS.Example.COM":              name,
		"localhost":                      name,
		"xn--bcher-kva.example":          name,
		"under_score.example":            name,
		"1.2.3.4.example":                name,
		"0x7f.example":                   name,
		"7.example.0xy":                  name,
		"cafe":                           name,
		"9.9.9.9":                        address,
		"2606:4700::1111":                address,
		"::ffff:9.9.9.9":                 address,
		"fe80::1%eth0":                   address, // refused by checkAddress
		"":                               refused,
		".":                              refused,
		"..":                             refused,
		"a..example":                     refused,
		".example":                       refused,
		"example..":                      refused,
		"bücher.example":                 refused,
		"127。0。0。1":                      refused,
		"１２７.0.0.1":                      refused,
		"exa mple":                       refused,
		"exa%6dple":                      refused,
		"a/b":                            refused,
		"[9.9.9.9]":                      refused,
		"9.9.9.9:80":                     refused,
		"127.1":                          refused,
		"127.0.1":                        refused,
		"127.0.0.1.":                     refused,
		"9.9.9.9.":                       refused,
		"2130706433":                     refused,
		"017700000001":                   refused,
		"0x7f000001":                     refused,
		"0X7F000001":                     refused,
		"0x7f.1":                         refused,
		"0x7f.0x0.0x0.0x1":               refused,
		"0177.0.0.1":                     refused,
		"127.0.0.01":                     refused,
		"127.0.0.0x1":                    refused,
		"127.0.0.0x":                     refused,
		"256.256.256.256":                refused,
		"1.2.3.4.5":                      refused,
		"name.0":                         refused,
		strings.Repeat("a", 63):          name,
		strings.Repeat("a", 64):          refused,
		strings.Repeat("a.", 126) + "a":  name, // 253 characters
		strings.Repeat("a.", 126) + "a.": name,
		strings.Repeat("a.", 126) + "aa": refused,
	} {
		addr, err := parseHost(host)
		got := name
		if err != nil {
			got = "an error of another kind"
			if _, ok := errors.AsType[*RefusedError](err); ok {
				got = refused
			}
		} else if addr.IsValid() {
			got = address
		}
		if got != want {
			t.Errorf("%q is taken for: %s, not %s (%v)", host, got, want, err)
		}
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	reach := newReach(t, Options{})
	for raw, want := range map[string]string{
		"https://10.1.2.3/": `destination "10.1.2.3" refused: 10.0.0.0/8 is not a public range (private use, RFC 1918); ` +
			`if you mean it, start with --allow-destination 10.1.2.3 or a CIDR around it`,
		"https://[::ffff:10.1.2.3]/": `destination "::ffff:10.1.2.3" refused: 10.0.0.0/8 is not a public range (private use, RFC 1918); ` +
			`if you mean it, start with --allow-destination 10.1.2.3 or a CIDR around it`,
		"https://127.1/": `destination "127.1" refused: it ends in a number, and some programs read that as an IPv4 address; ` +
			`write the address as four decimal numbers`,
		"http://hooks.example.com/": `destination "hooks.example.com" refused: plain http:// sends secrets in the clear; ` +
			`use https:// or start with --allow-http`,
	} {
		if err := reach.CheckURL(raw); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", raw, err, want)
		}
	}

	_, err := newReach(t, Options{Resolver: names{"hooks.example.com": addrs("10.1.2.3")}}).
		DialContext(t.Context(), "tcp", "hooks.example.com:443")
	want := `destination "hooks.example.com" refused: it leads to 10.1.2.3, and 10.0.0.0/8 is not a public range (private use, RFC 1918); ` +
		`if you mean it, start with --allow-destination 10.1.2.3 or a CIDR around it`
	if err == nil || err.Error() != want {
		t.Errorf("by name:\n got %v\nwant %s", err, want)
	}
}
