package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options say where the store is.
type Options struct {
	// URL of the database, as libpq knows it: postgres://user@host/database. It
	// may name several hosts, with target_session_attrs=read-write, and
	// pool_max_conns, how many connections there are at most (16).
	URL string
	Log *slog.Logger // nil discards
}

// Store is a store in a database.
type Store struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	identity store.Identity
	tag      int64 // of our locks in pg_locks; 11 bits

	// calls are those under way; Close waits for them.
	calls  sync.RWMutex
	closed atomic.Bool

	node    atomic.Int32 // this process's number among those that share the store
	shown   atomic.Int64 // the newest block that was ever shown; see horizon
	chunk   atomic.Int64 // that was committed to last
	changes sync.Mutex   // so that changes of the registry by one process wait in turn
	unknown unknownLeases
	keeping keeping
	limits  limits
	cluster cluster
	joined  bool // under node, at some time; guarded by cluster.beating
}

var _ store.Store = (*Store)(nil)

// Open opens the store, and makes or migrates its schema. It refuses a database
// that a newer Grapnel has made such that this one cannot work with it, one that
// was not filled to the end (store.ErrUnfinished), and a server whose commits may
// be lost.
func Open(ctx context.Context, opts Options) (_ *Store, err error) {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	config, err := configure(opts.URL)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	s := &Store{pool: pool, log: log, limits: newLimits(config.MaxConns)}
	if err := s.checkServer(ctx); err != nil {
		return nil, fmt.Errorf("cannot use the database: %w", err)
	}
	if err := migrate(ctx, pool, migrations); err != nil {
		return nil, err
	}
	if err := refuseCopy(ctx, pool); err != nil {
		return nil, err
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	s.cluster.init(s)
	return s, nil
}

// load reads or makes what identifies the store, and numbers this process.
func (s *Store) load(ctx context.Context) error {
	var fresh [20]byte
	rand.Read(fresh[:])
	var kept []byte
	var node int32
	err := s.call(ctx, adminTime, func(ctx context.Context, conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, "INSERT INTO meta (name, value) VALUES ('identity', $1) ON CONFLICT DO NOTHING", fresh[:])
		if err != nil {
			return err
		}
		return conn.QueryRow(ctx, "SELECT value, nextval('node_ids')::integer FROM meta WHERE name = 'identity'").Scan(&kept, &node)
	})
	if err != nil {
		return err
	}
	if len(kept) != len(fresh) {
		return errors.New("the store is damaged: it has no identity")
	}
	copy(s.identity.UUID[:], kept)
	s.identity.Tag = binary.BigEndian.Uint32(kept[16:])
	s.tag = int64(s.identity.Tag & 0x7ff)
	s.node.Store(node)
	return nil
}

// Identity returns the store's identity; see store.Store.
func (s *Store) Identity() store.Identity { return s.identity }

// Close ends the store; see store.Store. The other processes hear of it at once.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return errClosed
	}
	s.cluster.close()
	s.calls.Lock() // after the calls under way
	defer s.calls.Unlock()
	// What fails here ends by itself, a little later.
	ctx, cancel := context.WithTimeout(context.Background(), commitTime)
	defer cancel()
	if _, err := s.pool.Exec(ctx, "SELECT leave_nodes($1)", s.node.Load()); err != nil {
		s.log.Warn("the other processes could not be told that this one stops; its leases end by themselves", "error", err)
	}
	s.pool.Close()
	return nil
}

// micros is a time as the database keeps it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// dayBits is how many bits of a block's number tell it from others of its day.
const dayBits = pack.DayBits

// dayOf is when the day of a block began: the time that outcomes count from.
func dayOf(block int64) time.Time {
	return time.Unix(block>>dayBits*24*60*60, 0).UTC()
}

// newLease draws the number of the first of some leases. An Epoch is made of a
// lease's number, whether it is of retries, and the slot.
func newLease() int64 {
	var b [8]byte
	rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:])>>10) + 1 // 54 bits
}

const ownRow = 1 << 6 // in an Epoch: the lease is of retries

func epochOf(lease int64, own bool, slot int) int64 {
	epoch := lease<<7 | int64(slot)
	if own {
		epoch |= ownRow
	}
	return epoch
}

// leaseOf reads an Epoch. lease is 0 for what is none.
func leaseOf(c hook.Key, epoch int64) (lease int64, own bool) {
	if epoch <= 0 || int(epoch&(hook.BlockSlots-1)) != c.Seq.Slot() {
		return 0, false
	}
	return epoch >> 7, epoch&ownRow != 0
}
