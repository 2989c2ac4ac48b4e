package bound

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/keyward/keyward/internal/store/database"
)

// A Column is one column of a row and the field of a domain value that it is kept in. What a
// column may hold has one spelling, which is the one that the MAC covers.
type Column struct {
	name  string
	dest  sql.Scanner
	value func() any // int64, string or []byte
	added bool       // by a migration: rows from before have the zero value, and a MAC without the column
}

// Added makes a column one that a migration added to a bound table. While it holds the
// zero value it is left out of the canonical encoding: a row is bound as it was before,
// and what is left out can mean only one thing.
func Added(c Column) Column {
	c.added = true
	return c
}

// zero tells whether the column holds the zero value.
func (c Column) zero() bool {
	switch v := c.value().(type) {
	case int64:
		return v == 0
	case string:
		return v == "" || v == "[]" // of a document
	case []byte:
		return len(v) == 0
	}
	return false
}

// Text is a column of text.
func Text[T ~string](name string, p *T) Column {
	return Column{name: name, dest: scanner(func(v any) error {
		s, ok := v.(string)
		*p = T(s)
		return database.Held(ok, v)
	}), value: func() any { return string(*p) }}
}

// Number is a column of integers.
func Number[T ~int | ~int64 | ~uint32](name string, p *T) Column {
	return Column{name: name, dest: scanner(func(v any) error {
		n, ok := v.(int64)
		*p = T(n)
		return database.Held(ok && int64(*p) == n, v)
	}), value: func() any { return int64(*p) }}
}

// Blob is a column of bytes.
func Blob(name string, p *[]byte) Column {
	return Column{name: name, dest: scanner(func(v any) error {
		b, ok := v.([]byte)
		*p = bytes.Clone(b)
		return database.Held(ok, v)
	}), value: func() any {
		if *p == nil {
			return []byte{}
		}
		return *p
	}}
}

// Flag is a column of 0 or 1.
func Flag(name string, p *bool) Column {
	return Column{name: name, dest: (*database.Flag)(p), value: func() any { return database.Bit(*p) }}
}

// Instant is a column of microseconds since 1970 UTC, 0 for the zero time.
func Instant(name string, p *time.Time) Column {
	return Column{name: name, dest: (*database.Moment)(p), value: func() any { return database.Micros(*p) }}
}

// Seconds is a column of whole seconds.
func Seconds(name string, p *time.Duration) Column {
	return Column{name: name, dest: scanner(func(v any) error {
		n, ok := v.(int64)
		*p = time.Duration(n) * time.Second
		return database.Held(ok && int64(*p/time.Second) == n, v)
	}), value: func() any { return int64(*p / time.Second) }}
}

// Document is a column of a list as JSON text, spelt as keyward spells it.
func Document[T any](name string, p *[]T) Column {
	spell := func() string {
		b, err := json.Marshal(*p)
		if err != nil { // only lists of strings and of structs of strings are kept so
			panic(err)
		}
		if len(*p) == 0 {
			return "[]"
		}
		return string(b)
	}
	return Column{name: name, dest: scanner(func(v any) error {
		s, ok := v.(string)
		*p = nil
		if s != "[]" {
			ok = ok && json.Unmarshal([]byte(s), p) == nil
		}
		return database.Held(ok && spell() == s, v) // queries look for parts of the text
	}), value: func() any { return spell() }}
}

// A scanner reads a column.
type scanner func(v any) error

// Scan implements sql.Scanner.
func (s scanner) Scan(v any) error { return s(v) }
