package reach

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// MaxURL bounds a destination's URL, in bytes.
const MaxURL = 1024

// CheckURL says whether a destination may be saved. It looks at the text
// alone and asks no resolver: a name may still turn out to lead to a refused
// address whenever it is dialled. A *RefusedError is the guard's own refusal;
// other errors say what is wrong with the text. No error repeats more of the
// URL than its host, its port or a broken escape, because paths and queries
// of webhooks hold secrets.
func (r *Reach) CheckURL(raw string) error {
	u, err := r.parse(raw)
	if err != nil {
		return err
	}
	addr, err := parseHost(u.Hostname())
	if err != nil || !addr.IsValid() {
		return err
	}
	_, err = checkAddress(u.Hostname(), addr, r.allow)
	return err
}

// parse is CheckURL up to the host.
func (r *Reach) parse(raw string) (*url.URL, error) {
	if err := checkText(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		// A *url.Error would repeat the whole URL.
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err
		}
		return nil, fmt.Errorf("the URL cannot be read: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the URL must start with https://")
	}
	if u.Hostname() == "" {
		return nil, errors.New("the URL names no host; write it like https://hooks.example.com/okta")
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	return u, r.checkScheme(u)
}

func checkText(raw string) error {
	if len(raw) > MaxURL {
		return fmt.Errorf("the URL has %d characters and may have %d", len(raw), MaxURL)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c > '~' {
			return errors.New("the URL may hold neither white space nor characters outside ASCII; percent-encode them, and write an international host name in its xn-- form")
		}
	}
	if strings.Contains(raw, "#") {
		return errors.New("the URL may not have a fragment; remove the '#' and what follows")
	}
	_, rest, _ := strings.Cut(raw, "//")
	if end := strings.IndexAny(rest, `/?\`); end >= 0 {
		rest = rest[:end]
	}
	// Before parsing, whose errors may show a piece of the password.
	if strings.Contains(rest, "@") {
		return errors.New("the URL may not hold a user name or password; put them into the authentication header")
	}
	return nil
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		return nil
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return errors.New("the URL's port must be a number from 1 to 65535, or be left out with its colon")
	}
	return nil
}

func (r *Reach) checkScheme(u *url.URL) error {
	if u.Scheme == "http" && !r.allowHTTP {
		return &RefusedError{Host: u.Hostname(), Reason: "plain http:// sends secrets in the clear; use https:// or start with --allow-http"}
	}
	return nil
}
