package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a network in which no address answers but those named.
type silent struct {
	answers string
	dialled []string
}

func (s *silent) dial(ctx context.Context, _, address string) (net.Conn, error) {
	s.dialled = append(s.dialled, address)
	if address == s.answers {
		near, far := net.Pipe()
		far.Close()
		return near, nil
	}
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}

// The resolver's first answer is public, all later ones are loopback, as an
// attacker's DNS server with a short TTL has it.
func TestRebindingNameIsResolvedOncePerDial(t *testing.T) {
	asked := 0
	rebinding := resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
		asked++
		if asked == 1 {
			return addrs("9.9.9.9"), nil
		}
		return addrs("127.0.0.1"), nil
	})
	network := &silent{answers: "9.9.9.9:443"}
	reach := newReach(t, Options{Resolver: rebinding, Dial: network.dial})

	conn, err := reach.DialContext(t.Context(), "tcp", "rebind.example:443")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if asked != 1 || !slices.Equal(network.dialled, []string{"9.9.9.9:443"}) {
		t.Errorf("asked %d times, dialled %v", asked, network.dialled)
	}

	_, err = reach.DialContext(t.Context(), "tcp", "rebind.example:443")
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Address != netip.MustParseAddr("127.0.0.1") || asked != 2 || len(network.dialled) != 1 {
		t.Errorf("the second time: %v; asked %d times, dialled %v", err, asked, network.dialled)
	}
}

func TestOneRefusedAddressRefusesTheName(t *testing.T) {
	for _, answer := range [][]netip.Addr{
		addrs("9.9.9.9", "10.0.0.1"),
		addrs("10.0.0.1", "9.9.9.9"),
		addrs("9.9.9.9", "2606:4700::1111", "::ffff:10.0.0.1"),
	} {
		network := &silent{answers: "9.9.9.9:443"}
		reach := newReach(t, Options{Resolver: names{"mixed.example": answer}, Dial: network.dial})
		_, err := reach.DialContext(t.Context(), "tcp", "mixed.example:443")
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || refused.Address != netip.MustParseAddr("10.0.0.1") || refused.Host != "mixed.example" ||
			refused.Range != netip.MustParsePrefix("10.0.0.0/8") {
			t.Errorf("%v: %v", answer, err)
		}
		if len(network.dialled) > 0 {
			t.Errorf("%v: dialled %v", answer, network.dialled)
		}
	}
}

func TestNoHiddenNotationIsDialled(t *testing.T) {
	for _, host := range []string{
		"127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "127.0.0.1", "localhost",
		"::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
		"fe80::1%lo", "0", "0.0.0.0", "::", "",
	} {
		network := &silent{}
		reach := newReach(t, Options{Dial: network.dial}) // with the system's resolver
		_, err := reach.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "80"))
		if _, ok := errors.AsType[*RefusedError](err); !ok || len(network.dialled) > 0 {
			t.Errorf("%q: %v, dialled %v", host, err, network.dialled)
		}
	}
}

func TestLiteralAddressAsksNoResolver(t *testing.T) {
	for address, dialled := range map[string]string{
		"9.9.9.9:443":            "9.9.9.9:443",
		"[2606:4700::1111]:8443": "[2606:4700::1111]:8443",
		"[::ffff:9.9.9.9]:443":   "9.9.9.9:443",
	} {
		network := &silent{answers: dialled}
		reach := newReach(t, Options{Resolver: names{}, Dial: network.dial})
		conn, err := reach.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		conn.Close()
	}
}

func TestResolverTroubleIsNoRefusal(t *testing.T) {
	temporary := &net.DNSError{Err: "server misbehaving", Name: "hooks.example.com", IsTemporary: true}
	for name, resolver := range map[string]resolverFunc{
		"temporary": func(context.Context, string, string) ([]netip.Addr, error) { return nil, temporary },
		"no answer": func(context.Context, string, string) ([]netip.Addr, error) { return nil, nil },
	} {
		_, err := newReach(t, Options{Resolver: resolver}).DialContext(t.Context(), "tcp", "hooks.example.com:443")
		if _, ok := errors.AsType[*RefusedError](err); ok {
			t.Errorf("%s: a refusal: %v", name, err)
		}
		dns, ok := errors.AsType[*net.DNSError](err)
		if !ok || dns.Name != "hooks.example.com" || dns.IsTemporary != (name == "temporary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDialContextRefusesWhatItDoesNotKnow(t *testing.T) {
	reach := newReach(t, Options{Resolver: names{"hooks.example.com": addrs("9.9.9.9")}, Dial: (&silent{}).dial})
	for address, network := range map[string]string{
		"hooks.example.com:53":    "udp",
		"hooks.example.com":       "tcp",
		"hooks.example.com:https": "tcp",
		"hooks.example.com:65536": "tcp",
		"hooks.example.com:":      "tcp",
	} {
		if _, err := reach.DialContext(t.Context(), network, address); err == nil {
			t.Errorf("%s %s was dialled", network, address)
		}
	}
}

func TestNextAddressIsTriedWhenOneIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &silent{answers: "[2606:4700::3]:443"}
		resolver := names{"hooks.example.com": addrs("9.9.9.1", "::ffff:9.9.9.2", "2606:4700::3", "9.9.9.4")}
		reach := newReach(t, Options{Resolver: resolver, Dial: network.dial})
		began := time.Now()
		conn, err := reach.DialContext(t.Context(), "tcp", "hooks.example.com:443")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if took := time.Since(began); took != 2*addressTimeout {
			t.Errorf("it took %v", took)
		}
		if want := []string{"9.9.9.1:443", "9.9.9.2:443", "[2606:4700::3]:443"}; !slices.Equal(network.dialled, want) {
			t.Errorf("dialled %v", network.dialled)
		}
	})
}

func TestConnectingIsBounded(t *testing.T) {
	var many []netip.Addr
	for i := range 200 {
		many = append(many, netip.MustParseAddr(fmt.Sprintf("9.9.9.%d", i)))
	}
	for name, list := range map[string][]netip.Addr{"one": many[:1], "many": many} {
		synctest.Test(t, func(t *testing.T) {
			network := &silent{}
			reach := newReach(t, Options{Resolver: names{"hooks.example.com": list}, Dial: network.dial})
			began := time.Now()
			_, err := reach.DialContext(t.Context(), "tcp", "hooks.example.com:443")
			if took := time.Since(began); took != connectTimeout || len(network.dialled) > 4 {
				t.Errorf("%s: it took %v and dialled %d", name, took, len(network.dialled))
			}
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("%s: no network time-out: %v", name, err)
			}
			if name == "many" && !strings.HasPrefix(err.Error(), "none of 200 addresses") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCallersDeadlineEndsDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &silent{}
		resolver := resolverFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		for _, options := range []Options{
			{Resolver: resolver, Dial: network.dial},
			{Resolver: names{"hooks.example.com": addrs("9.9.9.1", "9.9.9.2")}, Dial: network.dial},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			began := time.Now()
			_, err := newReach(t, options).DialContext(ctx, "tcp", "hooks.example.com:443")
			if took := time.Since(began); took != 2*time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it took %v: %v", took, err)
			}
			cancel()
		}
		if !slices.Equal(network.dialled, []string{"9.9.9.1:443"}) {
			t.Errorf("dialled %v", network.dialled)
		}
	})
}
