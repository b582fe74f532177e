package okta

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newer is a list as a person would write it: columns that are not needed left
// out, in no order, with the line ends of another system.
const newer = "# ours\r\n\r\nrelease\t2026.09.0\r\nschema\tBase\t\tid,when:integer\r\nschema\tWide\tBase\tlist:array\r\n" +
	"type\tb.new\tbho\tidentity\tx,y\tWide\tBase,Wide\tBase\r\ntype\ta.new\tp"

func TestLoadCatalogue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "event-types.tsv")
	if err := os.WriteFile(file, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadCatalogue(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for e := range c.All() {
		got = append(got, e.Name)
	}
	if c.Release() != "2026.09.0" || !slices.Equal(got, []string{"a.new", "b.new"}) {
		t.Errorf("release %s, %v", c.Release(), got)
	}
	a, _ := c.Lookup("a.new")
	if a.Eligible || a.Visibility != Public || a.DebugData != nil {
		t.Errorf("%+v", a)
	}
	b, _ := c.Lookup("b.new")
	if !b.Eligible || !b.IdentityEngineOnly || b.Visibility != Beta || b.Category != "identity" || !slices.Equal(b.Tags, []string{"x", "y"}) || len(b.DetailEntry) != 2 || !b.MayHaveChangeDetails() {
		t.Errorf("%+v", b)
	}
	if fields := slices.Collect(b.DebugData.Fields()); !slices.Equal(fields, []Field{{"id", "string"}, {"when", "integer"}, {"list", "array"}}) {
		t.Errorf("%v", fields)
	}
	if c, err := LoadCatalogue(""); err != nil || c != Catalogue() {
		t.Errorf("without a file: %v", err)
	}
}

// The file in the users' page is one.
func TestDocumentedCatalogue(t *testing.T) {
	page, err := os.ReadFile("../../docs/event-types.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```tsv\n")
	block, _, ok := strings.Cut(block, "```")
	c, err := parseCatalogue(block)
	if !ok || err != nil {
		t.Fatalf("%q: %v", block, err)
	}
	e, _ := c.Lookup("user.badge.print")
	if got := fmt.Sprint(slices.Collect(e.DebugData.Fields())); got != "[{requestUri string} {oagApp boolean} {badgeId string} {doors array}]" {
		t.Error(got)
	}
	counts := fmt.Sprintf("the 1,%d event types of Okta's release %s", Catalogue().Len()-1000, Catalogue().Release())
	if !strings.Contains(string(page), counts) {
		t.Errorf("the page does not say %q", counts)
	}
}

func TestLoadCatalogueErrors(t *testing.T) {
	dir := t.TempDir()
	many := func(n int, line string) string {
		var b strings.Builder
		b.WriteString("release\t1\n")
		for i := range n {
			fmt.Fprintf(&b, line, i)
		}
		return b.String()
	}
	for i, tt := range []struct{ tsv, want string }{
		{"", "which release"},
		{"release\t1\n", "no event types"},
		{"type\ta\tp\n", "which release"},
		{"# comment\n\nrelease 1\n", "line 3: begins with \"release 1\""},
		{"release\n", "line 1: release has 0 columns"},
		{"release\t1\t2\n", "line 1: release has 2 columns"},
		{"release\t1\nrelease\t1\n", "line 2: release is there twice"},
		{"schema\tA\tB\n", "line 1: schema A: there is no schema \"B\" above"},
		{"schema\tA\nschema\tA\n", "line 2: schema A: is there twice"},
		{"schema\tA\nschema\tB\tA\nschema\tC\tB\n", "line 3: schema C: its base B has a base itself; name A"},
		{"schema\tA\t\tx,x\n", "the field x is there twice"},
		{"schema\tA\t\tx\nschema\tB\tA\tx\n", "line 2: schema B: the field x is there twice"},
		{"schema\tA\t\tx:String\n", "the field \"x:String\" is not"},
		{"schema\tA\t\t:string\n", "the field \":string\" is not"},
		{"schema\tA\t\tx, y\n", "\" y\" is not a name"},
		{"schema\tA\t\tx,\n", "\"\" is not a name"},
		{"schema\tA\t\t" + strings.Repeat("x,", 1000) + "x", "a list of 1001 names; there may be 1000"},
		{"type\t\tp\n", "line 1: \"\" is not a name"},
		{"type\tcaf\u00e9\tp\n", "is not a name"},
		{"type\t" + strings.Repeat("a", 256) + "\tp\n", "is not a name"},
		{"type\ta\n", "line 1: type a: the flags want p, b or i"},
		{"type\ta\th\n", "the flags want p, b or i"},
		{"type\ta\tpx\n", "the flag 'x' is none of"},
		{"type\ta\tphb\n", "the flags \"phb\" say both public and beta"},
		{"type\ta\tp\nrelease\t1\ntype\ta\tb\n", "line 3: type a: is there twice"},
		{"type\ta\tp\ta b\n", "\"a b\" is not a name"},
		{"type\ta\tp\tc\tt,,u\n", "\"\" is not a name"},
		{"type\ta\tp\tc\t\tD\n", "there is no schema \"D\""},
		{"type\ta\tp\tc\t\t\tD\n", "there is no schema \"D\""},
		{"type\ta\tp\tc\t\t\t\tD\n", "there is no schema \"D\""},
		{"schema\tD\ntype\ta\tp\tc\t\t\t" + strings.Repeat("D,", 50) + "D\n", "line 2: type a: a list of 51 names; there may be 50"},
		{"type\ta\tp\t\t\t\t\t\tx\n", "type has 8 columns after it; there may be 1 to 7"},
		{many(20_001, "type\tt%d\tp\n"), "line 20002: type t20000: more than 20000 types"},
		{many(5_001, "schema\ts%d\n"), "line 5002: schema s5000: more than 5000 schemas"},
		{strings.Repeat("#\n", 2<<20) + "\n", "larger than 4 MiB"},
	} {
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, []byte(tt.tsv), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadCatalogue(file); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%.60q: %v, want %s", tt.tsv, err, tt.want)
		}
	}
	for _, file := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := LoadCatalogue(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
