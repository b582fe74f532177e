package scim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oracle judges filters the slow way, on an event decoded by encoding/json: it
// gathers the values of each term's attribute, then looks at them.
type oracle struct{ event any }

// decode reads an event for an oracle. ok is false if it is not JSON.
func decode(event []byte) (o oracle, ok bool) {
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	if d.Decode(&o.event) != nil {
		return o, false
	}
	return o, json.Valid(event)
}

func (o oracle) holds(f *Filter, e *expr) bool {
	switch e.joint {
	case single:
		return o.term(&f.terms[e.term])
	case negation:
		return !o.holds(f, &e.parts[0])
	case conjunction:
		return !slices.ContainsFunc(e.parts, func(part expr) bool { return !o.holds(f, &part) })
	}
	return slices.ContainsFunc(e.parts, func(part expr) bool { return o.holds(f, &part) })
}

func (o oracle) term(t *term) bool {
	all := o.values(t.path)
	full := slices.ContainsFunc(all, isFilled)
	switch {
	case t.op == present, t.op == notEqual && t.value.kind == null:
		return full
	case t.op == equal && t.value.kind == null:
		return !full
	case t.op == notEqual && len(all) == 0:
		return true
	}
	return slices.ContainsFunc(all, func(v any) bool { return compare(t, v) })
}

// values are those of the attribute at path, lists taken apart, null left out.
func (o oracle) values(path string) []any {
	all := valuesIn(o.event, strings.Split(path, "."))
	if rest, ok := strings.CutPrefix(path, "request.ipChain"); ok {
		all = append(all, valuesIn(o.event, strings.Split("client.ipChain"+rest, "."))...)
	}
	return all
}

func valuesIn(v any, path []string) (all []any) {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		for _, element := range v {
			all = append(all, valuesIn(element, path)...)
		}
		return all
	case map[string]any:
		if len(path) > 0 {
			return valuesIn(v[path[0]], path[1:])
		}
	}
	if len(path) > 0 {
		return nil
	}
	return []any{v}
}

func isFilled(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return slices.ContainsFunc(v, isFilled)
	case map[string]any:
		for _, member := range v {
			if isFilled(member) {
				return true
			}
		}
		return false
	}
	return true
}

func compare(t *term, v any) bool {
	var order int
	switch v := v.(type) {
	case string:
		if t.value.kind != text {
			return t.op == notEqual
		}
		literal := string(t.value.text)
		switch t.op {
		case contains:
			return strings.Contains(v, literal)
		case hasPrefix:
			return strings.HasPrefix(v, literal)
		case hasSuffix:
			return strings.HasSuffix(v, literal)
		}
		order = strings.Compare(v, literal)
		if t.op != equal && t.op != notEqual {
			one, err := time.Parse(time.RFC3339, v)
			other, errOther := time.Parse(time.RFC3339, literal)
			if err == nil && errOther == nil && !one.IsZero() && !other.IsZero() {
				order = one.Compare(other)
			}
		}
	case json.Number:
		if t.value.kind != number {
			return t.op == notEqual
		}
		one, _ := strconv.ParseFloat(v.String(), 64)
		other, _ := strconv.ParseFloat(t.value.source, 64)
		switch {
		case one < other:
			order = -1
		case one > other:
			order = 1
		}
	case bool:
		if t.value.kind != boolean || v != t.value.truth {
			return t.op == notEqual
		}
	default:
		return t.op == notEqual
	}
	switch t.op {
	case equal:
		return order == 0
	case notEqual:
		return order != 0
	case greater:
		return order > 0
	case atLeast:
		return order >= 0
	case less:
		return order < 0
	case atMost:
		return order <= 0
	}
	return false
}

// hasKeywords is Keywords.Match on a decoded event.
func hasKeywords(k *Keywords, v any) bool {
	var words []string
	var gather func(v any)
	gather = func(v any) {
		switch v := v.(type) {
		case string:
			for _, word := range strings.Fields(v) {
				words = append(append(words, word), strings.Split(word, "-")...)
			}
		case json.Number:
			words = append(append(words, v.String()), strings.Split(v.String(), "-")...)
		case bool:
			words = append(words, strconv.FormatBool(v))
		case []any:
			for _, element := range v {
				gather(element)
			}
		case map[string]any:
			for _, member := range v {
				gather(member)
			}
		}
	}
	gather(v)
	return !slices.ContainsFunc(k.words, func(wanted []byte) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return strings.EqualFold(word, string(wanted)) })
	})
}
