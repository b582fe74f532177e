package expression

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
)

// oracle is a second evaluator, as plain as can be: it walks the same tree over what encoding/json makes of the
// document, with big.Rat for numbers and a new slice for every list. It knows the methods that random uses.
type oracle struct{ document any }

var errOracle = errors.New("the oracle cannot tell")

func (o oracle) truth(e expr, element any) (bool, error) {
	v, err := o.eval(e, element)
	if err != nil {
		return false, err
	}
	switch v := v.(type) {
	case bool:
		return v, nil
	case nil:
		return false, nil
	}
	return false, errOracle
}

func (o oracle) eval(e expr, element any) (any, error) {
	switch e := e.(type) {
	case *logical:
		for _, term := range e.terms {
			if truth, err := o.truth(term, element); err != nil || truth == e.or {
				return truth, err
			}
		}
		return !e.or, nil
	case *negation:
		truth, err := o.truth(e.operand, element)
		return !truth, err
	case *comparison:
		return o.compare(e, element)
	case *literal:
		switch e.value.kind {
		case kindBool:
			return e.value.truth, nil
		case kindNumber:
			return json.Number(e.value.text), nil
		case kindText:
			return string(e.value.text), nil
		}
		return nil, nil
	}
	return o.path(e.(*path), element)
}

func (o oracle) compare(e *comparison, element any) (any, error) {
	left, err := o.eval(e.left, element)
	if err != nil {
		return nil, err
	}
	right, err := o.eval(e.right, element)
	if err != nil {
		return nil, err
	}
	if left == nil || right == nil {
		switch e.op {
		case equal, notEqual:
			return (left == nil && right == nil) == (e.op == equal), nil
		}
		return nil, nil
	}
	order, sameKind, err := compareAny(left, right)
	if err != nil {
		return nil, err
	}
	switch e.op {
	case equal:
		return sameKind && order == 0, nil
	case notEqual:
		return !sameKind || order != 0, nil
	}
	if _, isBool := left.(bool); isBool || !sameKind {
		return nil, errOracle
	}
	return map[operator]bool{less: order < 0, atMost: order <= 0, greater: order > 0, atLeast: order >= 0}[e.op], nil
}

func compareAny(a, b any) (order int, sameKind bool, err error) {
	for _, v := range []any{a, b} {
		switch v.(type) {
		case []any, map[string]any:
			return 0, false, errOracle
		}
	}
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return strings.Compare(a, b), ok, nil
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return 0, false, nil
		}
		return rat(a).Cmp(rat(b)), true, nil
	}
	if a == b {
		return 0, true, nil
	}
	_, ok := b.(bool)
	return 1, ok, nil
}

func rat(n json.Number) *big.Rat {
	r, _ := new(big.Rat).SetString(n.String())
	return r
}

func (o oracle) path(p *path, element any) (any, error) {
	v := o.document
	var err error
	if p.inElement {
		if v, err = get(element, p.root.name); err != nil {
			return nil, err
		}
	}
	for i, s := range p.steps {
		switch s.kind {
		case property:
			if i == 0 && !p.inElement && s.name == "debugData" {
				if v, err = get(v, "debugContext"); err != nil {
					return nil, err
				}
			}
			v, err = get(v, s.name)
		case call:
			v, err = o.call(s, v, element)
		default:
			v, err = o.brackets(s, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return v, nil
}

func get(v any, name string) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v[name], nil
	}
	return nil, errOracle
}

func (o oracle) brackets(s step, v any) (any, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		return nil, errOracle
	}
	taken := []any{}
	for _, element := range list {
		if s.kind == projection {
			projected, err := o.eval(s.inner, element)
			if err != nil {
				return nil, err
			}
			taken = append(taken, projected)
			continue
		}
		keep, err := o.truth(s.inner, element)
		if err != nil {
			return nil, err
		}
		if keep {
			taken = append(taken, element)
		}
	}
	return taken, nil
}

func (o oracle) call(s step, v, element any) (any, error) {
	var args []any
	if v != nil {
		for _, arg := range s.args {
			value, err := o.eval(arg, element)
			if err != nil {
				return nil, err
			}
			args = append(args, value)
		}
	}
	switch v := v.(type) {
	case nil:
		switch s.name {
		case "size":
			return json.Number("0"), nil
		case "isEmpty":
			return true, nil
		}
		return nil, nil
	case []any:
		return callOnList(s.name, v, args)
	case string:
		return callOnText(s.name, v, args)
	}
	return nil, errOracle
}

func callOnList(name string, list, args []any) (any, error) {
	switch name {
	case "size":
		return json.Number(big.NewInt(int64(len(list))).String()), nil
	case "isEmpty":
		return len(list) == 0, nil
	case "contains":
		if args[0] == nil {
			return nil, nil
		}
		for _, element := range list {
			if element == nil {
				continue
			}
			if order, sameKind, err := compareAny(element, args[0]); err != nil || sameKind && order == 0 {
				return err == nil, err
			}
		}
		return false, nil
	}
	return nil, errOracle
}

func callOnText(name, text string, args []any) (any, error) {
	var words []string
	for _, arg := range args {
		if arg == nil {
			return nil, nil
		}
		word, ok := arg.(string)
		if !ok {
			return nil, errOracle
		}
		words = append(words, word)
	}
	switch name {
	case "contains":
		return strings.Contains(text, words[0]), nil
	case "startsWith":
		return strings.HasPrefix(text, words[0]), nil
	case "length":
		return json.Number(big.NewInt(int64(len([]rune(text)))).String()), nil
	case "toLowerCase":
		return strings.ToLower(text), nil
	case "substringAfter":
		_, after, _ := strings.Cut(text, words[0])
		return after, nil
	case "replace":
		return strings.ReplaceAll(text, words[0], words[1]), nil
	}
	return nil, errOracle
}
