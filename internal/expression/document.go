package expression

import "sync"

// Document is a JSON text that programs are matched against: a LogEvent, or for Inline the request of an inline
// hook. It is read when the first program asks for something in it, once, however many programs share it. It is
// safe for concurrent use.
type Document struct {
	raw   []byte
	once  sync.Once
	index *index
	err   error
}

// NewDocument makes a document of raw, which nobody may write to while the document is in use.
//
// The text must be JSON (RFC 8259) within MaxDocument, MaxDocumentDepth and MaxDocumentValues, else every Match
// that reads it answers an *EvalError. Of members with the same name the last counts; what is not UTF-8 reads
// as U+FFFD; numbers keep every digit.
func NewDocument(raw []byte) *Document { return &Document{raw: raw} }

func (d *Document) read() (*index, error) {
	d.once.Do(func() { d.index, d.err = buildIndex(d.raw) })
	return d.index, d.err
}
