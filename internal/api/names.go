package api

import (
	"context"
	"fmt"

	"github.com/grapnel-hooks/grapnel/internal/hook"
)

// names translates between the store's numbers and the names people know.
type names struct {
	hookID     map[int64]string // of every hook there ever was
	hookNumber map[string]int64
	blocked    map[int64]hook.Reason // why nothing is sent to a hook now
	source     map[int64]string
	sourceNo   map[string]int64
}

func (a *api) names(ctx context.Context) (*names, error) {
	n := &names{
		hookNumber: map[string]int64{}, blocked: map[int64]hook.Reason{},
		sourceNo: map[string]int64{},
	}
	var err error
	if n.hookID, err = a.Store.HookIDs(ctx); err != nil {
		return nil, err
	}
	for number, id := range n.hookID {
		n.hookNumber[id] = number
	}
	hooks, _, err := a.Store.EventHooks(ctx)
	if err != nil {
		return nil, err
	}
	for i := range hooks {
		n.blocked[hooks[i].Number] = hooks[i].Blocked()
	}
	if n.source, err = a.Store.SourceNames(ctx); err != nil {
		return nil, err
	}
	for number, name := range n.source {
		n.sourceNo[name] = number
	}
	return n, nil
}

// findHook returns the number of a hook; 0 for "".
func (n *names) findHook(location, id string) (int64, error) {
	number, ok := n.hookNumber[id]
	if !ok && id != "" {
		return 0, invalidField(location, fmt.Sprintf("there is no event hook %q; GET /api/v1/eventHooks lists them", id))
	}
	return number, nil
}

// findSource returns the number of a source; 0 for "".
func (n *names) findSource(location, name string) (int64, error) {
	number, ok := n.sourceNo[name]
	if !ok && name != "" {
		return 0, invalidField(location, fmt.Sprintf("there is no source %q; GET /v1/sources lists them", name))
	}
	return number, nil
}

// sourceName is what a source is called, or was.
func (n *names) sourceName(number int64) string { return n.source[number] }
