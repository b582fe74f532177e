package reach

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	long := "https://hooks.example.com/" + strings.Repeat("x", MaxURL)
	for raw, says := range map[string]string{
		"https://hooks.example.com":                      "",
		"https://hooks.example.com/":                     "",
		"HTTPS://Hooks.Example.COM/a?b=c&d=%20":          "",
		"https://hooks.example.com:8443/okta":            "",
		"https://hooks.example.com/a@b?c=d@e":            "",
		"https://hooks.example.com?to=https://a@b/":      "",
		"https://9.9.9.9/":                               "",
		"https://[2606:4700:4700::1111]:443/":            "",
		"https://[::ffff:9.9.9.9]/":                      "",
		"https://localhost/":                             "", // a name: the resolver decides
		long[:MaxURL]:                                    "",
		long[:MaxURL+1]:                                  "1025 characters",
		"":                                               "must start with https://",
		"hooks.example.com":                              "must start with https://",
		"//hooks.example.com/":                           "must start with https://",
		"ftp://hooks.example.com/":                       "must start with https://",
		"file:///etc/passwd":                             "must start with https://",
		"https:":                                         "names no host",
		"https://":                                       "names no host",
		"https:///path":                                  "names no host",
		"https://:443/":                                  "names no host",
		"https:hooks.example.com":                        "names no host",
		"https://user:pa55@hooks.example.com/":           "user name or password",
		"https://user:pa/55@hooks.example.com/":          "invalid port",
		"https://user:pa55@[hooks/":                      "user name or password",
		"https://@hooks.example.com/":                    "user name or password",
		`https://hooks.example.com\@9.9.9.9/`:            "cannot be read",
		"https://hooks.example.com/#":                    "fragment",
		"https://hooks.example.com/#part":                "fragment",
		" https://hooks.example.com/":                    "white space",
		"https://hooks.example.com/a b":                  "white space",
		"https://hooks.example.com/\r\nX-Injected: 1":    "white space",
		"https://hooks.example.com/\x00":                 "white space",
		"https://hooks.example.com/bücher":               "percent-encode",
		"https://hooks.example.com/\x7f":                 "white space",
		"https://bücher.example/":                        "xn--",
		"https://hooks.example.com/%zz?key=s3cret":       "cannot be read",
		"https://hooks.example.com:/":                    "port must be",
		"https://hooks.example.com:0/":                   "port must be",
		"https://hooks.example.com:65536/":               "port must be",
		"https://hooks.example.com:0443/":                "port must be",
		"https://hooks.example.com:443x/":                "invalid port",
		"http://hooks.example.com/":                      "--allow-http",
		"https://10.0.0.1/":                              "private use",
		"https://[::1]/":                                 "loopback",
		"https://[::ffff:169.254.169.254]/latest":        "metadata",
		"https://[::ffff:a9fe:a9fe]/latest":              "metadata",
		"https://[fe80::1%25eth0]/":                      "zone",
		"https://[::ffff:9.9.9.9%25eth0]/":               "zone",
		"https://[hooks.example.com]/":                   "cannot be read",
		"https://[9.9.9.9]/":                             "cannot be read",
		"https://::1/":                                   "cannot be read",
		"https://2130706433/":                            "ends in a number",
		"https://0x7f.1/":                                "ends in a number",
		"https://0177.0.0.1:8080/":                       "ends in a number",
		"https://127.0.0.1./":                            "ends in a number",
		"https://%31%32%37.0.0.1/":                       "cannot be read",
		"https://hooks..example.com/":                    "labels",
		"https://hooks.example.com,other.example.com/":   "labels",
		"https://hooks.example.com%E3%80%82example.org/": "labels",
	} {
		err := newReach(t, Options{}).CheckURL(raw)
		switch {
		case says == "" && err != nil:
			t.Errorf("%q: %v", raw, err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%q: %v, which does not say %q", raw, err, says)
		case err != nil && (strings.Contains(err.Error(), "pa55") || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%q: the error tells a secret: %v", raw, err)
		}
	}
}

func TestCheckURLHeedsTheOptions(t *testing.T) {
	reach := newReach(t, Options{AllowHTTP: true, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, raw := range []string{"http://hooks.example.com/", "http://127.0.0.1:9000/in", "https://[::ffff:127.0.0.1]/"} {
		if err := reach.CheckURL(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// What CheckURL accepts must mean the same to everyone who reads it later:
// the URL survives writing and parsing, and the host that the HTTP client asks
// the guard to dial is the one that was checked.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://hooks.example.com/okta?a=b",
		"HTTP://Hooks.Example.com.:8080/%2F/../a;b?c",
		"https://9.9.9.9:1",
		"https://[2606:4700::1]:65535/?",
		"https://[::ffff:9.9.9.9]/",
		"https://127.1/",
		"https://u:p@h/#f",
		`https://h\@i/`,
		"https://h:/",
		"https:h",
		"https://h//i@j/",
		"https://[fe80::1%25a]/",
	} {
		f.Add(seed)
	}
	var asked, dialled string
	reach, err := New(Options{
		AllowHTTP: true,
		Resolver: resolverFunc(func(_ context.Context, _, host string) ([]netip.Addr, error) {
			asked = host
			return addrs("9.9.9.9"), nil
		}),
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = address
			return nil, errors.New("dialled")
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if reach.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q: %+v, %v", raw, u, err)
		}
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host || again.RequestURI() != u.RequestURI() || again.String() != u.String() {
			t.Fatalf("%q is written as %q, which reads as %q, %v", raw, u, again, err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, raw, nil)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		asked, dialled = "", ""
		if _, err := reach.Client().Do(request); err == nil || !strings.HasSuffix(err.Error(), "dialled") {
			t.Fatalf("%q: the guard or the client had something else to say: %v", raw, err)
		}
		if literal, err := netip.ParseAddr(u.Hostname()); err == nil {
			to, err := netip.ParseAddrPort(dialled)
			if err != nil || asked != "" || to.Addr() != literal.Unmap() {
				t.Errorf("%q: asked for %q, dialled %q", raw, asked, dialled)
			}
		} else if asked != u.Hostname() || !strings.HasPrefix(dialled, "9.9.9.9:") {
			t.Errorf("%q: asked for %q, dialled %q", raw, asked, dialled)
		}
	})
}
