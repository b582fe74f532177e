package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/grapnel-hooks/grapnel/internal/expression"
	"github.com/grapnel-hooks/grapnel/internal/hook"
	"github.com/grapnel-hooks/grapnel/internal/okta"
	"github.com/grapnel-hooks/grapnel/internal/route"
)

const filterMap = "events.filter.eventFilterMap"

// checkFilters wants at most one filter for each type, of a type that the hook
// receives, that compiles. Okta leaves the first two open; both are slips.
func (f *findings) checkFilters(spec *EventHookSpec, rules Rules) {
	if len(spec.Filters) > rules.MaxTypes {
		f.addf(filterMap, "At most %d filters can be set", rules.MaxTypes)
		return
	}
	seen := map[string]bool{}
	for i, filter := range spec.Filters {
		at := fmt.Sprintf("%s[%d]", filterMap, i)
		switch t := filter.Type; {
		case t == "":
			f.addf(at+".event", blank)
		case seen[t]:
			f.addf(at+".event", "%q has a filter already", clip(t))
		case !receives(spec.Types, t, rules.Wildcards):
			f.addf(at+".event", "%q is not among events.items", clip(t))
		}
		seen[filter.Type] = true
		if _, err := expression.Compile(filter.Expression, rules.Dialect); err != nil {
			f.addf(at+".condition.expression", "%v", err)
		}
	}
}

// receives reports whether t is an item, or a type that an item's wildcard covers.
func receives(items []string, t string, wildcards bool) bool {
	if slices.Contains(items, t) {
		return true
	}
	return wildcards && validType(t, false) &&
		slices.ContainsFunc(items, func(item string) bool { return route.Covers(item, t) })
}

// known reports whether the catalogue has the type, or one that the wildcard
// covers.
func known(catalogue *okta.EventTypes, item string) bool {
	if !strings.HasSuffix(item, "*") {
		_, ok := catalogue.Lookup(item)
		return ok
	}
	for t := range catalogue.All() {
		if route.Covers(item, t.Name) {
			return true
		}
	}
	return false
}

// warnings are the doubts about a kept hook: types that are likely slips, and
// what its filters, which were compiled before, do beyond Okta's.
func (a *Admin) warnings(h *hook.EventHook) []string {
	var all []string
	for _, t := range h.Types {
		if len(all) < maxCauses && !known(a.o.Catalogue, t) {
			all = append(all, fmt.Sprintf("events.items: Okta's release %s has no event type %s; if that is no slip, it is taken as it is", a.o.Catalogue.Release(), t))
		}
	}
	for _, filter := range h.Filters {
		program, err := expression.Compile(filter.Expression, a.o.Rules.Dialect)
		if err != nil {
			all = append(all, fmt.Sprintf("%s: %v", filter.Type, err))
			continue
		}
		for _, w := range program.Warnings() {
			if len(all) < maxCauses {
				all = append(all, fmt.Sprintf("%s: %v", filter.Type, w))
			}
		}
	}
	return all
}
