package reach

import "net/netip"

// specialRange is a block of addresses that no destination may have unless
// the allow-list covers it, and what the block is for.
type specialRange struct {
	prefix netip.Prefix
	use    string
}

// specialRanges follows IANA's IPv4 and IPv6 Special-Purpose Address
// Registries (RFC 6890) and adds multicast, what IANA deprecated, the
// addresses of cloud metadata services, and all IPv6 space that is not
// global unicast. The more specific block stands first, because the first
// match names the refusal.
//
// Some blocks are globally reachable by the registry and refused all the
// same, since no destination of a hook belongs there: the AS112 blocks (RFC
// 7534, RFC 7535), AMT (RFC 7450), and the anycast addresses inside
// 192.0.0.0/24 and 2001::/23. IPv4-mapped IPv6 addresses (::ffff:0:0/96) are
// missing here: they are checked, and dialled, as the IPv4 address they carry.
var specialRanges = parseRanges([][2]string{
	{"168.63.129.16/32", "the platform address of Azure"},
	{"169.254.169.254/32", "the metadata service of most clouds"},
	{"100.100.100.200/32", "the metadata service of Alibaba Cloud"},
	{"192.0.0.192/32", "the metadata service of Oracle Cloud"},

	{"0.0.0.0/8", "this network, RFC 791"},
	{"10.0.0.0/8", "private use, RFC 1918"},
	{"100.64.0.0/10", "shared by carriers for NAT, RFC 6598"},
	{"127.0.0.0/8", "loopback, RFC 1122"},
	{"169.254.0.0/16", "link-local, RFC 3927"},
	{"172.16.0.0/12", "private use, RFC 1918"},
	{"192.0.0.0/24", "IETF protocol assignments, RFC 6890"},
	{"192.0.2.0/24", "documentation, RFC 5737"},
	{"192.31.196.0/24", "AS112, RFC 7535"},
	{"192.52.193.0/24", "AMT relays, RFC 7450"},
	{"192.88.99.0/24", "6to4 relays (deprecated), RFC 7526"},
	{"192.168.0.0/16", "private use, RFC 1918"},
	{"192.175.48.0/24", "AS112, RFC 7534"},
	{"198.18.0.0/15", "benchmarking, RFC 2544"},
	{"198.51.100.0/24", "documentation, RFC 5737"},
	{"203.0.113.0/24", "documentation, RFC 5737"},
	{"224.0.0.0/4", "multicast, RFC 5771"},
	{"255.255.255.255/32", "limited broadcast, RFC 919"},
	{"240.0.0.0/4", "reserved, RFC 1112"},

	{"fd00:ec2::254/128", "the metadata service of AWS"},
	{"fd20:ce::254/128", "the metadata service of Google Cloud"},

	{"::/128", "unspecified, RFC 4291"},
	{"::1/128", "loopback, RFC 4291"},
	{"::/96", "IPv4-compatible (deprecated), RFC 4291"},
	{"64:ff9b::/96", "NAT64, RFC 6052"},
	{"64:ff9b:1::/48", "local NAT64, RFC 8215"},
	{"100::/64", "discard only, RFC 6666"},
	{"100:0:0:1::/64", "dummy prefix, RFC 9780"},
	{"2001::/32", "Teredo, RFC 4380"},
	{"2001::/23", "IETF protocol assignments, RFC 2928"},
	{"2001:db8::/32", "documentation, RFC 3849"},
	{"2002::/16", "6to4, RFC 3056"},
	{"2620:4f:8000::/48", "AS112, RFC 7534"},
	{"3fff::/20", "documentation, RFC 9637"},
	{"5f00::/16", "segment routing, RFC 9602"},
	{"fc00::/7", "unique local, RFC 4193"},
	{"fe80::/10", "link-local, RFC 4291"},
	{"fec0::/10", "site-local (deprecated), RFC 3879"},
	{"ff00::/8", "multicast, RFC 4291"},

	// The rest of what is not 2000::/3, in which IANA assigns all global unicast.
	{"::/3", "not global unicast, RFC 4291"},
	{"4000::/2", "not global unicast, RFC 4291"},
	{"8000::/1", "not global unicast, RFC 4291"},
})

// nat64 is the well-known prefix, whose last 32 bits are an IPv4 address
// (RFC 6052 §2.2).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func parseRanges(table [][2]string) []specialRange {
	ranges := make([]specialRange, len(table))
	for i, row := range table {
		ranges[i] = specialRange{netip.MustParsePrefix(row[0]), row[1]}
	}
	return ranges
}

// checkAddress returns the address to dial, unmapped, or the refusal. The
// address is not to be used with an error.
func checkAddress(host string, addr netip.Addr, allow []netip.Prefix) (netip.Addr, error) {
	if !addr.IsValid() {
		return netip.Addr{}, &RefusedError{Host: host, Reason: "it resolves to something that is no IP address"}
	}
	if addr.Zone() != "" { // before Unmap, which drops it
		return netip.Addr{}, &RefusedError{Host: host, Reason: "an address with a zone (%) is good on one machine only; use a global address"}
	}
	addr = addr.Unmap()
	if covers(allow, addr) {
		if !nat64.Contains(addr) {
			return addr, nil
		}
		// Allowing NAT64 lets an IPv6-only machine reach the IPv4 internet.
		// It must not open the private networks behind the translator, too.
		bytes := addr.As16()
		_, err := checkAddress(host, netip.AddrFrom4([4]byte(bytes[12:])), allow)
		return addr, err
	}
	for _, special := range specialRanges {
		if special.prefix.Contains(addr) {
			return netip.Addr{}, &RefusedError{Host: host, Address: addr, Range: special.prefix, Reason: special.use}
		}
	}
	return addr, nil
}

func covers(allow []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
