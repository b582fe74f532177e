package hook

import (
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// State is where a delivery stands. docs/delivery-states.md draws it.
type State uint8

// The states of a delivery.
const (
	Waiting State = iota
	Sending
	Delivered
	Dead
	Cancelled
)

var stateNames = [...]string{"waiting", "sending", "delivered", "dead", "cancelled"}

// String is the state's word in API, log and console.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// ParseState reads what String wrote.
func ParseState(text string) (State, bool) {
	for i, name := range stateNames {
		if name == text {
			return State(i), true
		}
	}
	return 0, false
}

// Final reports whether a delivery in this state stays in it for ever. To send
// it again takes a new delivery, a replay.
func (s State) Final() bool { return s >= Delivered }

// CanBecome reports whether a delivery may go from s to next in one step.
func (s State) CanBecome(next State) bool {
	switch s {
	case Waiting:
		return next == Sending || next == Dead || next == Cancelled
	case Sending:
		return next == Delivered || next == Waiting || next == Dead
	default:
		return false
	}
}

// Key identifies a delivery within one store: nothing but an event, a hook and
// a replay (0 for the first delivery of the event to the hook). So a delivery
// needs no row of its own to have an identity.
type Key struct {
	Hook   int64 // the event hook's number
	Seq    Seq
	Replay int64
}

// idEncoding is base32hex (RFC 4648 §7) in lower case.
var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

const idPrefix = "dlv"

// ID is the delivery's public id and its Standard Webhooks `webhook-id`: the
// same over all its attempts. tag is the store's random tag, which keeps the
// ids of two stores apart, as one destination may hear from both.
func (k Key) ID(tag uint32) string {
	var b [20]byte
	binary.BigEndian.PutUint32(b[0:], tag)
	binary.BigEndian.PutUint64(b[4:], uint64(k.Seq))
	binary.BigEndian.PutUint32(b[12:], uint32(k.Hook))
	binary.BigEndian.PutUint32(b[16:], uint32(k.Replay))
	text := append(make([]byte, 0, len(idPrefix)+32), idPrefix...)
	return string(idEncoding.AppendEncode(text, b[:]))
}

// ParseKey reads what ID wrote. ok is false for another store's ids too.
func ParseKey(id string, tag uint32) (k Key, ok bool) {
	text, found := strings.CutPrefix(id, idPrefix)
	if !found || len(text) != 32 {
		return Key{}, false
	}
	b, err := idEncoding.DecodeString(text)
	// The decoder skips line ends, so there may be too few bytes.
	if err != nil || len(b) != 20 || binary.BigEndian.Uint32(b) != tag {
		return Key{}, false
	}
	k = Key{
		Seq:    Seq(binary.BigEndian.Uint64(b[4:])),
		Hook:   int64(binary.BigEndian.Uint32(b[12:])),
		Replay: int64(binary.BigEndian.Uint32(b[16:])),
	}
	return k, k.Seq >= BlockSlots && k.Hook > 0
}

// Attempt is one try to hand a delivery to its destination.
type Attempt struct {
	At       time.Time
	Duration time.Duration
	Status   int    // the HTTP status, 0 when there was no answer
	Reason   Reason // why it failed, "" when it succeeded
}

// Response is what a destination answered last.
type Response struct {
	Status  int      `json:"status,omitempty"`
	Headers []Header `json:"headers,omitempty"`
	Body    []byte   `json:"body,omitempty"` // its beginning; see MaxDeadBody and MaxWaitingBody
	Error   string   `json:"error,omitempty"`
}

// How much of the last response is kept with a delivery, in bytes of body.
const (
	MaxDeadBody    = 16 << 10 // with a dead letter
	MaxWaitingBody = 1 << 10  // while it waits for another attempt
)

// MaxAttemptsKept bounds the attempts kept with one delivery: the first
// FirstAttemptsKept and the last of the rest. The count of attempts is exact.
const (
	MaxAttemptsKept   = 100
	FirstAttemptsKept = 10
)

// Delivery is one event owed to one event hook.
type Delivery struct {
	Key
	UUID         string // the event's
	Type         string // the event's
	Source       int64
	State        State
	Reason       Reason
	Created      time.Time
	Due          time.Time // when it waits: not attempted before
	AttemptCount int
	Attempts     []Attempt // only when read alone
	Response     *Response // only when read alone
	ReplayOf     *Key      // the delivery it sends again, if one
}
