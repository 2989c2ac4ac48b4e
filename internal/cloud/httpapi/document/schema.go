package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A Schema is a JSON Schema (draft 2020-12) of the words that this package enforces.
type Schema struct {
	root *rule
	defs map[string]*rule
}

// A rule is one subschema. Its fields are all the words that a schema may have.
type rule struct {
	Dialect     string           `json:"$schema"`
	ID          string           `json:"$id"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Defs        map[string]*rule `json:"$defs"`

	Ref        string           `json:"$ref"`
	Type       kinds            `json:"type"`
	Properties map[string]*rule `json:"properties"`
	Required   []string         `json:"required"`
	Additional *additional      `json:"additionalProperties"`
	Names      *rule            `json:"propertyNames"`
	Items      *rule            `json:"items"`
	MinItems   int              `json:"minItems"`
	MaxItems   int              `json:"maxItems"`
	MinFields  int              `json:"minProperties"`
	MaxFields  int              `json:"maxProperties"`
	MinLength  int              `json:"minLength"`
	MaxLength  int              `json:"maxLength"`
	Enum       []string         `json:"enum"`
	Pattern    string           `json:"pattern"`
	Minimum    *int64           `json:"minimum"`
	Maximum    *int64           `json:"maximum"`
	Const      *bool            `json:"const"`

	pattern *regexp.Regexp
}

// kinds are the types that a value may have: one, or a list of them.
type kinds []string

// UnmarshalJSON implements json.Unmarshaler.
func (k *kinds) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(k))
	}
	*k = make(kinds, 1)
	return json.Unmarshal(text, &(*k)[0])
}

// additional says what fields without a name in the schema must be: nothing, or like a rule.
type additional struct{ rule *rule }

// UnmarshalJSON implements json.Unmarshaler.
func (a *additional) UnmarshalJSON(text []byte) error {
	if string(text) == "false" {
		return nil
	}
	return strictly(text, &a.rule)
}

// strictly decodes JSON and refuses fields that the Go value does not have.
func strictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// Compile reads a schema. It refuses words that it does not enforce, an object that says
// nothing about unknown fields, references that lead nowhere, and bad patterns. A word about
// values of a type stands only where the type is named.
func Compile(text []byte) (*Schema, error) {
	s := &Schema{}
	if err := strictly(text, &s.root); err != nil {
		return nil, fmt.Errorf("reading a schema: %w", err)
	}
	s.defs = s.root.Defs
	if err := s.compile(s.root, "#"); err != nil {
		return nil, fmt.Errorf("reading a schema: %w", err)
	}
	return s, nil
}

func (s *Schema) compile(r *rule, where string) (err error) {
	if to := s.resolve(r); to == nil || to.Ref != "" && to != r {
		return fmt.Errorf("%s: %s leads nowhere, or to another reference", where, r.Ref)
	}
	if r.Ref != "" && len(r.Type) > 0 {
		return fmt.Errorf("%s: what stands beside a reference is not looked at", where)
	}
	if idle := r.idle(); idle != "" {
		return fmt.Errorf("%s: words about values of type %s say nothing of this type", where, idle)
	}
	if slices.Contains(r.Type, "object") && r.Additional == nil {
		return fmt.Errorf("%s: nothing is said of unknown fields", where)
	}
	if r.Pattern != "" {
		if r.pattern, err = regexp.Compile(r.Pattern); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
		if err := s.compile(r.Properties[name], where+"/properties/"+name); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Defs)) {
		if err := s.compile(r.Defs[name], where+"/$defs/"+name); err != nil {
			return err
		}
	}
	children := []*rule{r.Items, r.Names}
	if r.Additional != nil {
		children = append(children, r.Additional.rule)
	}
	for _, child := range children {
		if child != nil {
			if err := s.compile(child, where+"/…"); err != nil {
				return err
			}
		}
	}
	return nil
}

// idle answers the type whose words a rule has although no value of that type fits it, "" for
// none. By JSON Schema such words hold nothing, whatever one who reads them may think.
func (r *rule) idle() string {
	words := map[string]bool{
		"object":  r.Properties != nil || r.Required != nil || r.Additional != nil || r.Names != nil || r.MinFields+r.MaxFields > 0,
		"array":   r.Items != nil || r.MinItems+r.MaxItems > 0,
		"string":  r.Enum != nil || r.Pattern != "" || r.MinLength+r.MaxLength > 0,
		"integer": r.Minimum != nil || r.Maximum != nil,
		"boolean": r.Const != nil,
	}
	for _, kind := range slices.Sorted(maps.Keys(words)) {
		if words[kind] && !slices.Contains(r.Type, kind) {
			return kind
		}
	}
	return ""
}

func (s *Schema) check(n *yaml.Node) error { return s.hold(n, s.root, "") }

// resolve follows a reference.
func (s *Schema) resolve(r *rule) *rule {
	if r.Ref != "" {
		return s.defs[strings.TrimPrefix(r.Ref, "#/$defs/")]
	}
	return r
}

// hold holds a node against a rule.
func (s *Schema) hold(n *yaml.Node, r *rule, path string) error {
	r = s.resolve(r)
	kind := kindOf(n)
	if len(r.Type) > 0 && !slices.Contains(r.Type, kind) && !(kind == "integer" && slices.Contains(r.Type, "number")) {
		hint := ""
		if n.Kind == yaml.ScalarNode && slices.Contains(r.Type, "string") {
			hint = "; put it in quotes"
		}
		return at(n, path, "this is %s, it must be %s%s", kind, strings.Join(r.Type, " or "), hint)
	}
	switch kind {
	case "object":
		return s.holdFields(n, r, path)
	case "array":
		return s.holdItems(n, r, path)
	case "string":
		return holdText(n, r, path)
	case "integer":
		return holdNumber(n, r, path)
	case "boolean":
		if r.Const != nil && boolean(n) != *r.Const {
			return at(n, path, "this can only be %t", *r.Const)
		}
	}
	return nil
}

func (s *Schema) holdFields(n *yaml.Node, r *rule, path string) error {
	count := len(n.Content) / 2
	if count < r.MinFields || r.MaxFields > 0 && count > r.MaxFields {
		return at(n, path, "there are %d fields, there must be %d to %d", count, r.MinFields, r.MaxFields)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		below := strings.TrimPrefix(path+"."+shorten(key.Value), ".")
		child := r.Properties[key.Value]
		if child == nil && r.Additional != nil {
			child = r.Additional.rule
		}
		if child == nil && r.Additional != nil {
			return at(key, below, "there is no such field; the fields here are %s", strings.Join(slices.Sorted(maps.Keys(r.Properties)), ", "))
		}
		if child == nil {
			continue // an object of any shape
		}
		if r.Names != nil {
			if err := holdText(key, s.resolve(r.Names), below); err != nil {
				return err
			}
		}
		if err := s.hold(value, child, below); err != nil {
			return err
		}
	}
	for _, name := range r.Required {
		if member(n, name) == nil {
			return at(n, path, "the field %q is missing", name)
		}
	}
	return nil
}

func (s *Schema) holdItems(n *yaml.Node, r *rule, path string) error {
	if len(n.Content) < r.MinItems || r.MaxItems > 0 && len(n.Content) > r.MaxItems {
		return at(n, path, "there are %d values, there must be %d to %d", len(n.Content), r.MinItems, r.MaxItems)
	}
	if r.Items == nil {
		return nil
	}
	for i, child := range n.Content {
		if err := s.hold(child, r.Items, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

func holdNumber(n *yaml.Node, r *rule, path string) error {
	v, err := strconv.ParseInt(n.Value, 0, 64)
	switch {
	case r.Minimum != nil && (err != nil || v < *r.Minimum):
		return at(n, path, "it must be %d or more", *r.Minimum)
	case r.Maximum != nil && (err != nil || v > *r.Maximum):
		return at(n, path, "it must be %d or less", *r.Maximum)
	}
	return nil
}

func holdText(n *yaml.Node, r *rule, path string) error {
	length := utf8.RuneCountInString(n.Value)
	switch {
	case len(r.Enum) > 0 && !slices.Contains(r.Enum, n.Value):
		return at(n, path, "%q is not one of %s", shorten(n.Value), strings.Join(r.Enum, ", "))
	case length < r.MinLength, r.MaxLength > 0 && length > r.MaxLength:
		return at(n, path, "it is %d characters long, it must be %d to %d", length, r.MinLength, r.MaxLength)
	case r.pattern != nil && !r.pattern.MatchString(n.Value):
		return at(n, path, "%q does not look like %s", shorten(n.Value), r.Pattern)
	}
	return nil
}
