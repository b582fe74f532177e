package postgres

import (
	"context"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

// Beat knows of nobody else yet; see store.Cluster.
func (s *Store) Beat(context.Context) (store.Members, error) {
	self := int64(s.node.Load())
	return store.Members{Self: self, All: []int64{self}, Joined: true, Until: time.Now().Add(time.Hour)}, nil
}

// Lead has every duty; see store.Cluster.
func (s *Store) Lead(context.Context, string, time.Duration) (bool, error) { return true, nil }

// Watch never hints; see store.Cluster.
func (s *Store) Watch(func(store.Hint)) {}

// Wake wakes nobody; see store.Cluster.
func (s *Store) Wake(...int64) {}
