// Package move copies everything that one store keeps into another, which is
// empty at first: it goes on after an interruption, and in the end compares both.
// What is copied in which form is package store's (Archive).
package move

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"golang.org/x/sync/errgroup"
)

// Options say what is copied where.
type Options struct {
	From store.Archive
	To   store.ArchiveWriter
	// FromName and ToName are the stores as people name them, without secrets.
	FromName, ToName string
	// Command goes on with the copy; without secrets either.
	Command string
	// Batch is how many items are kept at once, DefaultBatch when it is 0.
	Batch int
	// Progress is called from time to time, nil for nobody.
	Progress func(Progress)

	every time.Duration // that Progress is told, about
}

// DefaultBatch is how many items one transaction keeps.
const DefaultBatch = 8192

// ErrChanged says that a copy cannot go on, mostly as a gateway has used the store
// that it is of since it began.
var ErrChanged = errors.New("the store and the beginning of its copy do not agree any more")

// Report is what a copy came to.
type Report struct {
	Resumed bool
	Sums    []Sum // of all kinds, in their order
}

// Copy copies a store, or goes on with it, and makes the copy a store that can be
// served from once both were found to be the same. A *Difference says that they
// are not. On any other error, and after the process has ended in whatever way,
// the next Copy of the same store goes on where this one was; if that was the end,
// it compares them once more.
func Copy(ctx context.Context, o Options) (*Report, error) {
	if o.Batch == 0 {
		o.Batch = DefaultBatch
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.every == 0 {
		o.every = tellEvery
	}
	mark, err := o.To.Begin(ctx, o.Command)
	if errors.Is(err, store.ErrHolds) && o.sameHead(ctx) {
		return o.checkFinished(ctx)
	}
	if err != nil {
		return nil, err
	}
	if mark != (store.Mark{}) {
		if err := o.checkBeginning(ctx); err != nil {
			return nil, err
		}
	}
	meter, err := o.newMeter(ctx, mark)
	if err != nil {
		return nil, err
	}
	if err := o.copy(ctx, mark, meter); err != nil {
		return nil, err
	}
	report, err := o.verify(ctx, meter)
	if difference := (*Difference)(nil); errors.As(err, &difference) {
		err = fmt.Errorf("the copy is not what it should be: %w; empty %s and copy again", err, o.ToName)
	}
	if err != nil {
		return nil, err
	}
	report.Resumed = mark != (store.Mark{})
	return report, o.To.Finish(ctx)
}

// checkFinished makes a copy that was finished already, a moment before its
// process ended perhaps, a success.
func (o *Options) checkFinished(ctx context.Context) (*Report, error) {
	meter, err := o.newMeter(ctx, store.Mark{})
	if err != nil {
		return nil, err
	}
	report, err := o.verify(ctx, meter)
	if difference := (*Difference)(nil); errors.As(err, &difference) {
		err = fmt.Errorf("%s: %w: a finished copy, but one of both was used since: %w", o.ToName, store.ErrHolds, err)
	}
	if err != nil {
		return nil, err
	}
	report.Resumed = true
	return report, nil
}

// copy hands over everything after a mark. One batch is read while the one before
// is kept.
func (o *Options) copy(ctx context.Context, mark store.Mark, meter *meter) error {
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []store.Item, 1)
	group.Go(func() error {
		defer close(batches)
		err := o.From.Export(ctx, mark, o.Batch, func(items []store.Item) error { return send(ctx, batches, items) })
		return name(o.FromName, err)
	})
	group.Go(func() error {
		for items := range batches {
			if err := o.To.Import(ctx, items); err != nil {
				return name(o.ToName, err)
			}
			meter.add(items...)
		}
		return nil
	})
	return group.Wait()
}

func send(ctx context.Context, to chan<- []store.Item, items []store.Item) error {
	select {
	case to <- items:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func name(store string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", store, err)
	}
	return nil
}

// sameHead reports whether both stores are one and its copy.
func (o *Options) sameHead(ctx context.Context) bool {
	from, err := o.head(ctx, o.From)
	if err != nil {
		return false
	}
	to, err := o.head(ctx, o.To)
	return err == nil && from == to
}

func (o *Options) head(ctx context.Context, of store.Archive) (id store.Identity, err error) {
	stop := errors.New("seen enough")
	err = of.Export(ctx, store.Mark{}, 1, func(items []store.Item) error {
		if head, ok := items[0].(*store.HeadItem); ok {
			id = head.Identity
		}
		return stop
	})
	if errors.Is(err, stop) {
		err = nil
	}
	return id, err
}

// checkBeginning compares what was copied first, which changes with everything
// that happens to a store.
func (o *Options) checkBeginning(ctx context.Context) error {
	var difference *Difference
	_, err := o.compare(ctx, store.KindCount, true, func(store.Item) {})
	switch {
	case !errors.As(err, &difference):
		return err
	case !o.sameHead(ctx):
		return fmt.Errorf("%s holds the beginning of a copy of another store than %s; give another target", o.ToName, o.FromName)
	default:
		return fmt.Errorf("%w: %w; empty %s and copy again", ErrChanged, err, o.ToName)
	}
}
