// Package app puts a gateway together: it is the only package that knows all
// the others. Options in, New, Start, Stop.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/reach"
)

// Options are the settings of a gateway. The command line explains each; see
// `grapnel serve --help`.
type Options struct {
	Listen      string // address of the public listener
	AdminListen string // address of the admin listener

	Store string // "sqlite:PATH" or "postgres://…"

	AdminToken     string // else the file's
	AdminTokenFile string // else beside the SQLite file, made when missing; PostgreSQL must be given one
	SecretKey      string // else the file's
	SecretKeyFile  string // else beside the SQLite file, made when missing; PostgreSQL must be given one

	PublicURL string // else http://Listen
	AdminURL  string // else each request's own

	AllowDestination []string
	AllowHTTP        bool
	EgressProxy      string

	Retention       time.Duration // of events
	DedupeRetention time.Duration // of dedupe keys
	RetentionSize   int64         // bytes, 0 for no limit
	BodyLimit       int64         // bytes

	EventTypes string // file with the catalogue; else the one in the binary

	Version string
	Log     *slog.Logger

	// Network replaces the system's network; nil is the system's.
	Network *Network
}

// Network is where a gateway listens, dials and looks up names.
type Network struct {
	Listen   func(network, address string) (net.Listener, error)
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Resolver reach.Resolver
}

// Defaults of Options.
const (
	DefaultListen          = "127.0.0.1:8080"
	DefaultAdminListen     = "127.0.0.1:8081"
	DefaultStore           = "sqlite:grapnel-data/grapnel.db"
	DefaultRetention       = 90 * 24 * time.Hour
	DefaultDedupeRetention = 100 * 24 * time.Hour
)

// A SettingError is a setting that is wrong whatever the world around is like.
type SettingError struct{ error }

// Unwrap returns what is wrong with it.
func (e *SettingError) Unwrap() error { return e.error }

// fill sets what was left out and checks the rest.
func (o *Options) fill() error {
	setDefault(&o.Listen, DefaultListen)
	setDefault(&o.AdminListen, DefaultAdminListen)
	setDefault(&o.Store, DefaultStore)
	setDefault(&o.Retention, DefaultRetention)
	setDefault(&o.DedupeRetention, max(DefaultDedupeRetention, o.Retention))
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Network == nil {
		o.Network = &Network{Listen: net.Listen}
	}
	switch {
	case o.Retention < time.Hour:
		return fmt.Errorf("--retention %v is too short; keep events for at least 1h", o.Retention)
	case o.DedupeRetention < o.Retention:
		return fmt.Errorf("--dedupe-retention %v is shorter than --retention %v; an event would be delivered twice", o.DedupeRetention, o.Retention)
	case o.RetentionSize != 0 && o.RetentionSize < 10<<20:
		return errors.New("--retention-size is too small; give the store at least 10MB")
	case o.BodyLimit < 0:
		return errors.New("--body-limit is negative")
	}
	return errors.Join(checkURL("--public-url", &o.PublicURL), checkURL("--admin-url", &o.AdminURL))
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func checkURL(flag string, text *string) error {
	if *text == "" {
		return nil
	}
	u, err := url.Parse(*text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s %q is not a URL like https://hooks.example.com", flag, *text)
	}
	*text = strings.TrimSuffix(*text, "/")
	return nil
}
