package bench

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"
)

func TestShort(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1k", 10_500: "10.5k", 10_550: "10550", 5_000_000: "5M", 1_200_000: "1.2M", 1_250_000: "1250k"} {
		if got := short(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestTheThirdSideIsNamed(t *testing.T) {
	for want, o := range map[string]Options{
		"": {}, "pruning": {Prune: true}, "5M stored": {Stored: 5_000_000}, "1M waiting": {Waiting: 1_000_000},
		"10k + 1k": {Stored: 10_000, Waiting: 1000},
	} {
		if got := o.thirdName(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPruningIsJudgedByTheFirstAndTheLastMinute(t *testing.T) {
	start := time.Now()
	var sizes []size
	for i, bytes := range []float64{5, 9, 3, 99, 98, 7, 8} {
		sizes = append(sizes, size{start.Add(time.Duration(i) * 20 * time.Second), bytes})
	}
	if first, last := ends(sizes, time.Minute); first != 9 || last != 98 {
		t.Errorf("%v and %v, want 9 and 98", first, last)
	}
	if first, last := ends(nil, time.Minute); first != 0 || last != 0 {
		t.Errorf("%v and %v of nothing", first, last)
	}
}

// TestAPageIsReadUntilItIsFull: a server that never answers with more than 7
// items, now and then with none, has 100 of them, then 60, then 20.
func TestAPageIsReadUntilItIsFull(t *testing.T) {
	calls, items := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		n := min(7, limit, items-after)
		if calls%3 == 0 {
			n = 0
		}
		var page listing
		page.Items = make([]struct{ ID, Received string }, n)
		if after+n < items {
			page.Next = strconv.Itoa(after + n)
		}
		if err := json.NewEncoder(w).Encode(page); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	for _, c := range []struct{ items, calls int }{{100, 11}, {pageItems, 11}, {20, 4}, {0, 1}} {
		calls, items = 0, c.items
		s := &shelf{api: adminAPI{base: server.URL}}
		if err := s.read(t.Context(), eventList, url.Values{"type": {"x"}}); err != nil {
			t.Fatal(err)
		}
		if calls != c.calls || len(s.times) != 1 {
			t.Errorf("%d items: %d calls, want %d; %d times", c.items, calls, c.calls, len(s.times))
		}
	}
}

func TestADeadEndNotesTheFirstTry(t *testing.T) {
	d, err := startDeadEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.stop()
	for range 2 {
		d.forget()
		began := time.Now()
		for range 3 {
			if resp, err := http.Get(d.url()); err == nil {
				resp.Body.Close()
				t.Fatal("a dead end answered")
			}
		}
		ended := time.Now()
		if at, err := d.first(t.Context()); err != nil || at.Before(began) || at.After(ended) {
			t.Errorf("%v, %v; want between %v and %v", at, err, began, ended)
		}
	}
}
