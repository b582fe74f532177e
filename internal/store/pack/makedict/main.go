// Command makedict makes a dictionary for package pack out of the events of
// made-up orgs, and writes it to standard output:
//
//	go run ./internal/store/pack/makedict -number 2 >internal/store/pack/dictionaries/2.zstd
//
// What was ever written with a dictionary can only be read with the same bytes,
// so a dictionary that was released is never made again: a better one gets the
// next number, and package pack learns to write with it and to read both.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/traffic"
	"github.com/klauspost/compress/zstd"
)

// size bounds the events that a dictionary holds as Okta writes them, in bytes.
// Measured on single events: with half of it they take 10 % more room, with
// twice as much 4 % less. A dictionary of fragments, which is what the usual
// builders make, needs half as much again: here whole events repeat.
const size = 24 << 10

func main() {
	number := flag.Uint("number", 1, "the dictionary's number, from 1")
	flag.Parse()
	events := samples()
	made, err := zstd.BuildDict(zstd.BuildDictOptions{
		ID:       1<<15 + uint32(*number), // ids below are for a registrar (RFC 8878 §5)
		Contents: events,
		History:  history(events),
		Offsets:  [3]int{1, 4, 8},
		Level:    zstd.SpeedFastest,
	})
	if err == nil {
		_, err = os.Stdout.Write(made)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// history is what is matched against: an event of each type, and another, as
// long as there is room. The most common ones come first, and so lie at the
// end, which is cheapest to refer to. Before them are some with a space after
// each comma and colon, as other senders write JSON.
func history(events [][]byte) (text []byte) {
	var picked [][]byte
	room, of := size, make(map[string]int)
	for pass := range 4 {
		for _, e := range events {
			if kind := eventType(e); of[kind] == pass && len(e) <= room {
				of[kind]++
				room -= len(e)
				picked = append(picked, e)
			}
		}
	}
	for _, e := range picked[:len(picked)/4] {
		text = append(text, spaced(e)...)
	}
	for _, e := range slices.Backward(picked) {
		text = append(text, e...)
	}
	return text
}

func eventType(event []byte) string {
	var e struct{ EventType string }
	if err := json.Unmarshal(event, &e); err != nil {
		panic(err) // package traffic makes no such events
	}
	return e.EventType
}

// samples are events of many orgs over a year, so that what they have in
// common is how they are written, not who and when.
func samples() (events [][]byte) {
	const orgs, each = 200, 30
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for seed := range orgs {
		g := traffic.New(traffic.Options{
			Seed: uint64(seed), People: 100, Org: fmt.Sprintf("org-%d.okta.example", seed), HookID: fmt.Sprintf("who%017x", random.Uint64()),
			Now: func() time.Time {
				now = now.Add(time.Duration(random.Int64N(int64(365*24*time.Hour) / orgs / each * 2)))
				return now
			},
		})
		for range each {
			events = append(events, g.Next().JSON)
		}
	}
	return events
}

// spaced puts a space after each comma and colon outside of strings.
func spaced(event []byte) (out []byte) {
	inString, escaped := false, false
	for _, c := range event {
		out = append(out, c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}
