package test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

func (c *cluster) debugDump() {
	if !c.Failed() {
		return
	}
	f, _ := os.Create("/tmp/dump.txt")
	defer f.Close()
	for _, d := range c.observer.disturbances {
		fmt.Fprintln(f, d.from.Format("15:04:05.000"), d.to.Format("15:04:05.000"), d)
	}
	fmt.Fprintln(f, time.Now())
	db, err := pgx.Connect(context.Background(), c.database)
	if err != nil {
		fmt.Fprintln(f, err)
		return
	}
	defer db.Close(context.Background())
	for _, q := range []string{
		"select * from grapnel.nodes", "select grapnel.clock()",
		"select classid, objid, granted, pid from pg_locks where locktype='advisory'",
		"select pid, application_name, client_port, state, wait_event, left(query,80), now()-state_change from pg_stat_activity where datname=current_database()",
		"select hook, count(*), sum(bit_count(open::bit(64))), lease<>0 as leased, node, (until-grapnel.clock())/1000000 as left from grapnel.work group by 1,4,5,6 order by 1,2",
		"select hook, count(*), lease<>0 as leased, node, (until-grapnel.clock())/1000000 as left, (due-grapnel.clock())/1000000 as due from grapnel.retries group by 1,3,4,5,6 order by 1,2",
		"select number, id, doc::text from grapnel.hooks",
		"select block, hook, lease, until, node, created, open::bit(64), matched::bit(64), (select count(*) from grapnel.blocks b where b.id=w.block) from grapnel.work w order by 1,2 limit 200",
	} {
		fmt.Fprintln(f, "==", q)
		rows, err := db.Query(context.Background(), q)
		if err != nil {
			fmt.Fprintln(f, err)
			continue
		}
		for rows.Next() {
			v, _ := rows.Values()
			fmt.Fprintln(f, v...)
		}
		fmt.Fprintln(f, rows.Err())
	}
}
