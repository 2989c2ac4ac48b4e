// Package document reads YAML that a stranger may have written, and holds it against a
// JSON Schema.
//
// What is accepted is less than YAML: no anchors and aliases (they multiply), no tags, no
// merge keys, no key twice, and bounds on size, depth and nodes. What is refused is named with
// its line and column, for the schema is applied to the tree that the parser made and not
// to a Go value. The schema is the only description of a format: [Compile] refuses a
// schema with a word that it would not enforce, so that what is published as a schema is
// what is checked.
//
// Who may call: package httpapi and its contract. A [Schema] is constant and may be used
// concurrently. Nothing of a document is trusted.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// MaxSize is how long a file may be, in bytes: as long as a part of a credential, because
// a person hands a definition of his own to a server as one.
const MaxSize = 64 << 10

const (
	maxDepth     = 32
	maxNodes     = 20_000
	maxDocuments = 4
)

// An Error is what is wrong, and where.
type Error struct {
	Line, Column int    // from 1; 0 if it is not known
	Path         string // of the value, such as "spec.endpoint.base"; "" for the document
	Reason       string
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	return b.String() + e.Reason
}

// A Document is one document of a file.
type Document struct{ root *yaml.Node }

// Parse reads all documents of a file. Its errors are of type [*Error].
func Parse(text []byte) ([]Document, error) {
	if len(text) > MaxSize {
		return nil, &Error{Reason: fmt.Sprintf("the file is longer than %d bytes", MaxSize)}
	}
	var out []Document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, notYAML(err)
		}
		if len(out) == maxDocuments {
			return nil, at(&n, "", "there are more than %d documents in the file", maxDocuments)
		}
		left := maxNodes
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
			return nil, at(&n, "", "there is nothing in the document")
		}
		if err := refuse(n.Content[0], 0, &left); err != nil {
			return nil, err
		}
		out = append(out, Document{n.Content[0]})
	}
	if len(out) == 0 {
		return nil, &Error{Reason: "the file is empty"}
	}
	return out, nil
}

// notYAML words what the parser has against a file.
func notYAML(err error) *Error {
	var load *yaml.LoadError
	if errors.As(err, &load) {
		return &Error{Line: load.Mark.Line, Column: load.Mark.Column, Reason: "this is not YAML: " + shorten(load.Message)}
	}
	return &Error{Reason: "this is not YAML: " + shorten(err.Error())}
}

func at(n *yaml.Node, path, reason string, args ...any) *Error {
	return &Error{Line: n.Line, Column: n.Column, Path: path, Reason: fmt.Sprintf(reason, args...)}
}

// refuse looks for what this package does not take of YAML.
func refuse(n *yaml.Node, depth int, left *int) error {
	*left--
	switch {
	case *left < 0:
		return at(n, "", "the document has more than %d values", maxNodes)
	case depth > maxDepth:
		return at(n, "", "the document is nested deeper than %d levels", maxDepth)
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		return at(n, "", "anchors and aliases are not allowed; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		return at(n, "", "tags such as !!str are not allowed")
	}
	if n.Kind == yaml.MappingNode {
		seen := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			switch {
			case key.Kind == yaml.AliasNode:
				return at(key, "", "anchors and aliases are not allowed; write the value out")
			case key.Kind != yaml.ScalarNode:
				return at(key, "", "the name of a field must be a word")
			case key.Tag == "!!merge":
				return at(key, "", "merge keys are not allowed; write the fields out")
			case seen[key.Value]:
				return at(key, "", "the field %q stands here twice", shorten(key.Value))
			}
			seen[key.Value] = true
		}
	}
	for _, child := range n.Content {
		if err := refuse(child, depth+1, left); err != nil {
			return err
		}
	}
	return nil
}

// Field answers the text of a field of the document itself, "" if it has none.
func (d Document) Field(name string) string {
	if value := member(d.root, name); value != nil && value.Kind == yaml.ScalarNode {
		return value.Value
	}
	return ""
}

// member answers the value of a field, nil if there is none.
func member(n *yaml.Node, name string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// At makes an error about the value at a path, or about what is nearest to it.
func (d Document) At(path []string, reason string, args ...any) *Error {
	n := d.root
	for _, name := range path {
		next := member(n, name)
		if next == nil {
			break
		}
		n = next
	}
	return at(n, strings.Join(path, "."), reason, args...)
}

// Decode checks the document against the schema and stores it in a Go value, as
// encoding/json does with the JSON that says the same.
func (d Document) Decode(s *Schema, into any) error {
	if err := s.check(d.root); err != nil {
		return err
	}
	value, err := plain(d.root)
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding a document: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decoding a document: %w", err)
	}
	return nil
}

// plain answers what JSON would have for a node.
func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			value, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = value
		}
		return out, nil
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, child := range n.Content {
			value, err := plain(child)
			if err != nil {
				return nil, err
			}
			out[i] = value
		}
		return out, nil
	}
	switch kindOf(n) {
	case "null":
		return nil, nil
	case "boolean":
		return boolean(n), nil
	case "integer", "number":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), nil
		}
		return nil, at(n, "", "the number %q is not written as JSON writes it", shorten(n.Value))
	}
	return n.Value, nil
}

// boolean answers the value of a node of that type.
func boolean(n *yaml.Node) bool { return strings.EqualFold(n.Value, "true") }

// kindOf answers the type that JSON Schema gives to a node.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "object"
	case yaml.SequenceNode:
		return "array"
	}
	switch n.Tag {
	case "!!null":
		return "null"
	case "!!bool":
		return "boolean"
	case "!!int":
		return "integer"
	case "!!float":
		return "number"
	}
	return "string" // what YAML takes for a time, too: the formats say which strings are times
}

func shorten(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
