package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// Errors of a copy.
var (
	// ErrHolds says that a store is not empty, so nothing can be copied into it.
	ErrHolds = errors.New("the store holds something already")
	// ErrUnfinished says that a store is a copy that was not finished.
	ErrUnfinished = errors.New("the store is a copy that was never finished")
)

// Archive is a whole store that nobody serves from, which is to be copied: what
// it keeps are items, the same for every store that keeps the same. It is only
// read, and as long as it is open no process may open it to serve.
type Archive interface {
	// Count tells how many items of each kind there are.
	Count(ctx context.Context) (map[Kind]int64, error)
	// Export calls take with every item after a mark, the zero Mark for all, in
	// the order of kinds and within a kind of places. The items of one call are
	// of one kind, at most limit and about ExportBytes. They are take's to keep.
	// Export ends with the first error of take, and returns it as it is.
	Export(ctx context.Context, after Mark, limit int, take func([]Item) error) error
	Close() error
}

// ArchiveWriter is a store that is filled from another.
type ArchiveWriter interface {
	Archive
	// Begin makes an empty store the copy of another, or goes on with it, and
	// returns the mark of the last item that was imported. Nobody can serve from
	// the store until Finish; whoever tries is told the command that goes on with
	// the copy, in which there may be no secrets. ErrHolds when the store holds
	// anything else.
	Begin(ctx context.Context, command string) (Mark, error)
	// Import keeps items, and with them how far it has come, in one transaction.
	// They come in the order of Export. A crash may undo the latest Imports.
	Import(ctx context.Context, items []Item) error
	// Finish makes the store one like any other, on disk.
	Finish(ctx context.Context) error
}

// ExportBytes is about how many bytes of items Export hands over at once.
const ExportBytes = 4 << 20

// Kind is a kind of items.
type Kind uint8

// The kinds, in the order in which they are copied: an item needs only those of
// earlier kinds to be there.
const (
	KindHead Kind = iota + 1
	KindSource
	KindHook
	KindCount
	KindRevision
	KindReplay
	KindRemoved
	KindBlock
	KindFilterError
	KindDelivery
	KindOwed
	KindRejected

	kindEnd
)

var kindNames = [kindEnd]string{
	KindHead: "head", KindSource: "source", KindHook: "hook", KindCount: "counter", KindRevision: "revision",
	KindReplay: "replay", KindRemoved: "removed", KindBlock: "block", KindFilterError: "filter_error",
	KindDelivery: "delivery", KindOwed: "owed", KindRejected: "rejected",
}

// Kinds are all kinds, in their order.
func Kinds() []Kind {
	kinds := make([]Kind, 0, kindEnd-1)
	for k := KindHead; k < kindEnd; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// String is the kind's word in marks and reports.
func (k Kind) String() string {
	if k == 0 || k >= kindEnd {
		return "unknown"
	}
	return kindNames[k]
}

// Place is where an item stands among those of its kind: no two have the same.
type Place [3]int64

// Compare orders places.
func (p Place) Compare(other Place) int {
	return cmp.Or(cmp.Compare(p[0], other[0]), cmp.Compare(p[1], other[1]), cmp.Compare(p[2], other[2]))
}

// Mark is a place in an Export; the zero Mark is its beginning.
type Mark struct {
	Kind  Kind
	Place Place
}

// Compare orders marks as Export does.
func (m Mark) Compare(other Mark) int {
	return cmp.Or(cmp.Compare(m.Kind, other.Kind), m.Place.Compare(other.Place))
}

// From is where items of a kind begin after the mark: after the returned place
// if there is one, else at the first. ok is false when they all lie before it.
func (m Mark) From(kind Kind) (after *Place, ok bool) {
	if m.Kind == kind {
		return &m.Place, true
	}
	return nil, m.Kind < kind
}

// String is the mark as text, such as "block 12 0 0"; "" for the zero Mark.
func (m Mark) String() string {
	if m == (Mark{}) {
		return ""
	}
	return fmt.Sprintf("%s %d %d %d", m.Kind, m.Place[0], m.Place[1], m.Place[2])
}

// ParseMark reads what String wrote.
func ParseMark(text string) (m Mark, err error) {
	if text == "" {
		return Mark{}, nil
	}
	name, places, _ := strings.Cut(text, " ")
	for _, kind := range Kinds() {
		if kind.String() == name {
			m.Kind = kind
		}
	}
	_, err = fmt.Sscanf(places, "%d %d %d", &m.Place[0], &m.Place[1], &m.Place[2])
	if err != nil || m.Kind == 0 || m.String() != text {
		return Mark{}, fmt.Errorf("%q is not a mark of a copy", text)
	}
	return m, nil
}
