package sqlite

import (
	"context"

	"github.com/grapnel-hooks/grapnel/internal/store/pack"
	"zombiezen.com/go/sqlite"
)

// digester makes the digests that are missing, beside the writer.
type digester struct {
	// missing are the chunks that are full and have no digest, each with a
	// number that changes whenever what one would say does. Guarded by the
	// store's mu.
	missing map[int64]int64
	changes int64
	wake    chan struct{}
}

func newDigester() digester {
	return digester{missing: make(map[int64]int64), wake: make(chan struct{}, 1)}
}

// want notes that a chunk needs a digest, or another than the one being made.
func (d *digester) want(chunk int64) {
	d.changes++
	d.missing[chunk] = d.changes
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// runDigests makes digests until ctx ends. What fails is tried again when the
// next chunk is full: a search does without.
func (s *Store) runDigests(ctx context.Context) {
	if s.findUndigested(ctx) != nil {
		return // the store is closing; any other reason shows elsewhere
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.digester.wake:
		}
		for {
			chunk, change, found := s.undigested()
			if !found || s.makeDigest(ctx, chunk, change) != nil {
				break
			}
		}
	}
}

// findUndigested looks for chunks of before that have no digest: those that an
// older Grapnel has filled, or that were full when the process ended.
func (s *Store) findUndigested(ctx context.Context) error {
	s.mu.Lock()
	end := s.nextBlock / chunkBlocks
	s.mu.Unlock()
	var missing []int64
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		for chunk := int64(0); ; chunk++ {
			first, err := oldestFrom(conn, chunk*chunkBlocks)
			if err != nil || first == 0 || first/chunkBlocks >= end {
				return err
			}
			chunk = first / chunkBlocks
			var p part
			if err := p.look(conn, digestOfChunk, chunk, &sought{}); err != nil {
				return err
			}
			if !p.known {
				missing = append(missing, chunk)
			}
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, chunk := range missing {
		s.digester.want(chunk)
	}
	return err
}

// oldestFrom returns the oldest block from one on, 0 when there is none.
func oldestFrom(conn *sqlite.Conn, block int64) (id int64, err error) {
	stmt := prep(conn, "SELECT id FROM blocks WHERE id >= +? ORDER BY id LIMIT 1")
	stmt.BindInt64(1, block)
	err = each(stmt, func() error { id = stmt.ColumnInt64(0); return nil })
	return id, err
}

// undigested returns one of the chunks that need a digest.
func (s *Store) undigested() (chunk, change int64, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for chunk, change := range s.digester.missing {
		return chunk, change, true
	}
	return 0, 0, false
}

// makeDigest makes the digest of one chunk and keeps it, unless the chunk has
// changed meanwhile: then it is still missing.
func (s *Store) makeDigest(ctx context.Context, chunk, change int64) error {
	d := newDigest()
	err := s.read(ctx, func(conn *sqlite.Conn) error { return d.read(conn, chunk) })
	if err != nil {
		return err
	}
	body := d.append(nil)
	return s.write(false, 1, func(conn *sqlite.Conn) (func(), error) {
		if s.digester.missing[chunk] != change {
			return nil, nil
		}
		stmt := prep(conn, "INSERT OR REPLACE INTO digests (chunk, body) VALUES (?, ?)")
		stmt.BindInt64(1, chunk)
		stmt.BindBytes(2, body)
		if err := run(stmt); err != nil {
			return nil, err
		}
		return func() { delete(s.digester.missing, chunk) }, s.sumUp(conn, chunk)
	})
}

// sumUp makes the digest of a chunk's volume, unless another of its chunks needs
// a digest or is yet to be filled: then the last one will.
func (s *Store) sumUp(conn *sqlite.Conn, chunk int64) error {
	volume := chunk / volumeChunks
	first := volume * volumeChunks
	if s.nextBlock/chunkBlocks < first+volumeChunks {
		return nil
	}
	for other := first; other < first+volumeChunks; other++ {
		if s.digester.missing[other] != 0 && other != chunk {
			return nil
		}
	}
	d := newDigest()
	stmt := prep(conn, "SELECT chunk, body FROM digests WHERE chunk BETWEEN ? AND ?")
	stmt.BindInt64(1, first)
	stmt.BindInt64(2, first+volumeChunks-1)
	err := each(stmt, func() error {
		d.sumUp(blob(stmt, 1), 1<<(stmt.ColumnInt64(0)-first))
		return nil
	})
	if err != nil {
		return err
	}
	stmt = prep(conn, "INSERT OR REPLACE INTO volumes (volume, body) VALUES (?, ?)")
	stmt.BindInt64(1, volume)
	stmt.BindBytes(2, d.append(make([]byte, 0, 4096)))
	return run(stmt)
}

// read reads what is in a chunk.
func (d *digest) read(conn *sqlite.Conn, chunk int64) error {
	bit := func(block int64) uint64 { return 1 << (block % chunkBlocks) }
	stmt := prep(conn, "SELECT id, received, summary FROM blocks WHERE id BETWEEN ? AND ?")
	stmt.BindInt64(1, chunk*chunkBlocks)
	stmt.BindInt64(2, chunk*chunkBlocks+chunkBlocks-1)
	err := each(stmt, func() error {
		id, received := stmt.ColumnInt64(0), fromMicros(stmt.ColumnInt64(1))
		events, _, damage := pack.Summary(id, received, blob(stmt, 2))
		if damage != nil {
			d.unsure |= bit(id) // whoever looks will be told
		}
		d.received.include(received)
		for i := range events {
			d.types[events[i].Type] |= bit(id)
			d.sources[events[i].Source] |= bit(id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	stmt = prep(conn, "SELECT block, hook, created FROM owed WHERE block BETWEEN ? AND ?")
	stmt.BindInt64(1, chunk*chunkBlocks)
	stmt.BindInt64(2, chunk*chunkBlocks+chunkBlocks-1)
	return each(stmt, func() error {
		d.hooks[stmt.ColumnInt64(1)] |= bit(stmt.ColumnInt64(0))
		d.created.include(fromMicros(stmt.ColumnInt64(2)))
		return nil
	})
}

// forgetDigest removes the digest of a chunk that is owed anew, and that of its
// volume. then is to be called when the transaction is committed.
func (s *Store) forgetDigest(conn *sqlite.Conn, chunk int64) (then func(), err error) {
	stmt := prep(conn, "DELETE FROM digests WHERE chunk = ?")
	stmt.BindInt64(1, chunk)
	if err := run(stmt); err != nil {
		return nil, err
	}
	stmt = prep(conn, "DELETE FROM volumes WHERE volume = ?")
	stmt.BindInt64(1, chunk/volumeChunks)
	if err := run(stmt); err != nil {
		return nil, err
	}
	return func() {
		if chunk < s.nextBlock/chunkBlocks {
			s.digester.want(chunk)
		}
	}, nil
}
