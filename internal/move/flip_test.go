package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// unseen are columns in which a change is of no consequence, and why.
var unseen = map[string]string{
	"deliveries.id":         "nobody knows it",
	"removed_keys.received": "it may be rough",
	"meta.name":             "each is another thing; see the others",
	"digests.chunk":         "it follows from others",
	"digests.body":          "it follows from others",
	"volumes.volume":        "it follows from others",
	"volumes.body":          "it follows from others",

	// In a database.
	"sources.number": "PostgreSQL lets nobody change it", "hooks.number": "likewise", "replays.number": "likewise", "rejected.id": "likewise",
	"work.lease": "who was sending does not matter", "work.until": "likewise", "work.node": "likewise",
	"retries.lease": "likewise", "retries.until": "likewise", "retries.node": "likewise",
	"counts.slot": "counters are summed up", "registry.one": "it cannot be changed", "registry.changes": "nobody remembers it",
}

// worth are the rows of tables that have something in all columns: of what is
// deleted or has ended little is left.
var worth = map[string]string{
	"sources":    "NOT deleted",
	"hooks":      "NOT deleted",
	"deliveries": "state = 0 AND hook IN (SELECT number FROM hooks WHERE NOT deleted)",
	"owed":       "open != 0 AND length(outcomes) > 0 AND hook IN (SELECT number FROM hooks WHERE NOT deleted)",
	"seen":       "length(entries) < 24 AND key IN (SELECT seen.key FROM seen, removed_keys WHERE instr(keys, unhex(format('%016X', seen.key))) > 0)",
	// Of two uuids under one key, the key is there twice.
	"removed_keys": "instr(keys, substr(keys, -8)) = length(keys) - 7",
	"meta":         "name IN ('identity', 'canary', 'last_block')",
	"revisions":    "doc IS NOT NULL",
}

// flipped changes a column of the copy in place before it is verified, and back.
func flipped(t *testing.T, from, to place, name string, change func() (changed bool), undo func()) {
	t.Helper()
	if !change() {
		t.Errorf("%s: nothing to change", name)
	}
	if err := verifyOnly(t, from, to); err == nil || errors.Is(err, errCut) {
		t.Errorf("a change of %s is not found", name)
	} else if testing.Verbose() {
		t.Logf("%s: %v", name, err)
	}
	undo()
}

// verifyOnly compares a copy whose items are all there, and does not finish it.
func verifyOnly(t *testing.T, from, to place) error {
	t.Helper()
	_, err := try(t, from, to, func(o *Options) { o.To = &cut{o.To, 0} })
	return err
}

// begun copies all items but does not finish.
func begun(t *testing.T, from, to place) {
	t.Helper()
	if _, err := try(t, from, to, func(o *Options) { o.Batch, o.To = 1<<20, &cut{o.To, len(store.Kinds())} }); !errors.Is(err, errCut) {
		t.Fatalf("the copy ends with %v", err)
	}
	if err := verifyOnly(t, from, to); !errors.Is(err, errCut) {
		t.Fatalf("the copy is not verified: %v", err)
	}
}

// TestFlippedBit changes every column of every table of a copy before it is
// verified.
func TestFlippedBit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "to.db")
	from, to := aFullLife(t, func() place { return inDir(t.TempDir(), "from.db") }).at, file(path)
	begun(t, from, to)
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	execute := func(statement string) {
		t.Helper()
		if err := sqlitex.ExecuteTransient(conn, statement, nil); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for _, column := range columns(t, conn) {
		name := column.table + "." + column.name
		if unseen[name] != "" {
			continue
		}
		where := cmp.Or(worth[column.table], "1")
		flipped(t, from, to, name, func() bool {
			execute("CREATE TEMP TABLE was AS SELECT * FROM " + column.table)
			set := fmt.Sprintf(`%s = CASE typeof(%[1]s) WHEN 'integer' THEN %[1]s + 1000000
				WHEN 'blob' THEN CAST(substr(%[1]s, 1, length(%[1]s) - 1) || CASE substr(%[1]s, -1) WHEN x'20' THEN x'21' ELSE x'20' END AS BLOB)
				ELSE %[1]s || 'x' END`, column.name)
			execute(fmt.Sprintf("UPDATE %s SET %s WHERE %s AND (%[4]s) = (SELECT %[4]s FROM %[1]s WHERE %[3]s ORDER BY %[4]s DESC LIMIT 1)",
				column.table, set, where, column.key))
			return conn.Changes() == 1
		}, func() {
			execute("DELETE FROM " + column.table)
			execute("INSERT INTO " + column.table + " SELECT * FROM was")
			execute("DROP TABLE was")
		})
	}
	if err := verifyOnly(t, from, to); !errors.Is(err, errCut) {
		t.Errorf("the copy is not what it was: %v", err)
	}
}

// flips are how columns of a type are changed in a database.
var flips = map[string]string{
	"int8": "%s + 1000000", "int4": "%s + 1000000", "int2": "%s + 1", "text": "%s || 'x'", "bool": "NOT %s", "uuid": "md5(%s::text)::uuid",
	"bytea":  "substr(%[1]s, 1, length(%[1]s) - 1) || CASE right(encode(%[1]s, 'hex'), 2) WHEN '20' THEN '\\x21' ELSE '\\x20' END::bytea",
	"_bytea": "%s || '\\x00'::bytea",
}

// worthInDatabase is worth for the tables of a database.
var worthInDatabase = map[string]string{
	"sources": "NOT deleted", "hooks": "NOT deleted",
	"seen":      "NOT EXISTS (SELECT FROM blocks b WHERE b.id = t.seq >> 6)",
	"meta":      "name IN ('identity', 'canary')",
	"revisions": "doc IS NOT NULL",
	"retries":   "response IS NOT NULL", "ended": "response IS NOT NULL",
	"settled": "length(outcomes) > 0", "work": "length(outcomes) > 0",
}

// TestFlippedBitInDatabase does the same in a database.
func TestFlippedBitInDatabase(t *testing.T) {
	t.Parallel()
	to := database(t)
	from := aFullLife(t, func() place { return inDir(t.TempDir(), "from.db") }).at
	begun(t, from, to)
	type column struct{ Table, Name, Type string }
	var all []column
	beside(t, to.name, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT c.relname, a.attname, y.typname FROM pg_class c
			JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type y ON y.oid = a.atttypid
			WHERE c.relnamespace = 'grapnel'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
				AND c.relname NOT IN ('schema_version', 'days', 'nodes', 'duties', 'digests', 'postings') ORDER BY 1, 2`)
		if err == nil {
			all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[column])
		}
		return err
	})
	for _, c := range all {
		name := c.Table + "." + c.Name
		if unseen[name] != "" {
			continue
		}
		where := cmp.Or(worthInDatabase[c.Table], "true")
		flipped(t, from, to, name, func() (changed bool) {
			beside(t, to.name, func(ctx context.Context, conn *pgx.Conn) error {
				_, err := conn.Exec(ctx, "CREATE TABLE public.was AS SELECT * FROM "+c.Table)
				if err != nil {
					return err
				}
				done, err := conn.Exec(ctx, fmt.Sprintf(`UPDATE %s t SET %s = %s
					WHERE (tableoid, ctid) = (SELECT t.tableoid, t.ctid FROM %[1]s t WHERE %[4]s ORDER BY 1, 2 LIMIT 1)`,
					c.Table, c.Name, fmt.Sprintf(flips[c.Type], c.Name), where))
				changed = done.RowsAffected() == 1
				return err
			})
			return changed
		}, func() {
			execute(t, to.name, fmt.Sprintf("DELETE FROM %s; INSERT INTO %[1]s OVERRIDING SYSTEM VALUE SELECT * FROM public.was; DROP TABLE public.was", c.Table))
		})
	}
	if len(all) < 60 {
		t.Errorf("only %d columns", len(all))
	}
	if err := verifyOnly(t, from, to); !errors.Is(err, errCut) {
		t.Errorf("the copy is not what it was: %v", err)
	}
}

type column struct{ table, name, key string }

// columns lists those of all tables, with what identifies their rows.
func columns(t *testing.T, conn *sqlite.Conn) (all []column) {
	t.Helper()
	err := sqlitex.ExecuteTransient(conn, `
		SELECT t.name, c.name, (SELECT group_concat(k.name) FROM pragma_table_info(t.name) k WHERE k.pk > 0)
		FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid`,
		&sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			c := column{stmt.ColumnText(0), stmt.ColumnText(1), stmt.ColumnText(2)}
			if c.key == "" {
				c.key = "rowid"
			}
			all = append(all, c)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
