package reach

import (
	"fmt"
	"net/netip"
	"strings"
)

// RefusedError says that the guard does not let a connection out. Trying
// again gives the same answer until the configuration, the URL or the name's
// DNS records change. A name that cannot be resolved just now is another
// error, the resolver's own.
type RefusedError struct {
	Host    string       // as in the URL, without brackets
	Address netip.Addr   // the address refused; the zero Addr when the URL itself is
	Range   netip.Prefix // the special-purpose range Address lies in
	Reason  string       // what the range is for, or what is wrong with the URL
}

// Error says which range refused which address, and what to do about it.
func (e *RefusedError) Error() string {
	if !e.Address.IsValid() {
		return fmt.Sprintf("destination %q refused: %s", e.Host, e.Reason)
	}
	resolved := ""
	if literal, err := netip.ParseAddr(e.Host); err != nil || literal.Unmap() != e.Address {
		resolved = fmt.Sprintf("it leads to %s, and ", e.Address)
	}
	return fmt.Sprintf("destination %q refused: %s%s is not a public range (%s); if you mean it, start with --allow-destination %s or a CIDR around it",
		e.Host, resolved, e.Range, e.Reason, e.Address)
}

// parseHost returns the address that host is, or the zero Addr when host is a
// name to resolve. Whatever is neither is refused, above all the notations
// that inet_aton(3) reads as IPv4 addresses: 127.1, 0x7f.0.0.1, 2130706433.
func parseHost(host string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr, nil
	}
	name := strings.TrimSuffix(host, ".")
	if len(name) > 253 { // RFC 1035 §2.3.4, in text form
		return netip.Addr{}, &RefusedError{Host: host, Reason: "a host name has at most 253 characters"}
	}
	label := ""
	for label = range strings.SplitSeq(name, ".") {
		if !validLabel(label) {
			return netip.Addr{}, &RefusedError{Host: host,
				Reason: "a host name consists of labels of 1 to 63 ASCII letters, digits, '-' and '_'; write an international name in its xn-- form"}
		}
	}
	// No top-level domain is a number (RFC 3696 §2), so what ends in one is
	// an address in some notation, as the WHATWG URL Standard holds too.
	if isNumber(label) {
		return netip.Addr{}, &RefusedError{Host: host,
			Reason: "it ends in a number, and some programs read that as an IPv4 address; write the address as four decimal numbers"}
	}
	return netip.Addr{}, nil
}

func validLabel(label string) bool {
	if len(label) < 1 || len(label) > 63 {
		return false
	}
	for _, c := range []byte(label) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isNumber(label string) bool {
	digits, set := label, "0123456789"
	if len(label) > 1 && label[0] == '0' && label[1]|0x20 == 'x' {
		digits, set = label[2:], "0123456789abcdefABCDEF"
	}
	return strings.Trim(digits, set) == ""
}
