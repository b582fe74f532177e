// Package expression compiles Okta's Expression Language, as event hook filters use it, and matches documents
// against it. It owns the grammar, the dialects with their tables of fields and methods, what null and mismatched
// types mean, and the reading of just as much of a document as a filter needs.
//
// Its neighbours own the rest: which filter applies to which event (route), what is kept of an evaluation error
// (intake), and how a refusal is answered (oktaapi, api). docs/expressions.md is the page for users.
//
// The way of an expression: scan (token.go) and parse (parser.go) make a syntax tree of it, check compares the
// tree with the dialect's table, bind notes in the tree where a document holds what it names, and a machine
// (eval.go) walks the tree for every document.
package expression

import (
	"cmp"
	"slices"
)

// Program is a compiled expression. It does not change and is safe for concurrent use.
type Program struct {
	source   string
	dialect  Dialect
	root     expr
	warnings []Warning
}

// Compile parses source and checks it against the dialect d. Its error is a *SyntaxError; of several mistakes it
// tells the first.
func Compile(source string, d Dialect) (*Program, error) {
	root, err := parse(source)
	if err != nil {
		return nil, err
	}
	t := d.table()
	refusals, doubts := check(source, root, t)
	if len(refusals) > 0 {
		w := refusals[0].warning(source)
		return nil, &SyntaxError{Position: w.Position, Message: w.Message, Source: source}
	}
	p := &Program{source: source, dialect: d, root: root}
	for _, m := range doubts {
		p.warnings = append(p.warnings, m.warning(source))
	}
	if t.narrower != nil {
		leaves, _ := check(source, root, t.narrower)
		for _, m := range leaves {
			w := m.warning(source)
			w.Kind, w.Message = LeavesOkta, "Okta would refuse the hook: "+m.what
			p.warnings = append(p.warnings, w)
		}
		slices.SortStableFunc(p.warnings, func(a, b Warning) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	bind(root, t)
	return p, nil
}

// Match tells whether doc satisfies the program. Its error is an *EvalError: the document is not JSON, a value is
// of a type that the expression cannot use, or the work exceeds MaxSteps; the answer is false then.
func (p *Program) Match(doc *Document) (bool, error) {
	m := machines.Get().(*machine)
	m.program, m.document, m.steps = p, doc, MaxSteps
	matches, err := m.truth(p.root)
	m.release()
	return matches, err
}

// Warnings answers what is doubtful about the program, in the order of the source: for Gateway, where it leaves
// the Okta dialect and where it names fields that Okta does not document. The other dialects have none.
func (p *Program) Warnings() []Warning { return p.warnings }

// Source is the expression as it was compiled.
func (p *Program) Source() string { return p.source }

// Dialect is the dialect it was compiled for.
func (p *Program) Dialect() Dialect { return p.dialect }
