package material_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"pgregory.net/rapid"
)

func TestParseContext(t *testing.T) {
	long := strings.Repeat("x", material.MaxContextSize-len(`{"a":""}`))
	for document, want := range map[string]material.Context{
		`{}`:                             {},
		" {\n\t} \r\n":                   {},
		`{"a":"b"}`:                      {"a": "b"},
		`{"b":"1","a":"2"}`:              {"a": "2", "b": "1"},
		`{"":""}`:                        {"": ""},
		`{"部门":"财务"}`:                    {"部门": "财务"},
		`{"\u90e8":"\ud83d\ude00"}`:      {"部": "😀"},
		`{"a":"\\ud800 \"\/\b\f\n\r\t"}`: {"a": `\ud800 "/` + "\b\f\n\r\t"},
		`{"a":"` + "\uFFFD" + `"}`:       {"a": "\uFFFD"},
		`{"a":"` + long + `"}`:           {"a": long},
	} {
		got, err := material.ParseContext([]byte(document))
		if err != nil {
			t.Errorf("%.40s: %v", document, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.40s: %s", document, diff)
		}
	}
}

func TestParseContextRefuses(t *testing.T) {
	for name, document := range map[string]string{
		"empty":                  ``,
		"null":                   `null`,
		"string":                 `"a"`,
		"array":                  `["a","b"]`,
		"number value":           `{"a":1}`,
		"null value":             `{"a":null}`,
		"bool value":             `{"a":true}`,
		"nested object":          `{"a":{"b":"c"}}`,
		"array value":            `{"a":["b"]}`,
		"deep":                   `{"a":` + strings.Repeat("[", 4000),
		"duplicate":              `{"a":"1","a":"1"}`,
		"escaped duplicate":      `{"a":"1","\u0061":"2"}`,
		"open":                   `{"a":"b"`,
		"no value":               `{"a"}`,
		"trailing comma":         `{"a":"b",}`,
		"trailing word":          `{"a":"b"} x`,
		"second object":          `{"a":"b"}{}`,
		"unquoted":               `{a:"b"}`,
		"invalid UTF-8":          "{\"a\":\"\xff\"}",
		"invalid UTF-8 name":     "{\"\xc3\x28\":\"a\"}",
		"lone high surrogate":    `{"a":"\ud800"}`,
		"lone low surrogate":     `{"a":"\udc00"}`,
		"high then character":    `{"a":"\ud800x"}`,
		"two high surrogates":    `{"a":"\ud800\ud800"}`,
		"high then plain escape": `{"a":"\ud800\u0041"}`,
		"control character":      "{\"a\":\"\n\"}",
		"too long":               `{"a":"` + strings.Repeat("x", material.MaxContextSize) + `"}`,
	} {
		got, err := material.ParseContext([]byte(document))
		if !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// FuzzParseContext holds the parser against a lenient one: what is accepted must be
// what package json understands, and must survive a second round.
func FuzzParseContext(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":"b"}`, `{"a":"\ud83d\ude00","b":"\\"}`, `{"a":"1","a":"2"}`, `{"a":["b"]}`, `{"a":"b"} x`, `null`, "{\"\xff\":\"\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := material.ParseContext(document)
		if err != nil {
			if !fault.Is(err, fault.InvalidParameter) {
				t.Fatalf("not the documented fault: %v", err)
			}
			return
		}
		var want material.Context
		if err := json.Unmarshal(document, &want); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > material.MaxContextSize {
			return // escaping made it longer
		}
		round, err := material.ParseContext(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, round); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestBindingIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.SliceOfN(rapid.StringN(0, 3, -1), 0, 4)
		a, b := field.Draw(t, "a"), field.Draw(t, "b")
		same := cmp.Equal(material.Binding(a...), material.Binding(b...))
		if same != cmp.Equal(a, b) {
			t.Fatalf("%q and %q: same encoding %v", a, b, same)
		}
	})
	want := []byte("\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x03\xe9\x92\xa5")
	if diff := cmp.Diff(want, material.Binding("a", "", "钥")); diff != "" {
		t.Error(diff)
	}
}
