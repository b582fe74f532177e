package pack

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// received is when the events of these tests came.
var received = time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)

func aBlock(uuids ...string) Block {
	b := Block{ID: 7}
	for i, uuid := range uuids {
		b.Add(&hook.Event{
			Source: int64(i % 2), UUID: uuid, Type: []string{"user.session.start", "", "x"}[i%3],
			Published: received.Add(-time.Duration(i) * time.Second), Received: received, JSON: []byte(uuid),
		})
	}
	return b
}

// FuzzSummary reads any bytes as a block's summary, and gives the JSON of a
// block out by what they say.
func FuzzSummary(f *testing.F) {
	good := aBlock("a2e3d1f0-5dd2-11f0-9c1a-0242ac120002", "", "any text", "7c9e6679-7425-40de-944b-e07fc1f90ae7")
	summary, _ := good.Encode(received)
	f.Add(summary, []byte("some JSON"))
	f.Add([]byte{blockFormat, 0}, []byte{})
	f.Add([]byte{blockFormat, 1, 1, 'x', 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte("x"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, summary, raw []byte) {
		events, sizes, err := Summary(7, received, summary)
		if err != nil {
			return
		}
		if len(events) > hook.BlockSlots || len(sizes) != len(events) {
			t.Fatalf("%d events, %d sizes", len(events), len(sizes))
		}
		for _, e := range events {
			if !MayHold(summary, e.Type, 0) || !MayHold(summary, "", e.Source) || !MayHold(summary, e.Type, e.Source) {
				t.Fatalf("an event of type %q and source %d is passed by", e.Type, e.Source)
			}
		}
		for i, e := range events {
			if e.Seq != hook.MakeSeq(7, i) || !e.Received.Equal(received) {
				t.Fatalf("event %d is %+v", i, e)
			}
		}
		if !shareOut(raw, events, sizes) {
			return
		}
		// What can be shared out can be written again, and is the same then.
		b := Block{ID: 7}
		for i := range events {
			e := events[i]
			b.Add(&e)
		}
		again, _ := b.Encode(received)
		reread, resized, err := Summary(7, received, again)
		if err != nil || !slices.Equal(sizes, resized) || !shareOut(raw, reread, resized) {
			t.Fatalf("written again it cannot be read: %v", err)
		}
		if diff := cmp.Diff(events, reread); diff != "" {
			t.Fatalf("written again it is another (-first +second):\n%s", diff)
		}
	})
}

// FuzzBlock writes and reads a block of two events.
func FuzzBlock(f *testing.F) {
	f.Add(int64(1), "a2e3d1f0-5dd2-11f0-9c1a-0242ac120002", "user.session.start", int64(0), []byte("{}"))
	f.Add(int64(math.MaxInt64), "", "", int64(math.MinInt64>>1), []byte{})
	f.Add(int64(0), "A2E3D1F0-5dd2-11f0-9c1a-0242ac120002", "\xff\x00", int64(-62135596800000000), []byte{0})
	f.Fuzz(func(t *testing.T, source int64, uuid, kind string, published int64, raw []byte) {
		if source < 0 || published > 1<<60 || published < -1<<60 {
			return // numbers of sources are not negative, nor times a thousand ages away
		}
		b := Block{ID: 1}
		first := hook.Event{Source: source, UUID: uuid, Type: kind, Published: time.UnixMicro(published).UTC(), Received: received, JSON: raw}
		second := first
		second.UUID, second.JSON = kind, []byte(uuid)
		b.Add(&first)
		b.Add(&second)
		summary, payload := b.Encode(received)
		events, sizes, err := Summary(1, received, summary)
		if err != nil {
			t.Fatal(err)
		}
		all, err := Decompress(payload)
		if err != nil || !shareOut(all, events, sizes) {
			t.Fatalf("the JSON cannot be read: %v", err)
		}
		if diff := cmp.Diff([]hook.Event{first, second}, events, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	})
}

// FuzzUUID holds the short form of uuids to the text.
func FuzzUUID(f *testing.F) {
	for _, text := range []string{"", "x", "a2e3d1f0-5dd2-11f0-9c1a-0242ac120002", "A2E3D1F0-5DD2-11F0-9C1A-0242AC120002", "a2e3d1f0-5dd2-11f0-9c1a-0242ac12000-"} {
		f.Add(text, []byte(text))
		f.Add(text, appendUUID(nil, text))
	}
	f.Fuzz(func(t *testing.T, text string, stored []byte) {
		if b, ok := CompactUUID(text); ok && ExpandUUID(b[:]) != text {
			t.Errorf("%q becomes %q", text, ExpandUUID(b[:]))
		}
		if key := SeenKey(text); key < 0 || key != SeenKey(text) {
			t.Errorf("the key of %q is %d and %d", text, key, SeenKey(text))
		}
		got, rest, ok := cutUUID(append(appendUUID(nil, text), "rest"...))
		if !ok || got != text || string(rest) != "rest" {
			t.Errorf("%q is read as %q, %q, %v", text, got, rest, ok)
		}
		if got, rest, ok := cutUUID(stored); ok {
			if again, left, ok := cutUUID(append(appendUUID(nil, got), rest...)); !ok || again != got || string(left) != string(rest) {
				t.Errorf("%q is read as %q, then as %q", stored, got, again)
			}
		}
	})
}

// FuzzSeen reads any bytes as dedupe entries.
func FuzzSeen(f *testing.F) {
	good := AppendSeen(nil, Seen{Source: 1, Seq: 64, UUID: "a2e3d1f0-5dd2-11f0-9c1a-0242ac120002"})
	f.Add(good)
	f.Add(AppendSeen(good, Seen{Source: 2, Seq: 1 << 40, UUID: ""}))
	f.Add(AppendSeen(good, Seen{Source: 2, Seq: 1 << 40, Hash: KeyOf("")}))
	f.Add(good[:len(good)-1])
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, stored []byte) {
		entries := ParseSeen(stored)
		var again []byte
		for _, e := range entries {
			again = AppendSeen(again, e)
		}
		if reread := ParseSeen(again); !slices.Equal(entries, reread) {
			t.Errorf("%v, written again: %v", entries, reread)
		}
	})
}

// FuzzAttempts reads any bytes as a log of attempts and adds one.
func FuzzAttempts(f *testing.F) {
	one := hook.Attempt{At: received, Duration: time.Second, Status: 503, Reason: hook.ReasonStatus}
	f.Add([]byte{}, int64(1), int64(2), 200, "")
	f.Add(AppendAttempt(nil, one), int64(math.MaxInt64), int64(math.MaxInt64), 599, "timeout")
	f.Add(AppendAttempt(nil, one)[:5], int64(math.MinInt64), int64(-1), 0, "\xff")
	var long []byte
	for range hook.MaxAttemptsKept + 5 {
		long = AppendAttempt(long, one)
	}
	f.Add(long, int64(0), int64(0), 0, "x")
	f.Fuzz(func(t *testing.T, stored []byte, at, duration int64, status int, reason string) {
		if status < 0 {
			return
		}
		before := Attempts(stored)
		added := hook.Attempt{
			At:       time.UnixMicro(at).UTC(),
			Duration: max(0, time.Duration(duration)).Truncate(time.Microsecond),
			Status:   status, Reason: hook.Reason(reason),
		}
		// Only a log that was written can be added to.
		var log []byte
		for _, a := range before {
			if a.Duration < 0 || a.Duration%time.Microsecond != 0 || a.Status < 0 {
				return
			}
			log = AppendAttempt(log, a)
		}
		want := append(before, added)
		if len(want) > hook.MaxAttemptsKept {
			last := want[len(want)-hook.MaxAttemptsKept+hook.FirstAttemptsKept:]
			want = append(want[:hook.FirstAttemptsKept:hook.FirstAttemptsKept], last...)
		}
		if diff := cmp.Diff(want, Attempts(LogAttempt(log, added))); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	})
}

// FuzzResponse reads any bytes as a stored response, and stores one.
func FuzzResponse(f *testing.F) {
	f.Add([]byte{}, 0, "", []byte{})
	f.Add([]byte(`{"status":500,"body":"eHg="}`), 500, "text/plain", []byte("sorry"))
	long, err := EncodeResponse(&hook.Response{Status: 500, Body: make([]byte, 4000)}, hook.Dead)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(long, 503, "", make([]byte, hook.MaxDeadBody+1))
	f.Add(long[:len(long)-2], 503, "\xff", []byte{0xff, 0})
	f.Fuzz(func(t *testing.T, stored []byte, status int, value string, body []byte) {
		_, _ = DecodeResponse(stored)
		want := &hook.Response{Status: status, Headers: []hook.Header{{Key: "X", Value: jsonText(value)}}, Body: body, Error: jsonText(value)}
		for state, limit := range map[hook.State]int{hook.Waiting: hook.MaxWaitingBody, hook.Dead: hook.MaxDeadBody} {
			b, err := EncodeResponse(want, state)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeResponse(b)
			if err != nil {
				t.Fatal(err)
			}
			short := *want
			short.Body = body[:min(len(body), limit)]
			if diff := cmp.Diff(&short, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("(-written +read):\n%s", diff)
			}
		}
	})
}

// jsonText is text as JSON can hold it.
func jsonText(text string) string { return string([]rune(text)) }

// FuzzOutcomes reads any bytes as the outcomes of a block, and adds to some.
func FuzzOutcomes(f *testing.F) {
	some := AppendOutcome(nil, received, 63, hook.Attempt{At: received.Add(time.Second), Duration: time.Millisecond, Status: 200})
	some = AppendOutcome(some, received, 0, hook.Attempt{At: received.Add(-time.Hour)})
	f.Add(some, uint8(5), int64(1500), int64(20), 204)
	f.Add(some[:3], uint8(63), int64(math.MinInt32), int64(-1), 0)
	f.Add([]byte{200, 0xff}, uint8(0), int64(0), int64(math.MaxInt64), 599)
	f.Fuzz(func(t *testing.T, stored []byte, slot uint8, after, duration int64, status int) {
		for at := range Outcomes(stored, received) {
			if at < 0 || at >= hook.BlockSlots {
				t.Errorf("slot %d was delivered", at)
			}
		}
		if slot >= hook.BlockSlots || status < 0 || after > 1<<40 || after < -1<<40 {
			return
		}
		other, next := hook.Attempt{At: received, Status: 200}, int(slot+1)%hook.BlockSlots
		want := hook.Attempt{
			At:       received.Add(time.Duration(after) * time.Millisecond),
			Duration: max(0, time.Duration(duration)).Truncate(time.Microsecond), Status: status,
		}
		written := AppendOutcome(AppendOutcome(nil, received, next, other), received, int(slot), want)
		if diff := cmp.Diff(map[int]hook.Attempt{int(slot): want, next: other}, Outcomes(written, received)); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	})
}

// FuzzCounts reads any bytes as counters, older and newer ones too.
func FuzzCounts(f *testing.F) {
	f.Add([]byte{}, int64(0), int64(1))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, int64(math.MaxInt64), int64(1<<40))
	f.Add([]byte{0xff, 0xff, 0xff}, int64(7), int64(8))
	f.Fuzz(func(t *testing.T, stored []byte, first, last int64) {
		var ignored hook.SourceCount
		ReadCounts(stored, SourceFields(&ignored))
		if first < 0 || last < 0 {
			return
		}
		want, got := hook.HookCount{Matched: first, FilterErrors: last}, hook.HookCount{}
		b := AppendCounts(nil, HookFields(&want))
		ReadCounts(append(b, stored...), HookFields(&got))
		if got != want {
			t.Errorf("%+v is read as %+v", want, got)
		}
	})
}

// FuzzSortOutcomes puts any bytes in order: nothing of them may be lost.
func FuzzSortOutcomes(f *testing.F) {
	some := AppendOutcome(nil, received, 63, hook.Attempt{At: received.Add(time.Second), Duration: time.Millisecond, Status: 200})
	some = AppendOutcome(some, received, 0, hook.Attempt{At: received.Add(-time.Hour)})
	f.Add(AppendOutcome(some, received, 7, hook.Attempt{At: received}))
	f.Add(some[:len(some)-1])
	f.Add([]byte{9, 0, 0, 0, 3, 0, 0, 0, 3, 1, 1, 1, 2})
	f.Add([]byte("A0000000")) // no slot
	f.Fuzz(func(t *testing.T, stored []byte) {
		before := slices.Clone(stored)
		sorted := SortOutcomes(stored)
		if !slices.Equal(stored, before) {
			t.Fatal("what was given has changed")
		}
		if again := SortOutcomes(sorted); !slices.Equal(again, sorted) {
			t.Errorf("%x is sorted to %x, and that to %x", stored, sorted, again)
		}
		slices.Sort(before)
		left := slices.Clone(sorted)
		slices.Sort(left)
		if !slices.Equal(before, left) {
			t.Errorf("%x is sorted to %x", stored, sorted)
		}
		last := -1
		for c := (cutter{b: sorted}); len(c.b) > 0; {
			slot := int(c.b[0])
			c.b = c.b[1:]
			c.varint()
			c.uvarint()
			if c.uvarint(); c.bad || slot >= hook.BlockSlots {
				break
			}
			if slot < last {
				t.Errorf("%x is sorted to %x", stored, sorted)
			}
			last = slot
		}
	})
}

// FuzzRebase moves outcomes to another base, and back.
func FuzzRebase(f *testing.F) {
	some := AppendOutcome(nil, received, 63, hook.Attempt{At: received.Add(time.Second), Duration: time.Millisecond, Status: 200})
	some = AppendOutcome(some, received, 0, hook.Attempt{At: received.Add(-time.Hour)})
	f.Add(some, received.UnixMicro(), int64(0))
	f.Add(some, received.UnixMicro(), received.UnixMicro()-1)
	f.Add(some, received.UnixMicro(), received.UnixMicro()+1)
	f.Add(some[:len(some)-1], int64(0), int64(500))
	f.Fuzz(func(t *testing.T, stored []byte, from, to int64) {
		const farthest = 1 << 50 // microseconds, in either direction
		if from < 0 || to < 0 || from > farthest || to > farthest {
			return
		}
		base, other := time.UnixMicro(from).UTC(), time.UnixMicro(to).UTC()
		before := Outcomes(stored, base)
		for _, a := range before {
			if a.At.UnixMicro() > farthest || a.At.UnixMicro() < -farthest {
				return // centuries away
			}
		}
		for _, up := range []bool{false, true} {
			moved, err := Rebase(stored, base, other, up)
			if err != nil {
				continue
			}
			for slot, a := range Outcomes(moved, other) {
				off := a.At.Sub(before[slot].At)
				if up && (off < 0 || off >= time.Millisecond) || !up && (off > 0 || off <= -time.Millisecond) {
					t.Errorf("slot %d began at %v, and %v after it when rebased, up %v", slot, before[slot].At, off, up)
				}
			}
			back, err := Rebase(moved, other, base, !up)
			same, _ := Rebase(stored, base, base, up) // with the shortest varints
			if err != nil || !slices.Equal(back, same) {
				t.Errorf("%x comes back as %x (%v), up %v", stored, back, err, up)
			}
		}
	})
}

// FuzzSplitLog cuts any bytes as a log.
func FuzzSplitLog(f *testing.F) {
	one := AppendAttempt(nil, hook.Attempt{At: received, Duration: time.Second, Status: 503, Reason: hook.ReasonStatus})
	f.Add(one)
	f.Add(AppendAttempt(one, hook.Attempt{}))
	f.Add(one[:len(one)-1])
	f.Fuzz(func(t *testing.T, stored []byte) {
		parts := SplitLog(stored)
		if !slices.Equal(slices.Concat(parts...), stored) {
			t.Errorf("%x is cut into %x", stored, parts)
		}
		read := Attempts(stored)
		if len(parts) != len(read) && len(parts) != len(read)+1 {
			t.Errorf("%d parts of %d attempts", len(parts), len(read))
		}
		for i, a := range read {
			if one := Attempts(parts[i]); len(one) != 1 || one[0] != a {
				t.Errorf("attempt %d is %v, alone %v", i, a, one)
			}
		}
	})
}

// FuzzCheckOutcomes holds CheckOutcomes to what Outcomes reads.
func FuzzCheckOutcomes(f *testing.F) {
	one := AppendOutcome(nil, received, 3, hook.Attempt{At: received, Status: 200})
	f.Add(one)
	f.Add(append(one, one...))
	f.Add(one[:2])
	f.Add([]byte{64, 0, 0, 0})
	f.Fuzz(func(t *testing.T, outcomes []byte) {
		slots, ok := CheckOutcomes(outcomes)
		read := uint64(0)
		for slot := range Outcomes(outcomes, received) {
			read |= 1 << slot
		}
		if ok && slots != read || slots&^read != 0 {
			t.Fatalf("slots %#x, %v, but %#x are read", slots, ok, read)
		}
	})
}
