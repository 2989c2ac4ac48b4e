package document_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/httpapi/document"
)

const schema = `{"type":"object","required":["a"],"additionalProperties":false,"properties":{
"a":{"type":"integer","minimum":0,"maximum":20},"t":{"type":"boolean","const":true},"b":{"type":"array","minItems":1,"maxItems":2,"items":{"$ref":"#/$defs/word"}},"any":{},
"m":{"type":"object","maxProperties":1,"propertyNames":{"$ref":"#/$defs/word"},"additionalProperties":{"type":["string","boolean"]}}},
"$defs":{"word":{"type":"string","pattern":"^[a-z]+$","minLength":2,"maxLength":3}}}`

func decode(t *testing.T, text string, into any) error {
	t.Helper()
	s, err := document.Compile([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	documents, err := document.Parse([]byte(text))
	if err != nil {
		return err
	}
	return documents[0].Decode(s, into)
}

func TestDecode(t *testing.T) {
	var got map[string]any
	if err := decode(t, "# comment\na: 12\nb: [ab, abc]\nm: {xy: yes}\nany:\n  when: 2026-12-01\n  text: |\n    two\n    lines\n  f: 1.5\n  none: null\n  t: true\n", &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "a") // a json.Number
	delete(got["any"].(map[string]any), "f")
	want := map[string]any{"b": []any{"ab", "abc"}, "m": map[string]any{"xy": "yes"}, "any": map[string]any{"when": "2026-12-01", "text": "two\nlines\n", "none": nil, "t": true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"b: [ab]":                 `line 1, column 1: the field "a" is missing`,
		"a: x":                    "line 1, column 4: a: this is string, it must be integer",
		"a: 1\nb: []":             "line 2, column 4: b: there are 0 values",
		"a: 1\nb: [ab, ab, ab]":   "there are 3 values",
		"a: 1\nb:\n  - ab\n  - 7": "line 4, column 5: b[1]: this is integer, it must be string; put it in quotes",
		"a: 1\nb: [a]":            "it is 1 characters long",
		"a: 1\nb: [abcd]":         "it is 4 characters long",
		"a: 1\nb: [AB]":           "does not look like",
		"a: 1\nm: {x: a}":         "line 2, column 5: m.x: it is 1 characters long",
		"a: 1\nm: {xy: a, yz: b}": "there are 2 fields",
		"a: 1\nm: {xy: 3}":        "must be string or boolean",
		"a: 1\nc: 1":              "line 2, column 1: c: there is no such field; the fields here are a, any, b, m, t",
		"a: 0x10":                 "not written as JSON",
		"a: -1":                   "line 1, column 4: a: it must be 0 or more",
		"a: 21":                   "a: it must be 20 or less",
		"a: 18446744073709551615": "a: it must be",
		"a: 1\nt: false":          "line 2, column 4: t: this can only be true",
		"? [x]\n: 1":              "name of a field must be a word",
		"a: 1\nb: c: d":           "line 2, column 5: this is not YAML",
		"a: 1\nany: {x: *y}":      "",
	} {
		var got any
		err := decode(t, text, &got)
		var wrong *document.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: answered %v", text, err)
		}
	}
}

// A schema with a word that is not enforced is no schema of this package.
func TestCompile(t *testing.T) {
	for _, bad := range []string{
		"", "[]", `{"type":"object"}`, `{"oneOf":[]}`, `{"format":"uri"}`, `{"properties":{"a":{"minimum":1}}}`, `{"pattern":"["}`, `{"$ref":"#/$defs/x"}`,
		`{"items":{"$ref":"elsewhere.json"}}`, `{"type":"object","additionalProperties":{"const":1}}`,
		`{"type":"integer","pattern":"^[1-5]$"}`, `{"type":"boolean","enum":["true"]}`, `{"type":"string","minimum":1}`, `{"minItems":1}`, `{"propertyNames":{}}`,
		`{"$ref":"#/$defs/x","type":"string","$defs":{"x":{"type":"string"}}}`, `{"$ref":"#/$defs/x","maxLength":1,"$defs":{"x":{"type":"string"}}}`,
	} {
		if _, err := document.Compile([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte("a: 1\nb: [ab]\n"))
	f.Add([]byte("a: &x [*x]\n---\n{a: 1}"))
	s, err := document.Compile([]byte(schema))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, err := document.Parse(text)
		if err != nil {
			return
		}
		for _, d := range documents {
			var got map[string]any
			if d.Decode(s, &got) == nil && got["a"] == nil {
				t.Error("accepted without what is required")
			}
		}
	})
}
