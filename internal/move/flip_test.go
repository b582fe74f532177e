package move

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// unseen are columns in which a change is of no consequence, and why.
var unseen = map[string]string{
	"deliveries.id":         "nobody knows it",
	"removed_keys.received": "it may be rough",
	"meta.name":             "each is another thing; see the others",
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

// TestFlippedBit changes every column of every table of a copy before it is
// verified.
func TestFlippedBit(t *testing.T) {
	dir := t.TempDir()
	to := inDir(dir, "to.db")
	from := aFullLife(t, func() place { return inDir(t.TempDir(), "from.db") }).at
	verify := func() error {
		_, err := try(t, from, to, func(o *Options) { o.To = &cut{o.To, 0} })
		return err
	}
	if _, err := try(t, from, to, func(o *Options) { o.Batch, o.To = 1<<20, &cut{o.To, 12} }); !errors.Is(err, errCut) {
		t.Fatalf("the copy ends with %v", err)
	}
	if err := verify(); !errors.Is(err, errCut) {
		t.Fatalf("the copy is not verified: %v", err)
	}
	conn, err := sqlite.OpenConn(filepath.Join(dir, "to.db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	execute := func(statement string, args ...any) {
		t.Helper()
		if err := sqlitex.ExecuteTransient(conn, statement, &sqlitex.ExecOptions{Args: args}); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	changed := 0
	for _, column := range columns(t, conn) {
		name := column.table + "." + column.name
		if unseen[name] != "" {
			continue
		}
		where := "1"
		if worth[column.table] != "" {
			where = worth[column.table]
		}
		// The last of these rows, and the value before and after a change.
		execute("CREATE TEMP TABLE was AS SELECT * FROM " + column.table)
		set := fmt.Sprintf(`%s = CASE typeof(%[1]s) WHEN 'integer' THEN %[1]s + 1000000
			WHEN 'blob' THEN CAST(substr(%[1]s, 1, length(%[1]s) - 1) || CASE substr(%[1]s, -1) WHEN x'20' THEN x'21' ELSE x'20' END AS BLOB)
			ELSE %[1]s || 'x' END`, column.name)
		execute(fmt.Sprintf("UPDATE %s SET %s WHERE %s AND (%[4]s) = (SELECT %[4]s FROM %[1]s WHERE %[3]s ORDER BY %[4]s DESC LIMIT 1)",
			column.table, set, where, column.key))
		if conn.Changes() == 0 {
			t.Errorf("%s: nothing to change", name)
		}
		difference := (*Difference)(nil)
		if err := verify(); err == nil || errors.Is(err, errCut) {
			t.Errorf("a change of %s is not found", name)
		} else if errors.As(err, &difference) {
			t.Logf("%s: %v", name, err)
			changed++
		}
		execute("DELETE FROM " + column.table)
		execute("INSERT INTO " + column.table + " SELECT * FROM was")
		execute("DROP TABLE was")
	}
	if err := verify(); !errors.Is(err, errCut) {
		t.Errorf("the copy is not what it was: %v", err)
	}
	if changed < 40 {
		t.Errorf("only %d changes were found as differences", changed)
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
