package httpapi

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
)

// passes tells whether an answer has what a test asks for.
func (t *test) passes(v any) bool {
	found, ok := answer.Lookup(v, t.Pointer)
	text, scalar := answer.Text(found)
	return ok && scalar && text == string(t.Equals)
}

// errMissing is wrapped by the error of a field that an answer does not have.
var errMissing = errors.New("the answer does not have it")

// text answers the text of a field, "" if it is null or, being optional, missing.
func (f *field) text(v any) (string, error) {
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

// time answers the moment of a field, zero for never.
func (f *field) time(item any) (time.Time, error) {
	text, err := f.text(item)
	if err != nil || text == "" || slices.Contains(f.Never, scalar(text)) {
		return time.Time{}, err
	}
	at, err := f.clock.Read(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading %s: %w", f.Pointer, err)
	}
	return at, nil
}
