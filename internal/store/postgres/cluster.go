package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5/pgxpool"
)

// cluster is what this process tells the others, and hears of them.
type cluster struct {
	store *Store
	ctx   context.Context // until Close
	stop  context.CancelFunc
	work  sync.WaitGroup

	beating   sync.Mutex // one Beat at a time
	releasing sync.Mutex // held while leases are given back

	mu       sync.Mutex
	listener bool               // there is one
	again    context.CancelFunc // makes the listener connect anew
	hint     func(store.Hint)
	due      map[int64]bool // hooks to tell of, nil when nothing is about to

	digesting bool          // there is who makes digests
	wakeUp    chan struct{} // for it: there may be some to make
}

func (c *cluster) init(s *Store) {
	c.store = s
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.wakeUp = make(chan struct{}, 1)
}

func (c *cluster) close() {
	c.mu.Lock() // nothing starts after it
	c.stop()
	c.mu.Unlock()
	c.work.Wait()
}

// Beat says that this process lives; see store.Cluster.
func (s *Store) Beat(ctx context.Context) (store.Members, error) {
	s.cluster.beating.Lock()
	defer s.cluster.beating.Unlock()
	s.cluster.listen()
	var m store.Members
	err := s.writeNow(ctx, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		if m, err = s.beat(ctx, conn); err != nil || m.All != nil {
			return err
		}
		if err := s.join(ctx, conn); err != nil {
			return err
		}
		m, err = s.beat(ctx, conn)
		return err
	})
	if err != nil {
		return store.Members{}, err
	}
	s.releaseSoon()
	s.cluster.digestSoon()
	return m, nil
}

// releaseSoon has leases given back of which nobody knows, if there are any.
func (s *Store) releaseSoon() {
	c := &s.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.unknown.any() && c.ctx.Err() == nil && c.releasing.TryLock() {
		c.work.Go(s.release)
	}
}

// release gives back the leases of which nobody knows. It looks through all that
// waits: a beat does not wait for it.
func (s *Store) release() {
	defer s.cluster.releasing.Unlock()
	err := s.write(s.cluster.ctx, callTime, s.unknown.release)
	if err != nil && s.cluster.ctx.Err() == nil {
		s.log.Warn("leases that nobody may know of could not be given back; they end by themselves, or are given back later", "error", err)
	}
}

// beat beats once. All is nil when this process is no member.
func (s *Store) beat(ctx context.Context, conn *pgxpool.Conn) (store.Members, error) {
	self := s.node.Load()
	m := store.Members{Self: int64(self), Until: time.Now().Add(3 * store.BeatEvery)}
	var all []int64
	var joined *bool
	var changes *int64
	err := conn.QueryRow(ctx, "SELECT * FROM beat($1, $2)", self, store.BeatEvery.Microseconds()).Scan(&all, &joined, &changes, &m.Due)
	if err == nil && all != nil {
		m.All, m.Joined, m.Changes = all, *joined, *changes
	}
	return m, err
}

// join makes this process a member. One that the others have counted as gone,
// and whose leases they have ended, gets another number, so that nothing of it
// is taken for what it was.
func (s *Store) join(ctx context.Context, conn *pgxpool.Conn) error {
	c := &s.cluster
	if s.joined {
		s.log.Warn("this process was counted as gone, and joins again; what it was delivering may be delivered twice")
		var node int32
		if err := conn.QueryRow(ctx, "SELECT nextval('node_ids')::integer").Scan(&node); err != nil {
			return err
		}
		s.node.Store(node)
		c.reconnect()
	}
	_, err := conn.Exec(ctx, "SELECT join_nodes($1, $2)", s.node.Load(), store.BeatEvery.Microseconds())
	if code(err) == lockNotAvailable {
		return errors.New("the store is being copied; start when that is done, on the copy if that is what it is for")
	}
	if err != nil {
		return err
	}
	s.joined = true
	return nil
}

// Lead takes or keeps a duty; see store.Cluster.
func (s *Store) Lead(ctx context.Context, duty string, length time.Duration) (held bool, err error) {
	err = s.write(ctx, callTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "SELECT take_duty($1, $2, $3)", duty, s.node.Load(), length.Microseconds()).Scan(&held)
	})
	return held, err
}

// Watch has hint called; see store.Cluster.
func (s *Store) Watch(hint func(store.Hint)) {
	s.cluster.mu.Lock()
	s.cluster.hint = hint
	s.cluster.mu.Unlock()
	s.cluster.listen()
}

// wakeAfter is how long hints are gathered: notifications make their commits
// wait for each other.
const wakeAfter = 15 * time.Millisecond

// Wake tells the other processes of due deliveries; see store.Cluster.
func (s *Store) Wake(hooks ...int64) {
	c := &s.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due == nil {
		if c.ctx.Err() != nil {
			return
		}
		c.due = make(map[int64]bool)
		c.work.Go(c.wake)
	}
	for _, number := range hooks {
		c.due[number] = true
	}
}

// wake tells, a little later, of all that was to be told since.
func (c *cluster) wake() {
	select {
	case <-time.After(wakeAfter):
	case <-c.ctx.Done():
	}
	c.mu.Lock()
	due := c.due
	c.due = nil
	c.mu.Unlock()
	s := c.store
	for _, text := range dueNotices(s.node.Load(), due) {
		err := s.write(c.ctx, commitTime, func(ctx context.Context, conn *pgxpool.Conn) error {
			_, err := conn.Exec(ctx, "SELECT pg_notify($1, $2)", channel, text)
			return err
		})
		if err != nil {
			return // they look by themselves, a little later
		}
	}
}
