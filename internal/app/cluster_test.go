package app

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefreshReadsAfterTheCall has many callers ask at once and one by one: each
// is answered by a reading that began after it asked, and there are few.
func TestRefreshReadsAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		readings := 0
		begun := time.Time{}
		r := refresher{load: func(context.Context) error {
			mu.Lock()
			readings++
			begun = time.Now()
			mu.Unlock()
			<-time.After(30 * time.Millisecond)
			return nil
		}}
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				asked := time.Now()
				if err := r.refresh(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if begun.Before(asked) {
					t.Errorf("asked at %v, read at %v", asked, begun)
				}
				if took := time.Since(asked); took > refreshEvery+2*30*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
			<-time.After(time.Millisecond)
		}
		callers.Wait()
		if readings > 12 {
			t.Errorf("%d readings within a second", readings)
		}
	})
}

func TestRefreshFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("the database is away")
		r := refresher{load: func(ctx context.Context) error {
			<-ctx.Done() // a store that does not answer
			return away
		}}
		if err := r.refresh(t.Context()); !errors.Is(err, away) {
			t.Error(err)
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.refresh(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-time.After(time.Minute)
	})
}
