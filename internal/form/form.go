// Package form describes what a person fills in to connect keyward with something: a
// provider of access keys, a channel of messages, a sink of secrets. Settings may be
// shown again; what belongs to a credential never is.
//
// Who may call: the domains, which keep what was filled in, whatever implements a kind
// of provider or channel, and the CLI, which shows the fields. A form is a table: it holds
// no state.
package form

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// MaxValue is how long a setting may be, MaxLines one of several lines, and MaxSecret a
// part of a credential, in bytes: a certificate with its chain fits into the latter two.
const (
	MaxValue  = 4 << 10
	MaxLines  = 16 << 10
	MaxSecret = 64 << 10
)

// A Text is for people, in both languages.
type Text struct {
	English string `json:"en"`
	Chinese string `json:"zh"`
}

// Both answers the text for a fault.
func (t Text) Both() fault.Text { return fault.Both(t.English, t.Chinese) }

// A Field is one thing to fill in.
type Field struct {
	Name     string // lower case with underscores, as it stands in requests and files
	Required bool
	Help     Text
	Example  string // of a setting; "" for none
	Lines    bool   // of a setting: it may have several lines, as PEM has
}

// A Form is the fields of one kind of thing.
type Form struct {
	Settings   []Field // may be shown again
	Credential []Field // may not
}

// A Filling is what was filled in.
type Filling struct {
	Settings   map[string]string
	Credential map[string]material.Bytes
}

// Check refuses what does not fit the form: [fault.MissingParameter] for a required field
// that is empty, [fault.InvalidParameter] for a field that the form does not have or a
// value that is too long or not text.
func (f Form) Check(in Filling) error {
	if err := complete(f.Settings, slices.Sorted(maps.Keys(in.Settings)), func(name string) (int, bool) {
		v, most, never := in.Settings[name], MaxValue, "\x00\r\n"
		if slices.ContainsFunc(f.Settings, func(f Field) bool { return f.Name == name && f.Lines }) {
			most, never = MaxLines, "\x00"
		}
		return len(v), utf8.ValidString(v) && !strings.ContainsAny(v, never) && len(v) <= most
	}); err != nil {
		return err
	}
	return complete(f.Credential, slices.Sorted(maps.Keys(in.Credential)), func(name string) (int, bool) {
		n := len(in.Credential[name].Expose())
		return n, n <= MaxSecret
	})
}

func complete(fields []Field, names []string, measure func(name string) (size int, ok bool)) error {
	for _, name := range names {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
			return fault.InvalidParameter.New("there is no field %q here; the fields are %s", name, list(fields))
		}
		if _, ok := measure(name); !ok {
			return fault.InvalidParameter.New("the field %q is too long or is not one line of text", name)
		}
	}
	for _, f := range fields {
		if n, _ := measure(f.Name); f.Required && n == 0 {
			return fault.MissingParameter.New("the field %q is required: %s", f.Name, f.Help.Both())
		}
	}
	return nil
}

func list(fields []Field) string {
	if len(fields) == 0 {
		return "none"
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}
