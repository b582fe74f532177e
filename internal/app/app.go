package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/grapnel-hooks/grapnel/internal/access"
	"github.com/grapnel-hooks/grapnel/internal/admin"
	"github.com/grapnel-hooks/grapnel/internal/api"
	"github.com/grapnel-hooks/grapnel/internal/deliver"
	"github.com/grapnel-hooks/grapnel/internal/deliver/webhook"
	"github.com/grapnel-hooks/grapnel/internal/expression"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/intake"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/oktaapi"
	"github.com/grapnel-hooks/grapnel/internal/reach"
	"github.com/grapnel-hooks/grapnel/internal/receive"
	"github.com/grapnel-hooks/grapnel/internal/replay"
	"github.com/grapnel-hooks/grapnel/internal/secret"
	"github.com/grapnel-hooks/grapnel/internal/store"
	"github.com/grapnel-hooks/grapnel/internal/upkeep"
)

// App is a gateway.
type App struct {
	options Options
	log     *slog.Logger
	key     secret.Key
	token   string

	catalogue *okta.EventTypes

	store    store.Store
	admin    *admin.Admin
	receiver *receive.Receiver
	intake   *intake.Intake
	engine   *deliver.Engine
	upkeep   *upkeep.Upkeep
	hosts    atomic.Pointer[map[int64]string] // the org's host, by source

	public, private           *http.Server
	publicListen, adminListen net.Listener
	undo                      teardown
	failed                    chan error
	stale                     chan struct{} // holds one when a reload has failed
	changed                   chan struct{} // holds one when another gateway has changed something
	changes                   int64         // store.Members.Changes when it was looked at last
	reloading, sourcing       sync.Mutex    // so that no older state replaces a newer one

	// Made are the credential files that this start has made.
	Made []string
	// TokenFile holds the admin token, "" when it was given directly.
	TokenFile string
}

// New makes a gateway: it opens the store and the two listeners, and serves
// nothing yet. A *SettingError says that it never will with these options.
func New(ctx context.Context, opts Options) (_ *App, err error) {
	if err := opts.fill(); err != nil {
		return nil, &SettingError{err}
	}
	at, err := parseStore(opts.Store)
	if err != nil {
		return nil, &SettingError{err}
	}
	a := &App{options: opts, log: opts.Log, failed: make(chan error, 2), stale: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			a.undo.run(context.Background(), a.log)
		}
	}()
	if a.catalogue, err = okta.LoadCatalogue(opts.EventTypes); err != nil {
		return nil, err
	}
	if opts.EventTypes != "" {
		a.log.Info("the event types are a file's", "file", opts.EventTypes, "release", a.catalogue.Release(), "types", a.catalogue.Len())
	}
	if err := a.openStore(ctx, at); err != nil {
		return nil, err
	}
	guard, err := a.newReach()
	if err != nil {
		return nil, &SettingError{err}
	}
	a.undo.add("connections", func(context.Context) { guard.CloseIdle() })
	if err := a.listen(); err != nil {
		return nil, err
	}
	channel := webhook.New(webhook.Options{
		Reach: guard, Identity: a.store.Identity(), OrgHost: a.orgHost, Version: opts.Version,
	})
	a.engine = deliver.New(deliver.Options{Store: a.store, Channel: channel, Log: a.log})
	if a.intake, err = intake.New(ctx, a.store, a.engine, a.log); err != nil {
		return nil, err
	}
	a.admin = admin.New(admin.Options{
		Store: a.store, Key: a.key, CheckURL: guard.CheckURL, Verify: a.verify(channel), Changed: a.reload,
		AdminUser: adminUser, Rules: admin.GatewayRules(), Catalogue: a.catalogue, Log: a.log,
	})
	receiving := receive.Options{
		Accept: a.intake.Accept, Count: a.store.Count, Challenged: a.challenged, LearnHost: a.learnHost,
		BodyLimit: opts.BodyLimit, Log: a.log,
	}
	if at.shared() {
		sources := refresher{load: a.reloadSources}
		receiving.Refresh = sources.refresh
	}
	a.receiver = receive.New(receiving)
	a.upkeep = upkeep.New(upkeep.Options{
		Store: a.store, Events: opts.Retention, Keys: opts.DedupeRetention, Size: opts.RetentionSize, Log: a.log,
	})
	return a, a.buildServers()
}

// adminUser is who changes things with the admin token, in Okta's createdBy.
const adminUser = "00uadmintoken0000001"

func (a *App) newReach() (*reach.Reach, error) {
	allow, err := reach.ParseAllow(a.options.AllowDestination)
	if err != nil {
		return nil, err
	}
	var proxy *url.URL
	if a.options.EgressProxy != "" {
		if proxy, err = url.Parse(a.options.EgressProxy); err != nil {
			return nil, fmt.Errorf("--egress-proxy: %w", err)
		}
	}
	return reach.New(reach.Options{
		Allow: allow, AllowHTTP: a.options.AllowHTTP, EgressProxy: proxy,
		Dial: a.options.Network.Dial, Resolver: a.options.Network.Resolver,
	})
}

func (a *App) listen() (err error) {
	if a.publicListen, err = a.listener("--listen", a.options.Listen); err != nil {
		return err
	}
	a.undo.add("public listener", func(context.Context) { _ = a.publicListen.Close() })
	if a.adminListen, err = a.listener("--admin-listen", a.options.AdminListen); err != nil {
		return err
	}
	a.undo.add("admin listener", func(context.Context) { _ = a.adminListen.Close() })
	if a.options.PublicURL == "" {
		a.options.PublicURL = "http://" + a.publicListen.Addr().String()
	}
	return nil
}

func (a *App) listener(flag, address string) (net.Listener, error) {
	l, err := a.options.Network.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %w; stop what uses it, or give another address", flag, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return l, nil
}

// Bounds of a request on either listener.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func (a *App) buildServers() error {
	public := http.NewServeMux()
	a.receiver.Register(public)
	public.HandleFunc("GET /livez", alive)
	a.public = newServer(public, a.log)

	tokens, err := access.New(a.token, access.Principal{Name: "admin"}, a.log)
	if err != nil {
		return err
	}
	replayer := replay.New(replay.Options{
		Store: a.store, Wake: a.engine.Wake, Compile: compile,
		Match: func(number int64, e *hook.Event) bool { return a.intake.Table().Wants(number, e) },
	})
	private := http.NewServeMux()
	private.Handle("/api/v1/", tokens.Guard(oktaapi.New(oktaapi.Options{Admin: a.admin, BaseURL: a.options.AdminURL, Log: a.log})))
	private.Handle("/v1/", tokens.Guard(api.New(api.Options{
		Store: a.store, Admin: a.admin, Replay: replayer, Catalogue: a.catalogue,
		Tag: a.store.Identity().Tag, PublicURL: a.options.PublicURL, Log: a.log,
	})))
	private.HandleFunc("GET /livez", alive)
	private.HandleFunc("GET /readyz", a.ready)
	a.private = newServer(private, a.log)
	return nil
}

func alive(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

// ready tells whether the store answers.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	if _, err := a.store.Canary(r.Context()); err != nil {
		http.Error(w, "the store does not answer: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// compile reads an expression as a hook's filter would be read.
func compile(source string) (replay.Judge, error) {
	program, err := expression.Compile(source, expression.Gateway)
	if err != nil {
		return nil, err
	}
	return func(e *hook.Event) (bool, error) { return program.Match(expression.NewDocument(e.JSON)) }, nil
}

// orgHost is the host that the envelope's source names for events of a source.
func (a *App) orgHost(source int64) string {
	if hosts := a.hosts.Load(); hosts != nil && (*hosts)[source] != "" {
		return (*hosts)[source]
	}
	host := strings.TrimPrefix(strings.TrimPrefix(a.options.PublicURL, "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	return host
}

func (a *App) verify(ch *webhook.Channel) func(context.Context, hook.EventHook) error {
	return func(ctx context.Context, h hook.EventHook) error { return ch.Verify(ctx, &h) }
}

func (a *App) challenged(ctx context.Context, source string, c hook.Challenge) {
	if c.Secret != hook.SecretRight {
		a.log.Warn("the address of a source was verified without its secret; every delivery will be refused until they agree",
			"source", source, "secret", c.Secret)
	}
	// Okta may hang up as soon as it has its answer.
	_, err := a.store.UpdateSource(context.WithoutCancel(ctx), source, func(s *hook.Source) error {
		s.Challenge = c
		return nil
	})
	if err != nil {
		a.log.Error("the outcome of a verification could not be stored", "source", source, "error", err)
	}
}

func (a *App) learnHost(ctx context.Context, source, host string) {
	if err := a.admin.LearnHost(context.WithoutCancel(ctx), source, host); err != nil {
		a.log.Error("the org's host could not be stored", "source", source, "host", host, "error", err)
	}
}

// reload makes every part see the sources and hooks that the store has now. If
// it fails, it is tried again until it does not: the change is kept, and must
// take effect without another one.
func (a *App) reload(ctx context.Context) error {
	err := a.reloadOnce(ctx)
	if err != nil {
		select {
		case a.stale <- struct{}{}:
		default:
		}
	}
	return err
}

func (a *App) reloadOnce(ctx context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	if err := a.reloadSources(ctx); err != nil {
		return err
	}
	if err := a.intake.Reload(ctx); err != nil {
		return err
	}
	hooks, _, err := a.store.EventHooks(ctx)
	if err != nil {
		return err
	}
	opened := make([]hook.EventHook, 0, len(hooks))
	for _, h := range hooks {
		if err := admin.OpenEventHook(a.key, &h); err != nil {
			a.log.Error("a hook cannot be delivered to; replace its channel", "hook", h.ID, "error", err)
			continue
		}
		opened = append(opened, h)
	}
	a.engine.SetHooks(opened)
	return nil
}

// reloadSources makes the receiver see the sources that the store has now.
func (a *App) reloadSources(ctx context.Context) error {
	a.sourcing.Lock()
	defer a.sourcing.Unlock()
	sources, err := a.store.Sources(ctx)
	if err != nil {
		return err
	}
	hosts := make(map[int64]string, len(sources))
	known := make([]*receive.Source, 0, len(sources))
	for _, s := range sources {
		hosts[s.Number] = s.Host
		auth, err := admin.OpenSource(a.key, &s)
		if err != nil {
			a.log.Error("a source cannot be used; set its secret again", "source", s.Name, "error", err)
			continue
		}
		known = append(known, &receive.Source{Source: s, Auth: auth})
	}
	a.hosts.Store(&hosts)
	a.receiver.SetSources(known)
	return nil
}

// teardown undoes what was done, the last first.
type teardown struct {
	once  sync.Once
	steps []step
}

type step struct {
	name string
	undo func(context.Context)
}

func (t *teardown) add(name string, undo func(context.Context)) {
	t.steps = append(t.steps, step{name, undo})
}

func (t *teardown) run(ctx context.Context, log *slog.Logger) {
	t.once.Do(func() {
		for i := len(t.steps) - 1; i >= 0; i-- {
			log.Debug("stopping", "part", t.steps[i].name)
			t.steps[i].undo(ctx)
		}
	})
}
