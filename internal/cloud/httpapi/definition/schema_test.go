package definition_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
)

// The schema and the types that it is decoded into name the same fields, so that nothing is
// promised that is not read, and nothing read that is not promised.
func TestSchemaIsOfTheTypes(t *testing.T) {
	var schema any
	if err := json.Unmarshal(definition.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	promised, read := map[string]bool{}, map[string]bool{}
	collectSchema(schema, promised)
	collectTypes(definition.FileType, read, map[reflect.Type]bool{})
	for _, key := range definition.MapKeys {
		read[key] = true
	}
	if diff := cmp.Diff(sortedNames(promised), sortedNames(read)); diff != "" {
		t.Errorf("promised and read differ: %s", diff)
	}
}

func sortedNames(m map[string]bool) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func collectSchema(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			if properties, ok := child.(map[string]any); ok && name == "properties" {
				for property, rule := range properties {
					into[property] = true
					collectSchema(rule, into)
				}
				continue
			}
			collectSchema(child, into)
		}
	case []any:
		for _, child := range v {
			collectSchema(child, into)
		}
	}
}

func collectTypes(t reflect.Type, into map[string]bool, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		collectTypes(t.Elem(), into, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("json"); name != "" {
				into[name] = true
				collectTypes(t.Field(i).Type, into, seen)
			}
		}
	}
}
