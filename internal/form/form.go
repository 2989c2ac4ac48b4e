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
	for _, name := range slices.Sorted(maps.Keys(in.Settings)) {
		field, err := find(f.Settings, name)
		if err != nil {
			return err
		}
		if err := field.check(in.Settings[name]); err != nil {
			return err
		}
	}
	if err := complete(f.Settings, func(name string) bool { return in.Settings[name] != "" }); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(in.Credential)) {
		if _, err := find(f.Credential, name); err != nil {
			return err
		}
		if in.Credential[name].Len() > MaxSecret {
			return fault.InvalidParameter.New("the field %q may have at most %d bytes", name, MaxSecret)
		}
	}
	return complete(f.Credential, func(name string) bool { return in.Credential[name].Len() > 0 })
}

// find answers the field of a name.
func find(fields []Field, name string) (Field, error) {
	names := make([]string, len(fields))
	for i, f := range fields {
		if f.Name == name {
			return f, nil
		}
		names[i] = f.Name
	}
	if len(names) == 0 {
		return Field{}, fault.InvalidParameter.New("there is no field %q here, nor any other", name)
	}
	return Field{}, fault.InvalidParameter.New("there is no field %q here; the fields are %s", name, strings.Join(names, ", "))
}

// check refuses a value that a setting cannot have.
func (f Field) check(value string) error {
	switch text := utf8.ValidString(value) && !strings.ContainsRune(value, 0); {
	case f.Lines && (!text || len(value) > MaxLines):
		return fault.InvalidParameter.New("the field %q must be text of at most %d bytes", f.Name, MaxLines)
	case !f.Lines && (!text || len(value) > MaxValue || strings.ContainsAny(value, "\r\n")):
		return fault.InvalidParameter.New("the field %q must be one line of text of at most %d bytes", f.Name, MaxValue)
	}
	return nil
}

// complete refuses to go without a required field.
func complete(fields []Field, has func(name string) bool) error {
	for _, f := range fields {
		if f.Required && !has(f.Name) {
			return fault.MissingParameter.New("the field %q is required: %s", f.Name, f.Help.Both())
		}
	}
	return nil
}
