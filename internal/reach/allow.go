package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ParseAllow reads the values of --allow-destination: each a CIDR prefix such
// as 10.1.0.0/16 or a single address. A prefix with bits set beyond its
// length, such as 10.1.0.0/8, is refused rather than guessed at. IPv6 prefixes
// cover no IPv4 address, not even ::/0.
func ParseAllow(values []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(values))
	for _, value := range values {
		prefix, err := parsePrefix(strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func parsePrefix(value string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("--allow-destination %q is neither an IP address nor a CIDR; write it like 10.1.0.0/16 or fd12:3456::/32", value)
	}
	return plainPrefix(prefix)
}

// plainPrefix makes a prefix fit for comparing with unmapped addresses:
// ::ffff:10.0.0.0/104 becomes 10.0.0.0/8.
func plainPrefix(prefix netip.Prefix) (netip.Prefix, error) {
	if !prefix.IsValid() {
		return netip.Prefix{}, errors.New("an allowed destination is not a valid prefix; make it with ParseAllow")
	}
	if addr, bits := prefix.Addr(), prefix.Bits(); addr.Is4In6() && bits >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), bits-96)
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf("--allow-destination %s has bits set beyond its length; write %s for the whole block or %s for the one address",
			prefix, masked, prefix.Addr())
	}
	return prefix, nil
}
