package store

import (
	"encoding/binary"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// Item is one thing that a store keeps, in the form in which it moves to another
// store. Its bytes are those of store/pack, so nothing is unpacked on the way.
//
// All times are microseconds since 1970 (UTC), 0 for none. Empty bytes and nil
// are the same.
type Item interface {
	// Mark is where it stands: no two items of a store have the same.
	Mark() Mark
	// Append writes the item in a form of its own: two items are the same when
	// theirs are.
	Append(b []byte) []byte
}

// HeadItem is the store itself. Of the numbers that stores give out it has the
// greatest of those whose bearers may be gone: the next is above it.
type HeadItem struct {
	Identity                                          Identity
	Canary                                            []byte
	LastBlock, LastRevision, LastReplay, LastRejected int64
}

// SourceItem is a source. A deleted one has no Doc.
type SourceItem struct {
	Number  int64
	Name    string
	Deleted bool
	Doc     []byte // JSON
}

// HookItem is an event hook. Of a deleted one there are but the first four
// members: nothing is left of what it was, save in its revisions.
type HookItem struct {
	Number   int64
	ID       string
	Deleted  bool
	Revision int64
	Doc      []byte // JSON

	HoldReason                                     hook.Reason
	HoldSince, HoldTotal, HoldRecheck, HoldChanges int64 // HoldTotal in microseconds
}

// CountItem is the counters of a source or a hook that has any that are not 0.
// What waits for a deleted hook counts as cancelled.
type CountItem struct {
	Of     CountOf
	Number int64
	Values [7]int64 // in the order of pack.SourceFields or pack.HookFields
}

// CountOf says what a CountItem counts for.
type CountOf int64

// What has counters.
const (
	CountOfSource CountOf = 1
	CountOfHook   CountOf = 2
)

// RevisionItem is what a hook was at a revision; no Doc where it was deleted.
type RevisionItem struct {
	Revision, Hook, At int64
	Doc                []byte // JSON
}

// ReplayItem is a replay.
type ReplayItem struct {
	Number                   int64
	ID                       string
	Hook                     int64
	Created                  int64
	OriginHook, OriginReplay int64
}

// RemovedItem is the dedupe key of an event that is gone.
type RemovedItem struct {
	Seq    hook.Seq
	Source int64
	Key    [16]byte // pack.Key
	// Received is when the event was received, or later: a store may know the
	// day only. It does not count when items are compared.
	Received int64
}

// BlockItem is a block of events. The dedupe keys of the events in it follow
// from its summary.
type BlockItem struct {
	ID, Received, Revision int64
	Events                 int
	Summary, Payload       []byte
}

// FilterErrorItem says that a hook's filter could not judge an event.
type FilterErrorItem struct {
	Seq    hook.Seq
	Hook   int64
	Detail string
}

// DeliveryItem is a delivery that did not go through at its first attempt. If it
// has ended, it has no Due, First and Held. No delivery of a deleted hook waits.
type DeliveryItem struct {
	hook.Key
	State            hook.State // never Sending: who was sending it does not matter elsewhere
	Reason           hook.Reason
	Created          int64
	Due, First, Held int64 // Held in microseconds
	Attempts         int64
	Log              []byte // of pack.AppendAttempt
	Response         []byte // of pack.EncodeResponse
}

// OwedItem is what is owed of a block to one hook, once or as a replay. Every
// slot of Matched is either in Open, or in Outcomes, or a DeliveryItem, or was
// cancelled with its hook: nothing of a deleted one is Open.
type OwedItem struct {
	Block, Hook, Replay int64
	Created             int64 // where it differs within them, the earliest
	Matched, Open       uint64
	Outcomes            []byte // of pack.AppendOutcome with Created, in the order of slots
}

// RejectedItem is something that was kept although it is not an event.
type RejectedItem struct {
	ID, Source, Received int64
	Reason               hook.Reason
	Detail               string
	Size                 int64
	Raw                  []byte // of pack.Compress
}

// Mark is that of the only one there is.
func (*HeadItem) Mark() Mark { return Mark{KindHead, Place{}} }

// Mark is by number.
func (i *SourceItem) Mark() Mark { return Mark{KindSource, Place{i.Number}} }

// Mark is by number.
func (i *HookItem) Mark() Mark { return Mark{KindHook, Place{i.Number}} }

// Mark is by what is counted for.
func (i *CountItem) Mark() Mark { return Mark{KindCount, Place{int64(i.Of), i.Number}} }

// Mark is by revision.
func (i *RevisionItem) Mark() Mark { return Mark{KindRevision, Place{i.Revision}} }

// Mark is by number.
func (i *ReplayItem) Mark() Mark { return Mark{KindReplay, Place{i.Number}} }

// Mark is by event.
func (i *RemovedItem) Mark() Mark { return Mark{KindRemoved, Place{int64(i.Seq)}} }

// Mark is by number.
func (i *BlockItem) Mark() Mark { return Mark{KindBlock, Place{i.ID}} }

// Mark is by event, then hook.
func (i *FilterErrorItem) Mark() Mark { return Mark{KindFilterError, Place{int64(i.Seq), i.Hook}} }

// Mark is by event, hook, replay.
func (i *DeliveryItem) Mark() Mark {
	return Mark{KindDelivery, Place{int64(i.Seq), i.Hook, i.Replay}}
}

// Mark is by block, hook, replay.
func (i *OwedItem) Mark() Mark { return Mark{KindOwed, Place{i.Block, i.Hook, i.Replay}} }

// Mark is by id.
func (i *RejectedItem) Mark() Mark { return Mark{KindRejected, Place{i.ID}} }

// Append writes the item; see Item.
func (i *HeadItem) Append(b []byte) []byte {
	b = append(b, i.Identity.UUID[:]...)
	b = numbers(b, int64(i.Identity.Tag), i.LastBlock, i.LastRevision, i.LastReplay, i.LastRejected)
	return text(b, i.Canary)
}

// Append writes the item; see Item.
func (i *SourceItem) Append(b []byte) []byte {
	b = numbers(b, i.Number, flag(i.Deleted))
	return text(text(b, i.Name), i.Doc)
}

// Append writes the item; see Item.
func (i *HookItem) Append(b []byte) []byte {
	b = numbers(b, i.Number, flag(i.Deleted), i.Revision, i.HoldSince, i.HoldTotal, i.HoldRecheck, i.HoldChanges)
	return text(text(text(b, i.ID), i.Doc), i.HoldReason)
}

// Append writes the item; see Item.
func (i *CountItem) Append(b []byte) []byte {
	return numbers(numbers(b, int64(i.Of), i.Number), i.Values[:]...)
}

// Append writes the item; see Item.
func (i *RevisionItem) Append(b []byte) []byte {
	return text(numbers(b, i.Revision, i.Hook, i.At), i.Doc)
}

// Append writes the item; see Item.
func (i *ReplayItem) Append(b []byte) []byte {
	return text(numbers(b, i.Number, i.Hook, i.Created, i.OriginHook, i.OriginReplay), i.ID)
}

// Append writes the item; see Item.
func (i *RemovedItem) Append(b []byte) []byte {
	return append(numbers(b, int64(i.Seq), i.Source), i.Key[:]...)
}

// Append writes the item; see Item.
func (i *BlockItem) Append(b []byte) []byte {
	b = numbers(b, i.ID, i.Received, i.Revision, int64(i.Events))
	return text(text(b, i.Summary), i.Payload)
}

// Append writes the item; see Item.
func (i *FilterErrorItem) Append(b []byte) []byte {
	return text(numbers(b, int64(i.Seq), i.Hook), i.Detail)
}

// Append writes the item; see Item.
func (i *DeliveryItem) Append(b []byte) []byte {
	b = numbers(b, int64(i.Seq), i.Hook, i.Replay, int64(i.State), i.Created, i.Due, i.First, i.Held, i.Attempts)
	return text(text(text(b, i.Reason), i.Log), i.Response)
}

// Append writes the item; see Item.
func (i *OwedItem) Append(b []byte) []byte {
	b = numbers(b, i.Block, i.Hook, i.Replay, i.Created, int64(i.Matched), int64(i.Open))
	return text(b, i.Outcomes)
}

// Append writes the item; see Item.
func (i *RejectedItem) Append(b []byte) []byte {
	b = numbers(b, i.ID, i.Source, i.Received, i.Size)
	return text(text(text(b, i.Reason), i.Detail), i.Raw)
}

func numbers(b []byte, values ...int64) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// text writes the length too, so that what follows cannot be taken for its end.
func text[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(v))), v...)
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
