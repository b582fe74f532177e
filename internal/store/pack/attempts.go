package pack

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// AppendAttempt adds an attempt to a delivery's log: its start in µs since
// 1970, its duration in µs, its status, and its reason.
func AppendAttempt(log []byte, a hook.Attempt) []byte {
	log = binary.AppendVarint(log, a.At.UnixMicro())
	log = binary.AppendUvarint(log, uint64(max(0, a.Duration.Microseconds())))
	log = binary.AppendUvarint(log, uint64(a.Status))
	log = binary.AppendUvarint(log, uint64(len(a.Reason)))
	return append(log, a.Reason...)
}

// Attempts reads a log of attempts, as far as it can be read.
func Attempts(log []byte) []hook.Attempt {
	var attempts []hook.Attempt
	c := cutter{b: log}
	for len(c.b) > 0 && !c.bad {
		a := hook.Attempt{
			At:       time.UnixMicro(c.varint()).UTC(),
			Duration: time.Duration(c.uvarint()) * time.Microsecond,
			Status:   int(c.uvarint()),
			Reason:   hook.Reason(c.text()),
		}
		if c.bad {
			break
		}
		attempts = append(attempts, a)
	}
	return attempts
}

// SplitLog cuts a log into its attempts; put together again they are the log.
// What cannot be read is the last.
func SplitLog(log []byte) (attempts [][]byte) {
	for c := (cutter{b: log}); len(c.b) > 0; {
		begin := c.b
		c.varint()
		c.uvarint()
		c.uvarint()
		c.text()
		if c.bad {
			return append(attempts, begin)
		}
		attempts = append(attempts, begin[:len(begin)-len(c.b)])
	}
	return attempts
}

// LogAttempt adds an attempt to a log and keeps it within bounds: the first
// few and the last of the others stay.
func LogAttempt(log []byte, a hook.Attempt) []byte {
	log = AppendAttempt(log, a)
	attempts := Attempts(log)
	if len(attempts) <= hook.MaxAttemptsKept {
		return log
	}
	attempts = slices.Delete(attempts, hook.FirstAttemptsKept, hook.FirstAttemptsKept+len(attempts)-hook.MaxAttemptsKept)
	log = log[:0]
	for _, kept := range attempts {
		log = AppendAttempt(log, kept)
	}
	return log
}

// EncodeResponse keeps as much of a response as its delivery's state allows.
func EncodeResponse(r *hook.Response, state hook.State) ([]byte, error) {
	if r == nil || state == hook.Delivered {
		return nil, nil
	}
	kept := *r
	limit := hook.MaxWaitingBody
	if state == hook.Dead {
		limit = hook.MaxDeadBody
	}
	kept.Body = kept.Body[:min(len(kept.Body), limit)]
	raw, err := json.Marshal(kept)
	if err != nil || len(raw) < 512 {
		return raw, err
	}
	return Compress(raw), nil
}

// DecodeResponse reads what EncodeResponse wrote.
func DecodeResponse(b []byte) (*hook.Response, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != '{' {
		raw, err := Decompress(b)
		if err != nil {
			return nil, err
		}
		b = raw
	}
	var r hook.Response
	err := json.Unmarshal(b, &r)
	return &r, err
}
