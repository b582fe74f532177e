package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// dial opens a connection to where Okta calls.
func (l *life) dial() net.Conn {
	l.Helper()
	conn, err := net.Dial("tcp", l.public)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		l.Fatal(err)
	}
	return conn
}

// talk writes raw bytes on a connection of its own and returns the statuses of
// so many answers, 0 where the connection ended instead.
func (l *life) talk(raw string, answers int) (statuses []int) {
	l.Helper()
	conn := l.dial()
	defer conn.Close()
	// The gateway need not read all of it.
	go func() { _, _ = io.WriteString(conn, raw) }()
	return l.hear(bufio.NewReader(conn), answers)
}

func (l *life) hear(conn *bufio.Reader, answers int) (statuses []int) {
	l.Helper()
	for range answers {
		response, err := http.ReadResponse(conn, nil)
		if err != nil {
			return append(statuses, 0)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		statuses = append(statuses, response.StatusCode)
		switch response.StatusCode {
		case http.StatusBadRequest, http.StatusExpectationFailed, http.StatusOK:
			// Without a word if it comes from net/http.
		default:
			// Whoever tries the address by hand reads why.
			if len(body) == 0 {
				l.Errorf("%d without a word", response.StatusCode)
			}
		}
	}
	return statuses
}

// request writes the head of a POST with the right secret, and its body.
func request(body string, header ...string) string {
	header = append([]string{"POST /in/acme HTTP/1.1", "Host: gateway.example", "Authorization: " + orgSecret}, header...)
	return strings.Join(header, "\r\n") + "\r\n\r\n" + body
}

func sized(body string) string { return request(body, fmt.Sprintf("Content-Length: %d", len(body))) }

// chunked writes a body in chunks of a size.
func chunked(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return request(b.String()+"0\r\n\r\n", "Transfer-Encoding: chunked")
}

// TestOddRequests makes requests of every odd kind. Each has one clear answer.
func TestOddRequests(t *testing.T) {
	d := newDump(t)
	good := oktaDelivery(event("odd", "user.session.start"))
	challenge := "GET /in/acme HTTP/1.1\r\nHost: x\r\nX-Okta-Verification-Challenge: "
	for name, c := range map[string]struct {
		raw  string
		want int // 0: the connection ends
	}{
		"good":                      {sized(good), 200},
		"chunked":                   {chunked(good, 7), 200},
		"chunked, in one":           {chunked(good, 1<<20), 200},
		"absolute address":          {strings.Replace(sized(good), "POST /", "POST http://elsewhere.example/", 1), 200},
		"HTTP/1.0":                  {strings.Replace(sized(good), "HTTP/1.1", "HTTP/1.0", 1), 200},
		"header names in all cases": {strings.Replace(sized(good), "Authorization", "aUTHORIZATION", 1), 200},
		"wrong secret":              {strings.Replace(sized(good), orgSecret, orgSecret+"x", 1), 401},
		"shorter secret":            {strings.Replace(sized(good), orgSecret, orgSecret[:len(orgSecret)-1], 1), 401},
		"empty secret":              {strings.Replace(sized(good), orgSecret, "", 1), 401},
		"no secret":                 {strings.Replace(sized(good), "Authorization", "X-Authorization", 1), 401},
		"wrong secret, garbage":     {strings.Replace(sized("\x00\x01"), orgSecret, "x", 1), 401},
		"unknown source":            {strings.Replace(sized(good), "/in/acme", "/in/acne", 1), 404},
		"no source":                 {strings.Replace(sized(good), "/in/acme", "/in/", 1), 404},
		"below a source":            {strings.Replace(sized(good), "/in/acme", "/in/acme/x", 1), 404},
		"escaped slash":             {strings.Replace(sized(good), "/in/acme", "/in/acme%2Fx", 1), 404},
		"NUL in the path":           {strings.Replace(sized(good), "/in/acme", "/in/%00", 1), 404},
		"admin's path":              {"GET /v1/sources HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		"PUT":                       {strings.Replace(sized(good), "POST", "PUT", 1), 405},
		"DELETE":                    {strings.Replace(sized(good), "POST", "DELETE", 1), 405},
		"OPTIONS":                   {strings.Replace(sized(good), "POST", "OPTIONS", 1), 405},
		"made-up method":            {strings.Replace(sized(good), "POST", "FETCH", 1), 405},
		"GET without a challenge":   {"GET /in/acme HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"challenge":                 {challenge + "abc\r\n\r\n", 200},
		"large challenge":           {challenge + strings.Repeat("c", 1<<10+1) + "\r\n\r\n", 400},
		"huge header":               {challenge + strings.Repeat("c", 200<<10) + "\r\n\r\n", 431},
		"many headers":              {request("", strings.Repeat("A: b\r\n", 50_000)+"A: b"), 431},
		"unknown expectation":       {request(good, fmt.Sprintf("Content-Length: %d", len(good)), "Expect: a-miracle"), 417},
		"negative length":           {request(good, "Content-Length: -1"), 400},
		"two lengths":               {request(good, "Content-Length: 1", "Content-Length: 2"), 400},
		"length is no number":       {request(good, "Content-Length: all of it"), 400},
		"length over the limit":     {request(good, "Content-Length: 99999999999"), 413},
		"unknown coding":            {request(good, "Transfer-Encoding: gzip"), 501},
		"no host":                   {strings.Replace(sized(good), "Host: ", "Ghost: ", 1), 400},
		"HTTP/2 without TLS":        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		"HTTP/0.9":                  {"GET /in/acme\r\n\r\n", 400},
		"TLS":                       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x7f", 500) + "\r\n\r\n", 400},
		"bytes":                     {strings.Repeat("\x00\xff\r\n", 1000), 400},
	} {
		t.Run(name, func(t *testing.T) {
			if got := d.talk(c.raw, 1); got[0] != c.want {
				t.Errorf("answered %d, want %d", got[0], c.want)
			}
		})
	}
	d.counts(5, 3)
	d.stillWell()
}

// counts looks whether what was refused is counted: so many calls with a wrong
// secret, and for sources that there are not.
func (d *dump) counts(unauthorized, unknown int64) {
	d.Helper()
	until(d, "refused calls are counted", func() bool {
		stats := d.stats()
		return stats.Sources[0].Unauthorized == unauthorized && stats.UnknownSources.Deliveries == unknown
	})
}

// TestPipelining sends requests without waiting for their answers.
func TestPipelining(t *testing.T) {
	d := newDump(t)
	var raw strings.Builder
	var want []int
	for n := range 20 {
		switch n % 4 {
		case 0, 1:
			raw.WriteString(sized(oktaDelivery(event(fmt.Sprintf("pipe-%d", n), "user.session.start"))))
			want = append(want, 200)
		case 2:
			raw.WriteString(chunked("not a delivery", 3))
			want = append(want, 400)
		default:
			raw.WriteString(strings.Replace(sized("{}"), orgSecret, "wrong", 1))
			want = append(want, 401)
		}
	}
	if got := d.talk(raw.String(), len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answered %d, want %d", got, want)
	}
	for n := range 20 {
		if n%4 < 2 {
			d.delivered(fmt.Sprintf("pipe-%d", n))
		}
	}
	// What follows a body that was longer than it said is a request of its own.
	body := oktaDelivery(event("longer", "user.session.start"))
	if got := d.talk(request(body+"and more\r\n\r\n", fmt.Sprintf("Content-Length: %d", len(body))), 2); fmt.Sprint(got) != "[200 400]" {
		t.Errorf("a body longer than it said was answered %d", got)
	}
	d.stillWell()
}

// TestExpectContinue asks before it sends a body, as curl does with large ones.
func TestExpectContinue(t *testing.T) {
	d := newDump(t)
	body := oktaDelivery(event("continued", "user.session.start"))
	head := request("", fmt.Sprintf("Content-Length: %d", len(body)), "Expect: 100-continue")

	conn := d.dial()
	answers := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	line, err := answers.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "HTTP/1.1 100 Continue" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	if got := d.hear(answers, 1); got[0] != http.StatusOK {
		t.Errorf("answered %d", got)
	}
	d.delivered("continued")

	// What will be refused need not be sent.
	if got := d.talk(strings.Replace(head, orgSecret, "wrong", 1), 1); got[0] != http.StatusUnauthorized {
		t.Errorf("with a wrong secret, answered %d", got)
	}
	if got := d.talk(request("", "Content-Length: 99999999", "Expect: 100-continue"), 1); got[0] != http.StatusRequestEntityTooLarge {
		t.Errorf("with a huge body, answered %d", got)
	}
}

// TestLargeBodies posts bodies around the limit, with and without a length.
func TestLargeBodies(t *testing.T) {
	const limit = 1 << 20
	d := newDump(t, "--body-limit", "1MiB")
	fill := func(uuid string, size int) string {
		body := oktaDelivery(fmt.Sprintf(`{"uuid":%q,"eventType":"a.b","pad":"PAD"}`, uuid))
		return strings.Replace(body, "PAD", strings.Repeat("x", size-len(body)+len("PAD")), 1)
	}
	for i, write := range []func(string) string{sized, func(b string) string { return chunked(b, 10_000) }} {
		uuid := fmt.Sprintf("largest-%d", i)
		for size, want := range map[int]int{limit: 200, limit + 1: 413, 5 * limit: 413} {
			if got := d.talk(write(fill(uuid, size)), 1); got[0] != want {
				t.Errorf("%d bytes, kind %d: answered %d, want %d", size, i, got[0], want)
			}
		}
		d.delivered(uuid)
	}
	until(t, "bodies over the limit are counted", func() bool { return d.stats().Sources[0].TooLarge == 4 })
	d.stillWell()
}

// TestBrokenOff closes connections in the middle of requests.
func TestBrokenOff(t *testing.T) {
	d := newDump(t)
	body := oktaDelivery(event("broken-off", "user.session.start"))
	for _, whole := range []string{sized(body), chunked(body, 50)} {
		for cut := 1; cut < len(whole); cut += 29 {
			conn := d.dial()
			if _, err := io.WriteString(conn, whole[:cut]); err != nil {
				t.Fatal(err)
			}
			if cut%2 == 0 {
				// Half closed: an answer can still be read, and there is one.
				if tcp, ok := conn.(*net.TCPConn); ok {
					_ = tcp.CloseWrite()
				}
				status := d.hear(bufio.NewReader(conn), 1)[0]
				if status != 0 && status != http.StatusBadRequest && status != http.StatusServiceUnavailable {
					t.Errorf("cut at %d of %d: answered %d", cut, len(whole), status)
				}
			}
			_ = conn.Close()
		}
	}
	d.stillWell()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.got["broken-off"]) > 0 {
		t.Error("a delivery that did not come whole was taken for one")
	}
}

// TestSlowClients holds many connections open in the middle of requests. Other
// callers must be served meanwhile, and memory stay bounded.
func TestSlowClients(t *testing.T) {
	body := oktaDelivery(event("slow", "user.session.start"))
	for name, c := range map[string]struct {
		count int
		begin string
	}{
		"say nothing":                   {500, ""},
		"begin a request":               {500, "POST /in/ac"},
		"stop in a header":              {500, "POST /in/acme HTTP/1.1\r\nHost: x\r\nAuthoriz"},
		"stop before a body":            {500, request("", "Content-Length: 1000")},
		"stop in a body":                {500, request(body[:50], "Content-Length: 1000")},
		"stop in a chunk":               {100, request("ffff\r\n{", "Transfer-Encoding: chunked")},
		"announce the largest body":     {100, request("{", fmt.Sprintf("Content-Length: %d", 32<<20))},
		"wrong secret, announce a body": {500, strings.Replace(request("{", fmt.Sprintf("Content-Length: %d", 32<<20)), orgSecret, "wrong", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDump(t)
			for range c.count {
				if _, err := io.WriteString(d.dial(), c.begin); err != nil {
					t.Fatal(err)
				}
			}
			// Okta gives up after 3 s; this is generous to a busy machine.
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for n := range 20 {
				uuid := fmt.Sprintf("quick-%d", n)
				if status, _, err := d.post(ctx, event(uuid, "user.session.start")); err != nil || status != http.StatusOK {
					t.Fatalf("beside %d slow clients, a good one was answered %d, %v", c.count, status, err)
				}
				d.delivered(uuid)
			}
			d.stillWell()
		})
	}
}

// TestLargeBodiesTogether posts many bodies of the largest size at the same
// time, good and bad. Each has an answer, and memory stays bounded.
func TestLargeBodiesTogether(t *testing.T) {
	const inBody = 120 // events of 250 KB each
	d := newDump(t)
	noise := make([]byte, 31<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	pad := strings.Repeat("so it was ", 25_000)
	var callers sync.WaitGroup
	var answers [600]atomic.Int64
	for n := range 8 {
		callers.Go(func() {
			body := string(noise)
			if n%2 == 0 {
				var events []string
				for i := range inBody {
					events = append(events, fmt.Sprintf(`{"uuid":"large-%d-%d","eventType":"a.b","pad":"%s"}`, n, i, pad))
				}
				body = oktaDelivery(events...)
			}
			raw := sized(body)
			if n%4 < 2 {
				raw = chunked(body, 1<<20)
			}
			answers[d.talk(raw, 1)[0]].Add(1)
		})
	}
	callers.Wait()
	good, bad, later := answers[200].Load(), answers[400].Load(), answers[503].Load()
	t.Logf("%d acknowledged, %d rejected, %d to come again", good, bad, later)
	if good == 0 || bad == 0 || good+bad+later != 8 {
		t.Error("some bodies had no answer, or none was taken")
	}
	until(t, "all delivered", func() bool { return d.stats().Hooks[0].Delivered == inBody*good })
	d.stillWell()
}

// TestHangingDestinations delivers large events to destinations that never
// answer. Another one must get its own meanwhile, and memory stay bounded
// whatever concurrency the hooks are given.
func TestHangingDestinations(t *testing.T) {
	d := newDump(t)
	over := make(chan struct{})
	for n := range 10 {
		hangs := newRawSink(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-over:
			case <-r.Context().Done():
			}
		})
		d.createHook(fmt.Sprintf("hangs-%d", n), hangs.url, everything, `{"verification":"none","concurrency":200,"timeout":"5m"}`)
	}
	t.Cleanup(func() { close(over) })
	pad := strings.Repeat("so it was ", 25_000)
	for n := range 160 {
		uuid := fmt.Sprintf("hang-%d", n)
		d.send(fmt.Sprintf(`{"uuid":%q,"eventType":"a.b","pad":"%s"}`, uuid, pad))
		d.delivered(uuid)
	}
	d.stillWell()
}
