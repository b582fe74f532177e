package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// LearnHost remembers the host of a source's org, once: the first one a
// delivery shows, unless a person has set one. That another source has the same
// host is logged and shown, but not refused, as the event is here. ErrNotFound.
func (a *Admin) LearnHost(ctx context.Context, name, host string) error {
	host = strings.ToLower(host)
	if !validHost(host) {
		return &Invalid{Causes: []string{fmt.Sprintf("host: %q is not a host name", clip(host))}}
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	learnt := false
	_, err := a.o.Store.UpdateSource(ctx, name, func(s *hook.Source) error {
		if learnt = s.Host == ""; learnt {
			s.Host = host
		}
		return nil
	})
	if err != nil || !learnt {
		return err
	}
	sources, err := a.o.Store.Sources(ctx)
	if err != nil {
		return err
	}
	a.o.Log.Info("source's org is known", "source", name, "host", host)
	if others := sameHost(name, host, sources); len(others) > 0 {
		a.o.Log.Warn("every event of this org arrives more than once: delete all but one of its sources",
			"host", host, "source", name, "others", others)
	}
	return a.committed(ctx)
}

// hostFree refuses a host that another source has.
func (a *Admin) hostFree(ctx context.Context, name string, spec *SourceSpec) ([]hook.Source, error) {
	sources, err := a.o.Store.Sources(ctx)
	if err != nil {
		return nil, err
	}
	if others := sameHost(name, spec.Host, sources); len(others) > 0 && !spec.Force {
		return nil, &Conflict{Detail: fmt.Sprintf("Source %q has the host %s too, so that every event would be delivered twice; "+
			"point all event hooks of one org at one source", others[0], spec.Host)}
	}
	return sources, nil
}

func sameHost(name, host string, all []hook.Source) []string {
	var others []string
	for _, s := range all {
		if host != "" && s.Name != name && s.Host == host {
			others = append(others, s.Name)
		}
	}
	return others
}

// validHost is lenient: it is compared with what Okta writes, never dialled.
func validHost(host string) bool {
	odd := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("-._:[]", r)
	}
	return len(host) <= 260 && host != "" && !strings.ContainsFunc(host, odd)
}
