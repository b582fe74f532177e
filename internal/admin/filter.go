package admin

import (
	"fmt"
	"slices"

	"github.com/grapnel-hooks/grapnel/internal/expression"
	"github.com/grapnel-hooks/grapnel/internal/hook"
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

// warnings are the doubts about kept filters, which were compiled before.
func (a *Admin) warnings(filters []hook.Filter) []string {
	var all []string
	for _, filter := range filters {
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
