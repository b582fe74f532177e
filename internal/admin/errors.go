package admin

import (
	"errors"
	"fmt"
	"strings"
)

// Invalid says everything that is wrong with what a caller asked for. Nothing
// was changed.
type Invalid struct {
	// Causes name the field first, in Okta's manner:
	// "channel.config.uri: The URI must begin with https://".
	Causes []string
}

// Error joins the causes.
func (e *Invalid) Error() string { return strings.Join(e.Causes, "; ") }

// Conflict says that a request cannot be met beside what exists already.
// Nothing was changed.
type Conflict struct{ Detail string }

// Error is the detail.
func (e *Conflict) Error() string { return e.Detail }

// maxCauses bounds one answer; the first causes matter most.
const maxCauses = 100

// findings collects causes.
type findings []string

func (f *findings) addf(field, format string, args ...any) {
	if len(*f) < maxCauses {
		*f = append(*f, field+": "+fmt.Sprintf(format, args...))
	}
}

// Causes takes apart what errors.Join put together: each error of a policy
// names its field.
func Causes(err error) []string {
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		return []string{err.Error()}
	}
	var causes []string
	for _, one := range many.Unwrap() {
		causes = append(causes, Causes(one)...)
	}
	return causes
}

// err is nil, and not a nil *Invalid, when nothing was found.
func (f findings) err() error {
	if len(f) == 0 {
		return nil
	}
	return &Invalid{Causes: f}
}
