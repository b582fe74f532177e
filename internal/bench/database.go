package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is a PostgreSQL server on which every gateway's store gets a database
// of its own.
type database struct {
	url *url.URL // of a database in which nothing is changed
	// postmaster is the process whose children are the server, 0 if they are not
	// on this machine, or cannot be seen: then their CPU time is not known.
	postmaster int

	mu   sync.Mutex // of conn
	conn *pgx.Conn
}

// connect connects to the server of a database.
func connect(ctx context.Context, text string) (*database, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("%q is not the URL of a PostgreSQL database; write postgres://user@host/database", text)
	}
	d := &database{url: u}
	if d.conn, err = pgx.Connect(ctx, text); err != nil {
		return nil, err
	}
	var pid int
	var address *netip.Prefix
	var may bool
	err = d.conn.QueryRow(ctx, `SELECT pg_backend_pid(), inet_server_addr(), rolcreatedb OR rolsuper
		FROM pg_roles WHERE rolname = current_user`).Scan(&pid, &address, &may)
	if err == nil && !may {
		err = fmt.Errorf("every gateway gets a database of its own, which is dropped afterwards: "+
			"let the role make them (ALTER ROLE %s CREATEDB), or give another", d.conn.Config().User)
	}
	if err != nil {
		return nil, errors.Join(err, d.conn.Close(ctx))
	}
	// A nil address is a Unix socket's.
	if address == nil || isOurs(address.Addr()) {
		d.postmaster, _ = parentOf(pid, "postgres")
	}
	return d, nil
}

// isOurs reports whether an address is one of this machine's.
func isOurs(address netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, one := range all {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil && prefix.Addr() == address {
			return true
		}
	}
	return false
}

// create makes an empty database, and returns its URL.
func (d *database) create(ctx context.Context, name string) (string, error) {
	u := *d.url
	u.Path = "/" + name
	return u.String(), d.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" ENCODING 'UTF8' TEMPLATE template0")
}

// drop drops a database, if there is one, whoever is still connected to it.
func (d *database) drop(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return d.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

func (d *database) exec(ctx context.Context, statement string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.conn.Exec(ctx, statement)
	return err
}

// size is how many bytes a database takes on disk.
func (d *database) size(ctx context.Context, name string) (bytes int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err = d.conn.QueryRow(ctx, "SELECT pg_database_size($1)", name).Scan(&bytes)
	return bytes, err
}

// cpu is the time that the server's processes have used, 0 if that is not known.
func (d *database) cpu() (time.Duration, error) {
	if d.postmaster == 0 {
		return 0, nil
	}
	return familyCPU(d.postmaster)
}

func (d *database) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return d.conn.Close(ctx)
}
