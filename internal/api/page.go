package api

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Hand it back as ?after= for the following page. A page may be short, even empty, while next is there; without it the list has ended."`
}

// list is the answer of an operation that lists.
type list[T any] struct{ Body Page[T] }

func page[T any](items []T, next string) *list[T] {
	if items == nil {
		items = []T{}
	}
	return &list[T]{Body: Page[T]{Items: items, Next: next}}
}

// Paging are the parameters of every list.
type Paging struct {
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many items to answer at most."`
	After string `query:"after" doc:"The next of the page before."`
}

// A cursor is the place in a list where its next page begins: a letter for the
// list, and the numbers of the last item that was answered.
func encodeCursor(list byte, numbers ...int64) string {
	text := []byte{list}
	for _, n := range numbers {
		text = append(strconv.AppendInt(text, n, 10), '.')
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// decodeCursor reads into numbers what encodeCursor wrote for the same list.
func decodeCursor(list byte, cursor string, numbers ...*int64) error {
	bad := invalidField("query.after", "is not a \"next\" of this list; leave it out to begin with the first page")
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(text) == 0 || len(text) > 100 || text[0] != list {
		return bad
	}
	parts := strings.Split(string(text[1:]), ".")
	if len(parts) != len(numbers)+1 {
		return bad
	}
	given := make([]int64, len(numbers))
	for i := range numbers {
		if given[i], err = strconv.ParseInt(parts[i], 10, 64); err != nil || given[i] < 0 {
			return bad
		}
	}
	for i, n := range numbers {
		*n = given[i]
	}
	return nil
}

// Time is written as RFC 3339 in UTC with milliseconds.
type Time struct{ time.Time }

// MarshalJSON writes t with exactly three digits after the seconds.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// Schema describes Time in the OpenAPI document.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// parseTime reads RFC 3339; "" is the zero time.
func parseTime(location, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, invalidField(location, fmt.Sprintf("%q is not an RFC 3339 time; write it like 2026-01-31T09:30:00Z", text))
	}
	return t, nil
}

// period reads the parameters since and until, which say since ≤ t < until.
func period(location, since, until string) (from, to time.Time, err error) {
	if from, err = parseTime(location+".since", since); err != nil {
		return from, to, err
	}
	if to, err = parseTime(location+".until", until); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, invalidField(location+".until", "must be later than since")
	}
	return from, to, nil
}
