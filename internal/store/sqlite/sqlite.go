// Package sqlite keeps a store in one SQLite file, for one gateway at a time.
//
// Events live in blocks: what one commit took in, up to hook.BlockSlots events
// compressed together. Beside a block stands one row per hook that is owed
// something of it, with a bit per event; the first attempts of such a row are
// settled in place, a few bytes each, and only a delivery that fails gets a row
// of its own. So the cost of keeping an event is shared by all that came with it.
//
// One process owns the file, so leases live in memory: after a crash nobody
// holds one, which is the truth.
package sqlite

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Options say where the store is.
type Options struct {
	// Path of the database file. It and missing directories are made for their
	// owner only.
	Path string
	// Log is told of damage; nil for nowhere.
	Log *slog.Logger
}

// Store is a store in one file.
type Store struct {
	path     string
	log      *slog.Logger
	identity store.Identity
	lock     *os.File

	// mu guards the one connection that writes, and everything below it.
	mu          sync.Mutex
	conn        *sqlite.Conn
	synced      bool // what PRAGMA synchronous of conn is: FULL or NORMAL
	closed      bool
	nextBlock   int64
	revision    int64
	hookChanges int64 // how often hooks or holds have changed
	counts      counters
	deleted     map[int64]bool // numbers of deleted hooks
	leases      leases
	epoch       int64 // of the newest lease
	pruneFrom   int64 // the block at which Prune goes on
	unflushed   int   // estimated pages in the WAL since the last checkpoint
	digester    digester

	// Idle connections that read, of opened in all. One is for claims alone:
	// what is sent must not wait for those who look.
	readers, claimers chan *sqlite.Conn
	opened            int
	checkpoint        chan struct{}
	done              chan struct{}
	endBackground     context.CancelFunc
	background        sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// maxReaders bounds the connections that read at once, besides the one for
// claims; further readers wait.
const maxReaders = 4

// Open opens or makes the store. It refuses a file that another process has
// open, one that a newer Grapnel has written, and one that was not filled to the
// end (store.ErrUnfinished).
func Open(ctx context.Context, opts Options) (_ *Store, err error) {
	dir := filepath.Dir(opts.Path)
	if err := MakeDir(dir); err != nil {
		return nil, err
	}
	s := &Store{
		path:       opts.Path,
		log:        cmp.Or(opts.Log, slog.New(slog.DiscardHandler)),
		leases:     make(leases),
		digester:   newDigester(),
		readers:    make(chan *sqlite.Conn, maxReaders),
		claimers:   make(chan *sqlite.Conn, 1),
		checkpoint: make(chan struct{}, 1),
		done:       make(chan struct{}),
	}
	defer func() {
		if err != nil {
			_ = s.release()
		}
	}()
	defer catch(&err)
	if s.lock, err = lockFile(opts.Path + ".lock"); err != nil {
		return nil, err
	}
	if err := makeFile(opts.Path); err != nil {
		return nil, err
	}
	if s.conn, err = s.connect(); err != nil {
		return nil, err
	}
	if err := sqlitex.ExecuteTransient(s.conn, "PRAGMA wal_autocheckpoint = 0", nil); err != nil {
		return nil, err
	}
	if err := migrate(s.conn); err != nil {
		return nil, err
	}
	if err := refuseCopy(s.conn, s.path); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	for _, readers := range []chan *sqlite.Conn{s.readers, s.claimers} {
		for range cap(readers) {
			conn, err := s.connect()
			if err != nil {
				return nil, err
			}
			readers <- conn
			s.opened++
		}
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	checkpointer, err := s.connect()
	if err != nil {
		return nil, err
	}
	s.background.Go(func() { s.runCheckpoints(checkpointer) })
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	s.background.Go(func() { s.runDigests(background) })
	s.endBackground = end
	return s, nil
}

// connect opens one more connection to the file.
func (s *Store) connect() (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(s.path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", s.path, err)
	}
	conn.SetBusyTimeout(10 * time.Second)
	for _, pragma := range []string{
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = " + full,
		"PRAGMA temp_store = MEMORY",
		"PRAGMA cache_size = -8192",
		// What a long look at the store, such as a backup, makes of the WAL does
		// not stay for ever.
		"PRAGMA journal_size_limit = 67108864",
		"PRAGMA trusted_schema = OFF",
	} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot open %s: %w", s.path, err), conn.Close())
		}
	}
	return conn, nil
}

// load reads what the store keeps in memory.
func (s *Store) load() error {
	s.synced = true
	// Epochs start anywhere, so that no lease from before a restart is taken
	// for one of now.
	var start [8]byte
	rand.Read(start[:])
	s.epoch = int64(binary.BigEndian.Uint64(start[:]) >> 2)
	if err := s.loadIdentity(); err != nil {
		return err
	}
	last, err := sqlitex.ResultInt64(prep(s.conn, `SELECT max(coalesce((SELECT max(id) FROM blocks), 0),
		coalesce((SELECT value FROM meta WHERE name = 'last_block'), 0))`))
	if err != nil {
		return err
	}
	// Block 0 is never used, so that no Seq is 0.
	s.nextBlock = last + 1
	s.revision, err = sqlitex.ResultInt64(prep(s.conn, "SELECT coalesce(max(revision), 0) FROM revisions"))
	if err != nil {
		return err
	}
	s.deleted = make(map[int64]bool)
	stmt := prep(s.conn, "SELECT number FROM hooks WHERE deleted")
	if err := each(stmt, func() error { s.deleted[stmt.ColumnInt64(0)] = true; return nil }); err != nil {
		return err
	}
	s.counts, err = loadCounters(s.conn)
	if err != nil {
		return err
	}
	for number := range s.deleted {
		// What was under way when its hook was deleted did not end well.
		c := s.counts.hooks[number]
		c.Cancelled += c.Waiting()
		s.counts.hooks[number] = c
	}
	return nil
}

func (s *Store) loadIdentity() error {
	stmt := prep(s.conn, "SELECT value FROM meta WHERE name = 'identity'")
	found, err := stmt.Step()
	if err != nil {
		return err
	}
	var b [20]byte
	if found {
		stmt.ColumnBytes(0, b[:])
	} else {
		rand.Read(b[:])
	}
	if err := stmt.Reset(); err != nil {
		return err
	}
	copy(s.identity.UUID[:], b[:16])
	s.identity.Tag = binary.BigEndian.Uint32(b[16:])
	if found {
		return nil
	}
	insert := prep(s.conn, "INSERT INTO meta (name, value) VALUES ('identity', ?)")
	insert.BindBytes(1, b[:])
	return run(insert)
}

// Identity tells this store from another.
func (s *Store) Identity() store.Identity { return s.identity }

// Close ends the store after the calls under way.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.done)
	s.endBackground()
	s.background.Wait()
	return s.release()
}

// release closes what Open has opened so far, once nobody reads any more.
func (s *Store) release() error {
	var err error
	for range s.opened {
		select {
		case conn := <-s.readers:
			err = errors.Join(err, conn.Close())
		case conn := <-s.claimers:
			err = errors.Join(err, conn.Close())
		}
	}
	if s.conn != nil {
		err = errors.Join(err, s.conn.Close())
	}
	if s.lock != nil {
		// Unlocked, not just closed: a child being forked may hold a copy.
		err = errors.Join(err, syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close())
	}
	return err
}

// lockFile takes the lock that keeps a second process away. The system frees
// it when the process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another process; stop it first, or give this one another --store", path[:len(path)-len(".lock")]), f.Close())
	}
	return f, nil
}

// MakeDir makes a directory and its parents where they are missing, for their
// owner only, each synced into the one above it: a power cut must not take the
// directory away with all that is in it.
func MakeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := MakeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// makeFile makes the database file, where it is missing, for its owner only.
// SQLite gives the files it puts beside it the same mode.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
