package sqlite

import (
	"context"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

// One process owns the file, so the cluster is this process.

// Beat knows of nobody else; see store.Cluster.
func (s *Store) Beat(context.Context) (store.Members, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Members{}, errClosed
	}
	return store.Members{Self: 1, All: []int64{1}, Joined: true, Until: time.Now().Add(forever)}, nil
}

// forever is how long nobody else will count this process as gone.
const forever = 100 * 365 * 24 * time.Hour

// Lead has every duty; see store.Cluster.
func (s *Store) Lead(context.Context, string, time.Duration) (bool, error) { return true, nil }

// Watch never hints; see store.Cluster.
func (s *Store) Watch(func(store.Hint)) {}

// Wake has nobody to wake; see store.Cluster.
func (s *Store) Wake(...int64) {}
