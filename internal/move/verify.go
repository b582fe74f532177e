package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"reflect"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"golang.org/x/sync/errgroup"
)

// Sum is what both stores have of a kind.
type Sum struct {
	Kind   store.Kind
	Items  int64
	Events int64 // in blocks
	SHA256 [sha256.Size]byte
}

// Difference is the first difference between a store and its copy.
type Difference struct {
	From, To store.Item // nil where it is missing
}

// Error says what differs, and where.
func (d *Difference) Error() string {
	switch {
	case d.To == nil:
		return fmt.Sprintf("the copy lacks %s", describe(d.From))
	case d.From == nil:
		return fmt.Sprintf("the copy has %s, which is not in the source", describe(d.To))
	default:
		return fmt.Sprintf("%s is not the same in the copy: its %s differs", describe(d.From), member(d.From, d.To))
	}
}

// describe names an item as people know it.
func describe(item store.Item) string {
	switch i := item.(type) {
	case *store.HeadItem:
		return "the head of the store"
	case *store.SourceItem:
		return "source " + i.Name
	case *store.HookItem:
		return "event hook " + i.ID
	case *store.CountItem:
		of := "source"
		if i.Of == store.CountOfHook {
			of = "hook"
		}
		return fmt.Sprintf("the counter of %s %d", of, i.Number)
	case *store.RemovedItem:
		return fmt.Sprintf("the dedupe key of event %d", i.Seq)
	case *store.FilterErrorItem:
		return fmt.Sprintf("the filter error of hook %d for event %d", i.Hook, i.Seq)
	case *store.DeliveryItem:
		return fmt.Sprintf("the delivery of event %d to hook %d (replay %d)", i.Seq, i.Hook, i.Replay)
	case *store.OwedItem:
		return fmt.Sprintf("what is owed of block %d to hook %d (replay %d)", i.Block, i.Hook, i.Replay)
	case *store.RejectedItem:
		return fmt.Sprintf("rejected body %d", i.ID)
	default: // numbered
		return fmt.Sprintf("%s %d", item.Mark().Kind, item.Mark().Place[0])
	}
}

// member names the first members of two items that differ.
func member(a, b store.Item) string {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		one, other := x.Field(i), y.Field(i)
		if one.Kind() == reflect.Slice && one.Len() == 0 && other.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(one.Interface(), other.Interface()) {
			return strings.ToLower(x.Type().Field(i).Name)
		}
	}
	return "it"
}

// verify compares everything.
func (o *Options) verify(ctx context.Context, meter *meter) (report *Report, err error) {
	meter.begin(Verifying)
	report = &Report{}
	report.Sums, err = o.compare(ctx, store.KindRejected, false, func(item store.Item) { meter.add(item) })
	return report, err
}

// errEnough ends an Export.
var errEnough = errors.New("no more is needed")

// compare reads both stores side by side, up to a kind. begun allows the copy to
// end before.
func (o *Options) compare(ctx context.Context, last store.Kind, begun bool, each func(store.Item)) ([]Sum, error) {
	group, ctx := errgroup.WithContext(ctx)
	from := o.read(ctx, group, o.From, o.FromName, last)
	to := o.read(ctx, group, o.To, o.ToName, last)
	sums := make(map[store.Kind]*summer)
	group.Go(func() error {
		for {
			a, b := from.next(ctx), to.next(ctx)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case a == nil && b == nil, b == nil && begun:
				return errEnough // of the one that may have more
			}
			if err := differ(a, b); err != nil {
				return err
			}
			sum := sums[a.Mark().Kind]
			if sum == nil {
				sum = &summer{hash: sha256.New()}
				sums[a.Mark().Kind] = sum
			}
			sum.add(b.Item, b.bytes)
			each(b.Item)
		}
	})
	if err := group.Wait(); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	all := make([]Sum, 0, len(sums))
	for _, kind := range store.Kinds() {
		s := Sum{Kind: kind}
		if sum := sums[kind]; sum != nil {
			s.Items, s.Events = sum.items, sum.events
			sum.hash.Sum(s.SHA256[:0])
		}
		all = append(all, s)
	}
	return all, nil
}

// differ returns how two items, the next of each store, differ.
func differ(a, b *read) error {
	switch {
	case b == nil || a != nil && a.Mark().Compare(b.Mark()) < 0:
		return &Difference{From: a.Item}
	case a == nil || a.Mark().Compare(b.Mark()) > 0:
		return &Difference{To: b.Item}
	case !bytes.Equal(a.bytes, b.bytes):
		return &Difference{From: a.Item, To: b.Item}
	default:
		return nil
	}
}

// summer sums up the items of a kind.
type summer struct {
	items, events int64
	hash          hash.Hash
}

func (s *summer) add(item store.Item, bytes []byte) {
	s.items++
	if block, ok := item.(*store.BlockItem); ok {
		s.events += int64(block.Events)
	}
	s.hash.Write(bytes)
}

// read is an item, and its bytes.
type read struct {
	store.Item
	bytes []byte
}

// reader reads a store from its beginning.
type reader struct {
	batches chan []read // closed at the end, unless reading failed
	batch   []read
}

func (o *Options) read(ctx context.Context, group *errgroup.Group, of store.Archive, named string, last store.Kind) *reader {
	r := &reader{batches: make(chan []read, 1)}
	group.Go(func() error {
		err := of.Export(ctx, store.Mark{}, o.Batch, func(items []store.Item) error {
			if items[0].Mark().Kind > last {
				return errEnough
			}
			batch := make([]read, len(items))
			for i, item := range items {
				batch[i] = read{item, item.Append(nil)}
			}
			select {
			case r.batches <- batch:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && !errors.Is(err, errEnough) {
			return name(named, err)
		}
		close(r.batches)
		return nil
	})
	return r
}

// next returns the next item, nil when there is none or ctx has ended.
func (r *reader) next(ctx context.Context) *read {
	if len(r.batch) == 0 {
		select {
		case r.batch = <-r.batches:
		case <-ctx.Done():
		}
	}
	if len(r.batch) == 0 {
		return nil
	}
	first := &r.batch[0]
	r.batch = r.batch[1:]
	return first
}
