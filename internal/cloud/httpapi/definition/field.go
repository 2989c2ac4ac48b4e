package definition

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
)

// Passes tells whether an answer has what a test asks for.
func (t *Test) Passes(v any) bool {
	found, ok := answer.Lookup(v, t.Pointer)
	text, scalar := answer.Text(found)
	return ok && scalar && text == string(t.Equals)
}

// errMissing is wrapped by the error of a field that an answer does not have.
var errMissing = errors.New("the answer does not have it")

// Text answers the text of a field, "" if it is null or, being optional, missing.
func (f *Field) Text(v any) (string, error) {
	if f == nil {
		return "", nil
	}
	if f.Value != "" {
		return f.Value, nil
	}
	found, ok := answer.Lookup(v, f.Pointer)
	if !ok && !f.Optional {
		return "", fmt.Errorf("reading %s: %w", f.Pointer, errMissing)
	}
	if found == nil {
		return "", nil
	}
	text, ok := answer.Text(found)
	if !ok {
		return "", fmt.Errorf("reading %s: it is no single value", f.Pointer)
	}
	return text, nil
}

// Time answers the moment of a field, zero for never.
func (f *Field) Time(item any) (time.Time, error) {
	text, err := f.Text(item)
	if err != nil || text == "" || slices.Contains(f.Never, scalar(text)) {
		return time.Time{}, err
	}
	at, err := f.clock.Read(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading %s: %w", f.Pointer, err)
	}
	return at, nil
}

// FirstNumber answers the number of the first page.
func (g Page) FirstNumber() int {
	if g.First == nil {
		return 1
	}
	return *g.First
}
