package bench

import (
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/store/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
)

// asAdmin is the URL of a server's own database, for the role that may do all.
func asAdmin(t *testing.T, s *postgrestest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("postgres")
	return u.String()
}

func TestSitesHaveADatabaseEach(t *testing.T) {
	o := testOptions(t)
	var err error
	if o.server, err = connect(t.Context(), asAdmin(t, postgrestest.Shared(t))); err != nil {
		t.Fatal(err)
	}
	defer o.server.close()
	var sites [2]*site
	for i := range sites {
		if sites[i], err = o.newSite(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if sites[0].store == sites[1].store {
		t.Error("two sites have one store")
	}
	before, err := sites[0].size(t.Context())
	if err != nil || before == 0 {
		t.Fatalf("%d bytes, %v", before, err)
	}
	// A gateway that was killed may still be connected.
	conn, err := pgx.Connect(t.Context(), sites[0].store)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE many AS SELECT generate_series(1, 100000)"); err != nil {
		t.Fatal(err)
	}
	if after, err := sites[0].size(t.Context()); err != nil || after < before+1<<20 {
		t.Errorf("%d bytes of %d before, %v", after, before, err)
	}
	for _, s := range sites {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
		if _, err := s.size(t.Context()); err == nil {
			t.Errorf("%s is left", s.name)
		}
	}
	if entries, err := os.ReadDir(o.Dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v (%v)", entries, err)
	}
}

// TestAServersCPUIsCounted: a backend's work counts while it runs, and when it
// has ended.
func TestAServersCPUIsCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("not known here")
		return
	}
	address := asAdmin(t, postgrestest.Shared(t))
	d, err := connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	before, err := d.cpu()
	if err != nil || d.postmaster == 0 {
		t.Fatalf("postmaster %d, %v", d.postmaster, err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 2000000)"); err != nil {
		t.Fatal(err)
	}
	running, err := d.cpu()
	if err != nil || running-before < 50*time.Millisecond {
		t.Errorf("%v more, %v", running-before, err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ended, err := d.cpu(); err != nil || ended < running {
		t.Errorf("%v after %v, %v", ended, running, err)
	}
}

func TestAServerThatCannotBeUsedIsRefused(t *testing.T) {
	server := postgrestest.Shared(t)
	for address, want := range map[string]string{
		server.URL("postgres"):       "CREATEDB",
		"sqlite:/data/grapnel.db":    "write postgres://",
		"postgres://127.0.0.1:1/one": "127.0.0.1",
	} {
		d, err := connect(t.Context(), address)
		if err == nil {
			d.close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}
