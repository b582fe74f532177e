package scim

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Filter is a filter that was parsed. It does not change and is safe for
// concurrent use.
type Filter struct {
	root  expr
	terms []term
	tree  tree
}

type operator string

const (
	equal     operator = "eq"
	notEqual  operator = "ne"
	greater   operator = "gt"
	atLeast   operator = "ge"
	less      operator = "lt"
	atMost    operator = "le"
	contains  operator = "co"
	hasPrefix operator = "sw"
	hasSuffix operator = "ew"
	present   operator = "pr"
)

// operators is the list that a message shows.
const operators = "eq, ne, co, sw, ew, gt, ge, lt, le, pr"

// operatorOf returns the operator that word is, in any case of letters.
func operatorOf(word string) (operator, bool) {
	switch op := operator(strings.ToLower(word)); op {
	case equal, notEqual, greater, atLeast, less, atMost, contains, hasPrefix, hasSuffix, present:
		return op, true
	}
	return "", false
}

// textual tells the operators that only text has.
func (op operator) textual() bool { return op == contains || op == hasPrefix || op == hasSuffix }

// ordering tells gt, ge, lt and le.
func (op operator) ordering() bool {
	return op == greater || op == atLeast || op == less || op == atMost
}

// term is one comparison.
type term struct {
	path  string
	op    operator
	value literal // of pr, none
}

// asksPresence tells the terms that look at no value but only for one.
func (t *term) asksPresence() bool { return t.op == present || t.value.kind == null }

type literal struct {
	kind   kind
	text   []byte
	number float64
	truth  bool
	source string    // of a number
	time   time.Time // of text that is an RFC 3339 time, else zero
}

type joint uint8

const (
	single joint = iota // the term of that number
	negation
	conjunction
	disjunction
)

// expr is a node of the syntax tree.
type expr struct {
	joint joint
	term  int
	parts []expr
}

// String returns the filter in one form for all ways to write it: operators in
// lower case, single spaces, only the parentheses it needs. Parsed again it is
// the same filter.
func (f *Filter) String() string {
	var b strings.Builder
	f.write(&b, &f.root)
	return b.String()
}

func (f *Filter) write(b *strings.Builder, e *expr) {
	switch e.joint {
	case single:
		t := &f.terms[e.term]
		b.WriteString(t.path + " " + string(t.op))
		if t.op != present {
			b.WriteString(" " + t.value.String())
		}
	case negation:
		b.WriteString("not (")
		f.write(b, &e.parts[0])
		b.WriteString(")")
	default:
		between := " and "
		if e.joint == disjunction {
			between = " or "
		}
		for i := range e.parts {
			if i > 0 {
				b.WriteString(between)
			}
			if loose := e.joint == conjunction && e.parts[i].joint == disjunction; loose {
				b.WriteString("(")
				f.write(b, &e.parts[i])
				b.WriteString(")")
			} else {
				f.write(b, &e.parts[i])
			}
		}
	}
}

func (v literal) String() string {
	switch v.kind {
	case number:
		return v.source
	case boolean:
		if v.truth {
			return "true"
		}
		return "false"
	case null:
		return "null"
	}
	var quoted bytes.Buffer
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	// Text in memory is always encoded.
	_ = enc.Encode(string(v.text))
	return strings.TrimSuffix(quoted.String(), "\n")
}
