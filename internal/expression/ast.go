package expression

// span is the part source[from:to] of an expression's source.
type span struct{ from, to int }

func (s span) where() span { return s }

// expr is a node of the syntax tree: *logical, *negation, *comparison, *literal or *path. The tree keeps the
// place of every node and is what Match walks.
type expr interface{ where() span }

// logical is two or more terms joined by one operator. No term is a logical of the same operator.
type logical struct {
	span
	or    bool
	terms []expr
}

type negation struct {
	span
	operand expr
}

type operator uint8

const (
	equal operator = iota + 1
	notEqual
	less
	atMost
	greater
	atLeast
)

// String is the operator as the canonical form has it.
func (op operator) String() string {
	return [...]string{"", "eq", "ne", "<", "<=", ">", ">="}[op]
}

// ordering tells < <= > >= from eq and ne.
func (op operator) ordering() bool { return op >= less }

type comparison struct {
	span
	op          operator
	opAt        int
	left, right expr
}

// literal is a string, a number, true, false or null. A number keeps its spelling in text, whole or not.
type literal struct {
	span
	value value
}

// path is a name and what is read from it. The name is a root of the dialect or, in the brackets of a
// selection or projection, a property of the element.
type path struct {
	span
	root      step
	inElement bool
	steps     []step

	// Set by bind: where in a document to begin, and steps[bound:] follow. In an element there are no places and
	// the root is the first step.
	places [][]place
	bound  int
}

type stepKind uint8

const (
	property stepKind = iota
	call
	selection
	projection
)

type step struct {
	span
	kind  stepKind
	name  string
	key   []byte // name, for comparing with a document's names
	args  []expr
	inner expr // what stands in the brackets of a selection or, a *path, of a projection

	// Set by bind: what the called name means on either kind of receiver.
	onText, onList *method
}

// place is one property on the way from the root of a document, and the step of the source that asks for it.
type place struct {
	key []byte
	at  span
}
