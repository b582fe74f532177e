package reach

import (
	"bufio"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
)

type rangeCase struct {
	prefix        netip.Prefix
	before, after string
}

func rangeCases(t testing.TB) []rangeCase {
	file, err := os.Open("testdata/special-ranges.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var cases []rangeCase
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) != 3 {
			t.Fatalf("want three columns: %q", lines.Text())
		}
		cases = append(cases, rangeCase{netip.MustParsePrefix(fields[0]), fields[1], fields[2]})
	}
	if len(cases) < 60 {
		t.Fatalf("only %d ranges: the file is not whole", len(cases))
	}
	return cases
}

func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

func randomIn(random *rand.Rand, prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		if random.IntN(2) == 1 {
			bytes[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// forms returns the ways of writing an IPv4 address into an IPv6 one.
func forms(v4 netip.Addr) map[string]netip.Addr {
	embed := func(prefix string, at int) netip.Addr {
		bytes := netip.MustParseAddr(prefix).As16()
		copy(bytes[at:], v4.AsSlice())
		return netip.AddrFrom16(bytes)
	}
	teredo := netip.MustParseAddr("2001::").As16()
	binary.BigEndian.PutUint32(teredo[12:], ^binary.BigEndian.Uint32(v4.AsSlice()))
	return map[string]netip.Addr{
		"mapped":     embed("::ffff:0:0", 12),
		"compatible": embed("::", 12),
		"translated": embed("::ffff:0:0:0", 12),
		"NAT64":      embed("64:ff9b::", 12),
		"6to4":       embed("2002::", 2),
		"Teredo":     netip.AddrFrom16(teredo),
	}
}

func refusedAt(addr netip.Addr, allow ...netip.Prefix) bool {
	_, err := checkAddress(addr.String(), addr, allow)
	if err == nil {
		return false
	}
	_, refused := errors.AsType[*RefusedError](err)
	return refused
}

func TestEdgesOfEveryRange(t *testing.T) {
	for _, c := range rangeCases(t) {
		first, last := c.prefix.Addr(), lastOf(c.prefix)
		for _, addr := range []netip.Addr{first, last} {
			if !refusedAt(addr) {
				t.Errorf("%s: %s is let through", c.prefix, addr)
			}
		}
		for _, beside := range []struct {
			addr netip.Addr
			want string
		}{{first.Prev(), c.before}, {last.Next(), c.after}} {
			got := "-"
			if beside.addr.IsValid() {
				got = map[bool]string{true: "refused", false: "open"}[refusedAt(beside.addr)]
			}
			if got != beside.want {
				t.Errorf("%s: %s beside it is %s, not %s", c.prefix, beside.addr, got, beside.want)
			}
		}
	}
}

// Whatever the code's table refuses must be in the test's, and the other way
// round, so that neither can lose a range unnoticed.
func TestNoRangeIsMissing(t *testing.T) {
	listed := map[netip.Prefix]bool{}
	for _, c := range rangeCases(t) {
		listed[c.prefix] = true
	}
	for i, special := range specialRanges {
		if !listed[special.prefix] {
			t.Errorf("%s is refused and not tested", special.prefix)
		}
		for _, earlier := range specialRanges[:i] {
			if earlier.prefix.Bits() < special.prefix.Bits() && earlier.prefix.Contains(special.prefix.Addr()) {
				t.Errorf("%s stands behind %s and can never name a refusal", special.prefix, earlier.prefix)
			}
		}
		if special.prefix.Masked() != special.prefix {
			t.Errorf("%s has bits beyond its length", special.prefix)
		}
	}
}

func TestEveryAddressInsideIsRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range rangeCases(t) {
		for range 100 {
			addr := randomIn(random, c.prefix)
			if !refusedAt(addr) {
				t.Fatalf("%s in %s is let through", addr, c.prefix)
			}
			if !addr.Is4() {
				continue
			}
			for form, embedded := range forms(addr) {
				if !refusedAt(embedded) {
					t.Fatalf("%s in %s is let through as %s, %s", addr, c.prefix, embedded, form)
				}
			}
		}
	}
}

func TestEveryAddressOutsideIsOpen(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	cases := rangeCases(t)
	tried := 0
	for _, within := range []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("2000::/3")} {
		for range 5_000 {
			addr := randomIn(random, within)
			inside := false
			for _, c := range cases {
				inside = inside || c.prefix.Contains(addr)
			}
			if !inside {
				tried++
				dialled, err := checkAddress("name", addr, nil)
				if err != nil || dialled != addr {
					t.Fatalf("%s: %s, %v", addr, dialled, err)
				}
			}
		}
	}
	if tried < 7_500 {
		t.Errorf("only %d addresses tried", tried)
	}
}

func TestMappedAddressIsDialledAsIPv4(t *testing.T) {
	addr, err := checkAddress("name", netip.MustParseAddr("::ffff:9.9.9.9"), nil)
	if err != nil || addr != netip.MustParseAddr("9.9.9.9") {
		t.Errorf("got %v, %v", addr, err)
	}
}

func TestUnusableAddressesAreRefused(t *testing.T) {
	for _, addr := range []netip.Addr{
		{},
		netip.MustParseAddr("fe80::1%eth0"),
		netip.MustParseAddr("2606:4700::1%eth0"),
		netip.MustParseAddr("::ffff:9.9.9.9%eth0"),
	} {
		if !refusedAt(addr) || !refusedAt(addr, netip.MustParsePrefix("::/0"), netip.MustParsePrefix("0.0.0.0/0")) {
			t.Errorf("%v is let through", addr)
		}
	}
}

func TestAllowList(t *testing.T) {
	allow, err := ParseAllow([]string{"10.1.0.0/16", "127.0.0.1", "fd12::/32", "::ffff:192.168.0.0/112", " ::1 "})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]bool{
		"10.1.0.0":           false,
		"10.1.255.255":       false,
		"::ffff:10.1.2.3":    false,
		"10.0.255.255":       true,
		"10.2.0.0":           true,
		"127.0.0.1":          false,
		"127.0.0.2":          true,
		"fd12::1":            false,
		"fd13::1":            true,
		"192.168.255.1":      false,
		"192.169.0.1":        false,
		"::1":                false,
		"::2":                true,
		"::10.1.2.3":         true,
		"64:ff9b::10.1.2.3":  true,
		"2002:a01:203::1":    true,
		"169.254.169.254":    true,
		"2606:4700:4700::64": false,
	}
	for text, refused := range cases {
		if refusedAt(netip.MustParseAddr(text), allow...) != refused {
			t.Errorf("%s: refused is not %v", text, refused)
		}
	}
}

func TestAllowedNAT64OpensNoPrivateNetwork(t *testing.T) {
	allow, err := ParseAllow([]string{"64:ff9b::/96", "10.1.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]bool{
		"64:ff9b::9.9.9.9":         false,
		"64:ff9b::10.1.0.9":        false,
		"64:ff9b::10.2.0.9":        true,
		"64:ff9b::169.254.169.254": true,
		"64:ff9b::127.0.0.1":       true,
		"64:ff9b:1::9.9.9.9":       true,
	}
	for text, refused := range cases {
		addr := netip.MustParseAddr(text)
		if refusedAt(addr, allow...) != refused {
			t.Errorf("%s: refused is not %v", text, refused)
		}
		if dialled, err := checkAddress("name", addr, allow); err == nil && dialled != addr {
			t.Errorf("%s is dialled as %s", text, dialled)
		}
	}
}

func TestParseAllowRefusals(t *testing.T) {
	for value, says := range map[string]string{
		"":                   "neither an IP address nor a CIDR",
		"example.com":        "neither an IP address nor a CIDR",
		"10.1":               "neither an IP address nor a CIDR",
		"10.0.0.0/33":        "neither an IP address nor a CIDR",
		"10.0.0.01":          "neither an IP address nor a CIDR",
		"fe80::1%eth0":       "neither an IP address nor a CIDR",
		"10.1.2.3/8":         "write 10.0.0.0/8 for the whole block or 10.1.2.3 for the one address",
		"::ffff:10.0.0.0/90": "write ::ffc0:0:0/90",
	} {
		if _, err := ParseAllow([]string{"10.0.0.0/8", value}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", value, err)
		}
	}
	if _, err := New(Options{Allow: []netip.Prefix{{}}}); err == nil {
		t.Error("New took an invalid prefix")
	}
}

// The property behind the guard, against any bytes: what is let through is
// outside every range of the test's own list.
func FuzzCheckAddress(f *testing.F) {
	f.Add([]byte{9, 9, 9, 9})
	f.Add([]byte{169, 254, 169, 254})
	for _, c := range rangeCases(f) {
		f.Add(c.prefix.Addr().AsSlice())
		f.Add(lastOf(c.prefix).AsSlice())
	}
	cases := rangeCases(f)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		addr, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		dialled, err := checkAddress("name", addr, nil)
		if err != nil {
			return
		}
		if dialled != addr.Unmap() {
			t.Errorf("%s is dialled as %s", addr, dialled)
		}
		for _, c := range cases {
			if c.prefix.Contains(dialled) {
				t.Errorf("%s in %s is let through", addr, c.prefix)
			}
		}
	})
}
