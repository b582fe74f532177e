package postgres

import (
	"context"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
)

func (s *Store) Beat(context.Context) (store.Members, error)               { return store.Members{}, nil }
func (s *Store) Lead(context.Context, string, time.Duration) (bool, error) { return true, nil }
func (s *Store) Watch(func(store.Hint))                                    {}
func (s *Store) Wake(...int64)                                             {}
