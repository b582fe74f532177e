package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/app"
)

// serveCmd runs the gateway.
type serveCmd struct {
	Config configFile `help:"YAML file with the same settings, by their flags' names." placeholder:"FILE" env:"GRAPNEL_CONFIG"`

	Listen      string `help:"Address that Okta reaches: /in/…, /livez." default:"${listen}" env:"GRAPNEL_LISTEN"`
	AdminListen string `help:"Address of the APIs: /api/v1/…, /v1/…, /livez, /readyz." default:"${admin_listen}" env:"GRAPNEL_ADMIN_LISTEN"`
	Store       string `help:"Where everything is kept: sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE for any number of gateways." default:"${store}" env:"GRAPNEL_STORE"`

	AdminToken     string `help:"Admin token. Better in the environment or a file than here." env:"GRAPNEL_ADMIN_TOKEN" placeholder:"TOKEN"`
	AdminTokenFile string `help:"File that holds the admin token; without one the first start writes it beside the SQLite file; PostgreSQL needs one." env:"GRAPNEL_ADMIN_TOKEN_FILE" placeholder:"FILE"`
	SecretKey      string `help:"Key that seals secrets at rest: 32 bytes in base64." env:"GRAPNEL_SECRET_KEY" placeholder:"KEY"`
	SecretKeyFile  string `help:"File that holds the key; without one the first start writes it beside the SQLite file; PostgreSQL needs one." env:"GRAPNEL_SECRET_KEY_FILE" placeholder:"FILE"`

	PublicURL string `name:"public-url" help:"How Okta reaches --listen." env:"GRAPNEL_PUBLIC_URL" placeholder:"URL"`
	AdminURL  string `name:"admin-url" help:"How people reach --admin-listen." env:"GRAPNEL_ADMIN_URL" placeholder:"URL"`

	AllowDestination []string `help:"Addresses that may be delivered to although they are private or reserved; repeatable." env:"GRAPNEL_ALLOW_DESTINATION" placeholder:"CIDR"`
	AllowHTTP        bool     `name:"allow-http" help:"Allow plain http:// destinations." env:"GRAPNEL_ALLOW_HTTP"`
	EgressProxy      string   `help:"HTTP proxy for all deliveries. Proxies in the environment are ignored." env:"GRAPNEL_EGRESS_PROXY" placeholder:"URL"`

	Retention       time.Duration `help:"How long events are kept." default:"${retention}" env:"GRAPNEL_RETENTION"`
	DedupeRetention time.Duration `help:"How long duplicates are recognised; not less than --retention." default:"${dedupe_retention}" env:"GRAPNEL_DEDUPE_RETENTION"`
	RetentionSize   byteSize      `help:"How large the store may grow before the oldest events go (\"50GB\"); no limit by default." env:"GRAPNEL_RETENTION_SIZE" placeholder:"SIZE"`
	BodyLimit       byteSize      `help:"Largest body that Okta may send." default:"32MiB" env:"GRAPNEL_BODY_LIMIT" placeholder:"SIZE"`

	EventTypes string `help:"File with Okta's event types, if newer than those in the binary; see docs/event-types.md." env:"GRAPNEL_EVENT_TYPES" placeholder:"FILE"`

	LogLevel string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"GRAPNEL_LOG_LEVEL"`
}

// stopWithin is how long attempts under way may take after a signal to stop.
const stopWithin = 20 * time.Second

func (c *serveCmd) options(log *slog.Logger) app.Options {
	return app.Options{
		Listen: c.Listen, AdminListen: c.AdminListen, Store: c.Store,
		AdminToken: c.AdminToken, AdminTokenFile: c.AdminTokenFile,
		SecretKey: c.SecretKey, SecretKeyFile: c.SecretKeyFile,
		PublicURL: c.PublicURL, AdminURL: c.AdminURL,
		AllowDestination: c.AllowDestination, AllowHTTP: c.AllowHTTP, EgressProxy: c.EgressProxy,
		Retention: c.Retention, DedupeRetention: c.DedupeRetention,
		RetentionSize: int64(c.RetentionSize), BodyLimit: int64(c.BodyLimit),
		EventTypes: c.EventTypes, Version: version(), Log: log,
	}
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context) error {
	defer collectLess()()
	log := newLogger(os.Stderr, c.LogLevel)
	// A start is short: a signal in the middle of it waits for its end.
	start := context.WithoutCancel(ctx)
	gateway, err := app.New(start, c.options(log))
	if wrong := (*app.SettingError)(nil); errors.As(err, &wrong) {
		return usageError{err}
	} else if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		gateway.Stop(ctx)
		log.Info("stopped")
	}()
	first, err := gateway.FirstSource(start)
	if err != nil {
		return err
	}
	if err := gateway.Start(start); err != nil {
		return err
	}
	welcome(os.Stderr, gateway, first)
	log.Info("serving", "public", gateway.PublicAddr().String(), "admin", gateway.AdminAddr().String(), "version", version())
	select {
	case <-ctx.Done():
		log.Info("stopping; attempts under way may finish", "within", stopWithin)
		return nil
	case err := <-gateway.Failed():
		return fmt.Errorf("a listener failed: %w", err)
	}
}

// welcome tells a person who starts a gateway for the first time what there is
// now, and what to do next.
func welcome(w io.Writer, gateway *app.App, first *app.First) {
	for _, file := range gateway.Made {
		fmt.Fprintf(w, "Wrote %s; keep it, and keep it secret.\n", file)
	}
	if first == nil {
		return
	}
	// An earlier start may have failed after it had made the file.
	if file := gateway.TokenFile; file != "" && !slices.Contains(gateway.Made, file) {
		fmt.Fprintf(w, "The admin token is in %s.\n", file)
	}
	fmt.Fprintf(w, `
Paste this into Okta's admin console, Workflow > Event Hooks > Create Event Hook:

  Endpoint URL          %s
  Authentication field  %s
  Authentication secret %s

The secret is not shown again; set another with PUT /v1/sources/%s.
Okta wants an https:// address: put a proxy with a certificate in front of --listen,
and give its address with --public-url.

`, first.URL, first.Key, first.Secret, first.Name)
}

func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
