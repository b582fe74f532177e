package postgrestest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// Database makes an empty database for a test and returns its URL. It goes with
// the test on the shared server, and with the server on others, which may be
// standbys by then.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.copy(t, "template1")
}

// copy makes a database for a test that begins as another one, which nobody is
// connected to.
func (s *Server) copy(t testing.TB, from string) string {
	t.Helper()
	name, err := s.create(from)
	if err != nil {
		t.Fatal(err)
	}
	if s.lasting {
		t.Cleanup(func() {
			if err := s.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		})
	}
	return s.URL(name)
}

func (s *Server) create(from string) (name string, err error) {
	name = fmt.Sprintf("test_%016x", rand.Uint64())
	// In memory, copying files takes half the time of logging every page.
	return name, s.exec("CREATE DATABASE " + name + " OWNER " + role + " TEMPLATE " + from + " STRATEGY FILE_COPY")
}

// Template is what databases on the shared server begin with. It is a package's
// variable:
//
//	var migrated = postgrestest.Template{Fill: migrate}
type Template struct {
	// Fill puts it into an empty database, once for all tests, and closes its
	// connections.
	Fill func(url string) error

	once sync.Once
	name string
	err  error
}

// Database makes a database for a test, as Fill has left one, and returns its
// URL. It goes with the test.
func (p *Template) Database(t testing.TB) string {
	t.Helper()
	s := Shared(t)
	p.once.Do(func() { p.err = p.make(s) })
	if p.err != nil {
		t.Fatal(p.err)
	}
	return s.copy(t, p.name)
}

func (p *Template) make(s *Server) (err error) {
	if p.name, err = s.create("template1"); err != nil {
		return err
	}
	if err := p.Fill(s.URL(p.name)); err != nil {
		return fmt.Errorf("cannot fill the template of databases: %w", err)
	}
	// What all databases begin with must not change any more.
	return s.exec("ALTER DATABASE " + p.name + " ALLOW_CONNECTIONS false")
}
