package expression

import "strings"

// String is the program in canonical form: operators as eq, ne, <, <=, >, >=, &&, || and !, one space around
// them and none elsewhere, no needless parentheses, single quotes. Compiled again it gives the same program.
func (p *Program) String() string {
	var b strings.Builder
	write(&b, p.root)
	return b.String()
}

func write(b *strings.Builder, e expr) {
	switch e := e.(type) {
	case *logical:
		for i, term := range e.terms {
			switch {
			case i == 0:
			case e.or:
				b.WriteString(" || ")
			default:
				b.WriteString(" && ")
			}
			inner, ok := term.(*logical)
			writeGrouped(b, term, ok && inner.or)
		}
	case *negation:
		b.WriteByte('!')
		writeOperand(b, e.operand)
	case *comparison:
		writeOperand(b, e.left)
		b.WriteString(" " + e.op.String() + " ")
		writeOperand(b, e.right)
	case *literal:
		writeLiteral(b, e.value)
	case *path:
		writePath(b, e)
	}
}

// writeOperand writes e where the grammar has a unary: what binds looser goes in parentheses.
func writeOperand(b *strings.Builder, e expr) {
	switch e.(type) {
	case *logical, *comparison:
		writeGrouped(b, e, true)
	default:
		write(b, e)
	}
}

func writeGrouped(b *strings.Builder, e expr, parentheses bool) {
	if parentheses {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	write(b, e)
}

func writeLiteral(b *strings.Builder, v value) {
	switch {
	case v.kind == kindNull:
		b.WriteString("null")
	case v.kind == kindBool && v.truth:
		b.WriteString("true")
	case v.kind == kindBool:
		b.WriteString("false")
	case v.kind == kindText:
		b.WriteByte('\'')
		b.WriteString(strings.ReplaceAll(string(v.text), "'", "''"))
		b.WriteByte('\'')
	default:
		b.Write(v.text)
	}
}

func writePath(b *strings.Builder, p *path) {
	b.WriteString(p.root.name)
	for i := range p.steps {
		s := &p.steps[i]
		b.WriteByte('.')
		switch s.kind {
		case property:
			b.WriteString(s.name)
		case call:
			b.WriteString(s.name)
			b.WriteByte('(')
			for j, arg := range s.args {
				if j > 0 {
					b.WriteString(", ")
				}
				_, negated := arg.(*negation)
				_, compared := arg.(*comparison)
				_, joined := arg.(*logical)
				writeGrouped(b, arg, negated || compared || joined)
			}
			b.WriteByte(')')
		case selection:
			b.WriteString("?[")
			write(b, s.inner)
			b.WriteByte(']')
		case projection:
			b.WriteString("![")
			write(b, s.inner)
			b.WriteByte(']')
		}
	}
}
