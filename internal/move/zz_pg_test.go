package move

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres"
	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
	"github.com/grapnel-hooks/grapnel/internal/store/sqlite"
)

func TestZZMeasure(t *testing.T) {
	from := os.Getenv("MEASURE")
	if from == "" {
		return
	}
	srv := postgrestest.Start(t, postgrestest.Options{Fsync: true, Settings: map[string]string{"shared_buffers": "1GB", "max_wal_size": "4GB"}})
	url := srv.Database(t)
	os.Remove("/tmp/mv/back.db")
	run := func(a store.Archive, err error, b store.ArchiveWriter, err2 error) {
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		begin := time.Now()
		var phase Phase
		var last Progress
		_, err = Copy(context.Background(), Options{From: a, To: b, Progress: func(p Progress) {
			if p.Phase != phase {
				fmt.Printf("%v %+v\n", time.Since(begin), last)
				phase = p.Phase
			}
			last = p
		}})
		fmt.Printf("%v %+v\n", time.Since(begin), last)
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		b.Close()
	}
	ctx := context.Background()
	a, e1 := sqlite.OpenArchive(from)
	b, e2 := postgres.OpenArchiveWriter(ctx, postgres.Options{URL: url})
	run(a, e1, b, e2)
	if os.Getenv("HOLD") != "" {
		fmt.Println(url)
		time.Sleep(4 * time.Minute)
	}
	c, e1 := postgres.OpenArchive(ctx, postgres.Options{URL: url})
	d, e2 := sqlite.OpenArchiveWriter("/tmp/mv/back.db")
	run(c, e1, d, e2)
	_ = os.Remove
}
