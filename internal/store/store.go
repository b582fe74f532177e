// Package store is the contract between Grapnel and the database that keeps its
// events: what each operation promises, told by role, never how. sqlite keeps
// the promises in one file for one process, postgres in a database for many;
// storetest holds both to them.
//
// Every method is one transaction: all of it happens or none of it. A method
// that returns an error has changed nothing, on disk or in memory, and may be
// called again, unless its comment says otherwise. All methods may be called
// from many goroutines at once.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// Errors that callers tell apart. Any other error means that the store cannot
// serve now (full disk, lost database); the same call may succeed later.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrRevision says that a hook has changed since the group was routed.
	// Route again with the current hooks and commit again.
	ErrRevision = errors.New("the event hooks have changed since these events were routed")
)

// Store is everything Grapnel keeps.
type Store interface {
	Registry
	Intake
	Outbox
	Reader
	Replays
	Keeper
	Cluster

	// Identity is the store's random identity, made with the store.
	Identity() Identity
	// Close ends the store after the calls under way. Further calls fail.
	Close() error
}

// Identity tells one store from another.
type Identity struct {
	// UUID is the name space of the envelope `eventId`s that are derived.
	UUID [16]byte
	// Tag marks delivery ids; see hook.Key.ID.
	Tag uint32
}

// Registry keeps sources and event hooks. Its changes are synced to disk
// before they return.
type Registry interface {
	// Sources returns every source, oldest first.
	Sources(ctx context.Context) ([]hook.Source, error)
	// SourceNames returns the name of every source there ever was, by number.
	SourceNames(ctx context.Context) (map[int64]string, error)
	// CreateSource keeps a source and sets its Number. ErrExists when the name
	// was ever used: events and dedupe keys outlive their source.
	CreateSource(ctx context.Context, s *hook.Source) error
	// UpdateSource changes one source by what change does to it. An error of
	// change is returned as it is, and nothing is kept. ErrNotFound.
	UpdateSource(ctx context.Context, name string, change func(*hook.Source) error) (hook.Source, error)
	// DeleteSource ends a source; its events stay until retention. ErrNotFound.
	DeleteSource(ctx context.Context, name string) error

	// EventHooks returns every event hook that is not deleted, oldest first,
	// with its Hold, and the revision they make up together.
	EventHooks(ctx context.Context) ([]hook.EventHook, int64, error)
	// HookIDs returns the id of every hook there ever was, by number.
	HookIDs(ctx context.Context) (map[int64]string, error)
	// CreateEventHook keeps a hook and sets its Number and Revision.
	// guard, called with the hooks there are, may refuse: its error is
	// returned as it is.
	CreateEventHook(ctx context.Context, h *hook.EventHook, guard func(others []hook.EventHook) error) error
	// UpdateEventHook changes one hook by what change does to it, as a new
	// revision. change sees the state that it replaces, also when two callers
	// race. When it stops or starts being deliverable (Blocked), its Hold
	// clock follows as of now. ErrNotFound.
	// change may refuse because of the others there are, and ends a hold by
	// clearing its Reason.
	UpdateEventHook(ctx context.Context, id string, now time.Time, change func(h *hook.EventHook, others []hook.EventHook) error) (hook.EventHook, error)
	// DeleteEventHook deletes a hook when guard lets it. What still waits for
	// it is cancelled with hook.ReasonHookDeleted, at once for every reader.
	// ErrNotFound.
	DeleteEventHook(ctx context.Context, id string, now time.Time, guard func(hook.EventHook) error) error
	// Hold puts a hook on hold, or lengthens a hold of the same reason; with
	// reason "" it ends whatever hold there is. It is no revision. ErrNotFound.
	Hold(ctx context.Context, number int64, reason hook.Reason, now, recheck time.Time) (hook.Hold, error)

	// Canary returns the sealed canary, nil when none was kept yet.
	Canary(ctx context.Context) ([]byte, error)
	// SetCanary keeps the canary. ErrExists when there is one.
	SetCanary(ctx context.Context, sealed []byte) error
}

// Event is a new event on its way in, and, once committed, its fate.
type Event struct {
	hook.Event
	// Hooks are the numbers of the event hooks it is owed to.
	Hooks []int64
	// FilterErrors are the hooks whose filter could not judge it.
	FilterErrors []FilterError
	// Duplicate is set by Commit when the source had sent this uuid before.
	// Seq is then that of the first copy, which retention may have removed.
	Duplicate bool
}

// FilterError says why a hook's filter could not judge an event.
type FilterError struct {
	Hook   int64
	Detail string
}

// Rejected is something a source handed over with a right secret that is not
// an event. It is kept as it came.
type Rejected struct {
	ID       int64
	Source   int64
	Received time.Time
	Reason   hook.Reason
	Detail   string
	Raw      []byte // nil in lists
	Size     int
}

// Group is what one commit takes in.
type Group struct {
	Received time.Time
	// Revision is that of the hooks the events were routed with.
	Revision int64
	Events   []*Event
	Rejected []*Rejected
	// Counts are added to the sources' counters, by source number. Commit
	// itself counts Received, Duplicates and Rejected.
	Counts map[int64]hook.SourceCount
	// Lease, if not nil, is asked for every delivery, in order, whether the
	// caller takes it at once if it is new. What it takes is leased as Claim
	// would lease it, and returned. It is called before the commit, maybe for
	// events that turn out to be duplicates: the caller takes back what it has
	// promised for deliveries that Commit does not return, or when it fails.
	Lease    func(hook int64, e *Event) bool
	LeaseFor time.Duration
}

// Intake takes events in.
type Intake interface {
	// Commit keeps the events that are new, by source and uuid, with the
	// deliveries they are owed, and everything rejected. On return it is all on
	// disk, and so is the first copy of every duplicate. Of several copies in
	// one group the first is the new one. ErrRevision.
	Commit(ctx context.Context, g *Group) ([]Claim, error)
	// Count adds to the sources' counters (by source number; 0 counts calls for
	// unknown sources). It may be lost in a crash.
	Count(ctx context.Context, counts map[int64]hook.SourceCount) error
}

// Claim is a delivery leased to the caller, who alone may attempt it until the
// lease ends.
type Claim struct {
	hook.Key
	Epoch    int64 // of the lease; every Settle and Renew shows it
	Until    time.Time
	Event    *hook.Event
	Created  time.Time // since when it is owed
	Attempts int       // made so far
	First    time.Time // the first attempt, zero before it
	// HeldAtFirst is what the hook's Hold.Clock showed at the first attempt.
	HeldAtFirst time.Duration
}

// Outcome is what became of a Claim.
type Outcome struct {
	hook.Key
	Epoch int64
	// State is Delivered, Dead, or Waiting.
	State  hook.State
	Reason hook.Reason
	// Due is when a Waiting delivery may be claimed again. Zero gives the claim
	// back as it was.
	Due time.Time
	// Attempt is nil when none was made.
	Attempt *hook.Attempt
	// HeldAtFirst is kept with the first attempt.
	HeldAtFirst time.Duration
	// Response is kept until the next Settle, nil when Delivered.
	Response *hook.Response
}

// Outbox hands out deliveries that are due.
type Outbox interface {
	// Claim leases up to limit deliveries of one hook that are due at now,
	// those due longest first, with at most maxBytes of event JSON (but always
	// one delivery). next is when the next of those left is due, zero when none
	// waits; what others have leased counts as due when its lease ends.
	Claim(ctx context.Context, hook int64, now time.Time, limit, maxBytes int, lease time.Duration) (claims []Claim, next time.Time, err error)
	// Renew lengthens leases that are still held to now + lease, and returns
	// the new end; the epochs of leases that are lost come back in lost.
	Renew(ctx context.Context, held []Claim, now time.Time, lease time.Duration) (until time.Time, lost []hook.Key, err error)
	// Settle keeps outcomes and ends their leases. An outcome whose lease is no
	// longer held is skipped, and its key returned. It need not be synced: a
	// crash after it may bring the delivery back, which repeats it.
	Settle(ctx context.Context, outcomes []Outcome) (lost []hook.Key, err error)
	// Retry makes a waiting delivery due at now. changed is false when it is
	// not waiting. ErrNotFound.
	Retry(ctx context.Context, key hook.Key, now time.Time) (changed bool, err error)
	// Expire makes dead what waits for a hook since before, at most limit
	// deliveries; what is leased is left alone. more: call again.
	Expire(ctx context.Context, hook int64, before, now time.Time, reason hook.Reason, limit int) (expired int, more bool, err error)
}

// EventQuery selects events, newest first.
type EventQuery struct {
	Source       int64     // 0 for all
	Type         string    // "" for all
	UUID         string    // "" for all
	Since, Until time.Time // of receipt: Since ≤ received < Until; zero for open
	Before       hook.Seq  // continue below this one; 0 from the newest
	Limit        int
}

// DeliveryQuery selects deliveries, newest event first.
type DeliveryQuery struct {
	Hook         int64 // 0 for all
	Event        hook.Seq
	Source       int64
	Type         string
	States       []hook.State // none for all
	Since, Until time.Time    // of creation
	Before       *hook.Key    // continue after this one in the listing
	Limit        int
}

// Reader answers questions. No listing of events shows a number while a smaller
// one may still appear, so that whoever reads on from the greatest number seen
// misses nothing, however many processes commit at once. Every list may come back shorter than its limit
// although more follows, as the work of one call is bounded; more says so, and
// next continues.
type Reader interface {
	Events(ctx context.Context, q EventQuery) (events []hook.Event, next hook.Seq, more bool, err error)
	// Event returns one event. ErrNotFound.
	Event(ctx context.Context, seq hook.Seq) (hook.Event, error)
	// FindEvents returns the events with this uuid, of whatever source.
	FindEvents(ctx context.Context, uuid string) ([]hook.Event, error)
	FilterErrors(ctx context.Context, seq hook.Seq) ([]FilterError, error)
	// Deliveries lists deliveries without attempts.
	Deliveries(ctx context.Context, q DeliveryQuery, now time.Time) (deliveries []hook.Delivery, next *hook.Key, err error)
	// Delivery returns one delivery with its attempts. ErrNotFound.
	Delivery(ctx context.Context, key hook.Key, now time.Time) (hook.Delivery, error)
	// RejectedList lists newest first, below before when it is not 0.
	RejectedList(ctx context.Context, source, before int64, limit int) ([]Rejected, error)
	Rejected(ctx context.Context, id int64) (Rejected, error)
	Stats(ctx context.Context) (Stats, error)
}

// Stats are the counters and the size of the store.
type Stats struct {
	Sources map[int64]hook.SourceCount // by number; 0 counts unknown sources
	Hooks   map[int64]hook.HookCount   // by number, deleted hooks included
	// OldestOwed is, by hook, since when its oldest waiting delivery is owed.
	OldestOwed map[int64]time.Time
	Bytes      int64 // used on disk; of a database, by what retention can remove
}

// Replay is a set of new deliveries for old events, all to one hook.
type Replay struct {
	Number  int64
	ID      string
	Hook    int64 // the target
	Created time.Time
	// OriginHook and OriginReplay name the deliveries it sends again, if it
	// sends deliveries again: together with a Seq they are a hook.Key.
	OriginHook, OriginReplay int64
}

// Replays makes replays.
type Replays interface {
	// CreateReplay keeps a replay and sets its Number. ErrNotFound when its
	// hook is deleted, from AddToReplay too.
	CreateReplay(ctx context.Context, r *Replay) error
	// AddToReplay owes events to a replay's hook. Events that are gone, or owed
	// by this replay already, are left out; added counts the others.
	AddToReplay(ctx context.Context, r *Replay, events []hook.Seq, now time.Time) (added int, err error)
}

// Keeper removes what is no longer to be kept. Each call does a bounded piece
// of work, so that intake never waits long for it. A store may remove what came
// within one day only once all of it is to go.
type Keeper interface {
	// Prune removes events received before that are owed to nobody, with their
	// deliveries, and rejected bodies as old; their dedupe keys stay. more: call again.
	Prune(ctx context.Context, before time.Time, limit int) (removed int, more bool, err error)
	// PruneOldest removes the oldest events that are owed to nobody, however
	// young, oldest first, and rejected bodies as old. removed counts both, and
	// is 0 when there is nothing left to remove.
	PruneOldest(ctx context.Context, limit int) (removed int, err error)
	// Forget removes the dedupe keys of events received before whose events
	// are gone. more: call again.
	Forget(ctx context.Context, before time.Time, limit int) (more bool, err error)
}

// Cluster tells the processes that share a store of each other. On a store for
// one process there is never anybody else.
type Cluster interface {
	// Beat says that this process lives, and tells it who else does. It is to be
	// called every BeatEvery.
	Beat(ctx context.Context) (Members, error)
	// Lead makes this process the one that has a duty, or keeps it so, for a
	// length of time from now. held is false when another has it.
	Lead(ctx context.Context, duty string, length time.Duration) (held bool, err error)
	// Watch makes the store call hint when another process has changed
	// something. Hints are only quicker than looking: any may be lost. hint must
	// return at once and not call the store. Watch is called once at most.
	Watch(hint func(Hint))
	// Wake hints to the other processes that deliveries of these hooks are due.
	Wake(hooks ...int64)
}

// BeatEvery is how often a process says that it lives.
const BeatEvery = 2 * time.Second

// Members are the processes that share a store, as one of them may see them.
type Members struct {
	Self int64
	// All are those that may be at work, Self among them, in order.
	All []int64
	// Joined is false until all others must have noticed Self, which is not to
	// use anything that they share before.
	Joined bool
	// Until is when the others may count Self as gone: after it, it is not to
	// use anything that they share until it has beaten again.
	Until time.Time
	// Changes counts the changes of sources, hooks and holds.
	Changes int64
	// Due are hooks that may have due deliveries that nobody holds.
	Due []int64
}

// Hint says what another process has done.
type Hint struct {
	Changed bool    // sources, hooks or holds
	Due     []int64 // hooks that may have due deliveries in the store
}
