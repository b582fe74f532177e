package okta

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// oracle takes a body apart with encoding/json alone. ok is false if it is not
// JSON or has no data.events array.
func oracle(body []byte) (elements []json.RawMessage, ok bool) {
	var envelope, data map[string]json.RawMessage
	if json.Unmarshal(body, &envelope) != nil || json.Unmarshal(envelope["data"], &data) != nil {
		return nil, false
	}
	err := json.Unmarshal(data["events"], &elements)
	return elements, err == nil && elements != nil
}

// FuzzParseDelivery holds the scanner against encoding/json: the same bodies,
// the same elements, the same fields, and not a byte of data.events lost.
func FuzzParseDelivery(f *testing.F) {
	// The smallest sample only: the fuzzer spends its time minimizing long ones.
	sparse, err := os.ReadFile("testdata/event-hook-delivery-sparse-job.json")
	if err != nil {
		f.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, sparse); err != nil {
		f.Fatal(err)
	}
	f.Add(compact.Bytes())
	for _, body := range []string{
		wrap(good), wrap(good + `,1,{},{"uuid":NaN},` + good), wrap(`{"\u0075uid":"\ud83d\ude00","eventType":"a\n"}`),
		wrap("{\"uuid\":\"u\",\"eventType\":\"t\",\"a\":\"\xff\"}"), `{"data":{"events":[{"a":"\"}]}}`, `{"data":null,"data":{"events":[]}}`,
		`{"source":"https://h:1/","eventId":"e","eventTime":"2026-01-02T03:04:05.123456Z","data":{"events":[]}} `,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		d, err := ParseDelivery(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		elements, ok := oracle(body)
		if err != nil {
			message := err.(*ParseError).Message
			if ok && message != string(flawDeep) && message != string(flawTwice) && message != string(flawTooMany) {
				t.Fatalf("encoding/json accepts what we refuse: %v", err)
			}
			return
		}
		checkCovered(t, body, d)
		if hasBroken(d) {
			return
		}
		if !ok {
			t.Fatal("encoding/json refuses what we accept")
		}
		if len(elements) != len(d.Events)+len(d.Rejected) {
			t.Fatalf("%d events and %d rejected of %d elements", len(d.Events), len(d.Rejected), len(elements))
		}
		for i, raw := range inOrder(d) {
			if !bytes.Equal(raw, elements[i]) {
				t.Fatalf("element %d: got %q, want %q", i, raw, elements[i])
			}
		}
		for _, e := range d.Events {
			checkFields(t, e)
		}
	})
}

// hasBroken: encoding/json would refuse the whole body, or its nesting.
func hasBroken(d *Delivery) bool {
	for _, r := range d.Rejected {
		if r.Reason == RejectMalformed || r.Reason == RejectTooDeep {
			return true
		}
	}
	return false
}

// inOrder merges events and rejected back into the order of data.events.
func inOrder(d *Delivery) (all [][]byte) {
	events, rejected := d.Events, d.Rejected
	for len(events)+len(rejected) > 0 {
		if len(rejected) > 0 && rejected[0].Index == len(all) {
			all, rejected = append(all, rejected[0].Raw), rejected[1:]
		} else {
			all, events = append(all, events[0].Raw), events[1:]
		}
	}
	return all
}

// checkCovered looks for the elements in the body, one comma and white space
// apart, so that nothing between them was passed over.
func checkCovered(t *testing.T, body []byte, d *Delivery) {
	all := inOrder(d)
	if len(all) == 0 {
		return
	}
	for at := bytes.Index(body, all[0]); ; {
		rest, i := body[at:], 0
		for i = 0; i < len(all); i++ {
			rest = bytes.TrimLeft(rest, " \t\r\n")
			if i > 0 {
				if len(rest) == 0 || rest[0] != ',' {
					break
				}
				rest = bytes.TrimLeft(rest[1:], " \t\r\n")
			}
			if !bytes.HasPrefix(rest, all[i]) {
				break
			}
			rest = rest[len(all[i]):]
		}
		if rest = bytes.TrimLeft(rest, " \t\r\n"); i == len(all) && len(rest) > 0 && rest[0] == ']' {
			return
		}
		next := bytes.Index(body[at+1:], all[0])
		if next < 0 {
			t.Fatalf("the elements %q do not cover an array of %q", all, body)
		}
		at += 1 + next
	}
}

func checkFields(t *testing.T, e Event) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.Raw, &fields); err != nil {
		t.Fatalf("event %q: %v", e.Raw, err)
	}
	var uuid, eventType string
	if json.Unmarshal(fields["uuid"], &uuid) != nil || json.Unmarshal(fields["eventType"], &eventType) != nil {
		t.Fatalf("event %q has no uuid or type", e.Raw)
	}
	if e.UUID != uuid || e.EventType != eventType {
		t.Fatalf("got %q %q, want %q %q", e.UUID, e.EventType, uuid, eventType)
	}
}

// FuzzParseCatalogue: whatever the file holds, it is read or refused with the
// line, and a type that was read is found under its name.
func FuzzParseCatalogue(f *testing.F) {
	f.Add(newer)
	f.Add("release\t1\ntype\ta\ti\t\t\t\t\t")
	f.Add("schema\tA\t\tx:,y\n")
	f.Fuzz(func(t *testing.T, tsv string) {
		c, err := parseCatalogue(tsv)
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, "line ") && !strings.HasPrefix(text, "no line ") {
				t.Fatalf("%q: %v", tsv, err)
			}
			return
		}
		last := ""
		for e := range c.All() {
			if found, ok := c.Lookup(e.Name); !ok || found.Name != e.Name || e.Name <= last || e.Visibility == "" {
				t.Fatalf("%+v", e)
			}
			last = e.Name
			if e.DebugData != nil {
				seen := map[string]bool{}
				for field := range e.DebugData.Fields() {
					if seen[field.Name] || field.Name == "" {
						t.Fatalf("%+v", e.DebugData)
					}
					seen[field.Name] = true
				}
			}
		}
	})
}
