package rest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/rest"
	"github.com/keyward/keyward/internal/server/wire"
)

var update = flag.Bool("update", false, "write the files that are generated from the table of routes")

const (
	apiFolder   = "../../../api"
	openAPIFile = apiFolder + "/openapi.json"
	guideFile   = "../../../docs/api.md"
)

func TestOpenAPIDescribesTheTable(t *testing.T) {
	d := document{t: t, comments: readComments(t), schemas: object{}}
	text := must(json.MarshalIndent(d.openAPI(), "", "  "))(t)
	compare(t, openAPIFile, append(text, '\n'))
}

func TestOpenAPIIsEmbedded(t *testing.T) {
	if diff := cmp.Diff(string(must(os.ReadFile(openAPIFile))(t)), string(api.OpenAPI)); diff != "" {
		t.Error(diff)
	}
}

func TestGuideHasTheTables(t *testing.T) {
	guide := must(os.ReadFile(guideFile))(t)
	want := replaceSection(t, string(guide), "routes", routeTable())
	want = replaceSection(t, want, "problems", problemTable())
	compare(t, guideFile, []byte(want))
}

// compare holds a file against what it should be, or writes it.
func compare(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		check(t, os.WriteFile(file, want, 0o644))
		return
	}
	if have := must(os.ReadFile(file))(t); !bytes.Equal(have, want) {
		t.Errorf("%s is not up to date; run: go test ./internal/server/rest -update\n%s", file, cmp.Diff(string(have), string(want)))
	}
}

// replaceSection replaces what stands between the two comments of a name.
func replaceSection(t *testing.T, text, name, with string) string {
	t.Helper()
	begin, end := "<!-- "+name+": generated -->\n", "<!-- end of "+name+" -->"
	i, j := strings.Index(text, begin), strings.Index(text, end)
	if i < 0 || j < i {
		t.Fatalf("%s has no section %q", guideFile, name)
	}
	return text[:i+len(begin)] + with + text[j:]
}

func routeTable() string {
	var b strings.Builder
	b.WriteString("| Operation | Request | Takes | Answers | Action |\n|---|---|---|---|---|\n")
	for _, r := range rest.Routes() {
		fmt.Fprintf(&b, "| %s | `%s %s` | %s | %s | `%s` |\n", r.Name, r.Method, r.Pattern, nameOf(r.In), nameOf(r.Out), r.Action)
	}
	return b.String()
}

func nameOf(t reflect.Type) string {
	if t == nil {
		return "–"
	}
	return t.Name()
}

func problemTable() string {
	byStatus := map[int][]string{}
	for _, k := range fault.Kinds() {
		status, _ := wire.Status(k)
		byStatus[status] = append(byStatus[status], "`"+string(k)+"`")
	}
	var statuses []int
	for s := range byStatus {
		statuses = append(statuses, s)
	}
	slices.Sort(statuses)
	var b strings.Builder
	b.WriteString("| Status | Codes |\n|---|---|\n")
	for _, s := range statuses {
		fmt.Fprintf(&b, "| %d | %s |\n", s, strings.Join(byStatus[s], ", "))
	}
	return b.String()
}

// An object is a JSON object; package json writes its members in the order of their names.
type object map[string]any

// A document is an OpenAPI document in the making.
type document struct {
	t        *testing.T
	comments map[string]string // of types, and of fields as "Type.Field"
	schemas  object
}

func (d *document) openAPI() object {
	paths := object{}
	for _, r := range rest.Routes() {
		item, ok := paths[r.Pattern].(object)
		if !ok {
			item = object{}
			paths[r.Pattern] = item
		}
		item[strings.ToLower(r.Method)] = d.operation(r)
	}
	d.schema(reflect.TypeFor[api.Problem](), false)
	return object{
		"openapi":  "3.1.0",
		"info":     object{"title": "keyward", "version": "v1", "description": "The native REST API of keyward, a self-hosted key management service."},
		"security": []any{object{"accessKey": []any{}}},
		"paths":    paths,
		"components": object{
			"schemas": d.schemas,
			"securitySchemes": object{"accessKey": object{
				"type": "apiKey", "in": "header", "name": "Authorization",
				"description": "ACS3-HMAC-SHA256 over the method, the path, the query, the signed headers and the body; docs/api.md has the recipe.",
			}},
		},
	}
}

var variable = regexp.MustCompile(`\{(\w+)\}`)

func (d *document) operation(r rest.Route) object {
	op := object{"operationId": r.Name, "summary": r.Summary, "x-keyward-action": r.Action}
	var params []any
	for _, m := range variable.FindAllStringSubmatch(r.Pattern, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}, "description": variables[m[1]]})
	}
	switch {
	case r.In == nil:
	case r.Method == "GET" || r.Method == "DELETE":
		for _, m := range wire.Members(r.In) {
			p := object{"name": m.Name, "in": "query", "required": m.Required, "schema": d.schema(m.Type, true)}
			if m.Type.Kind() == reflect.Slice {
				p["explode"] = false
			}
			if text := d.comments[r.In.Name()+"."+m.Name]; text != "" {
				p["description"] = text
			}
			params = append(params, p)
		}
	default:
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": d.schema(r.In, true)}}}
	}
	if params != nil {
		op["parameters"] = params
	}
	answers := object{"default": object{
		"description": "a refusal", "content": object{api.ProblemType: object{"schema": reference("Problem")}},
	}}
	if r.Out == nil {
		answers["204"] = object{"description": "done"}
	} else {
		answers["200"] = object{"description": "done", "content": object{"application/json": object{"schema": d.schema(r.Out, false)}}}
	}
	op["responses"] = answers
	return op
}

var variables = map[string]string{
	"key":          "Id, alias or ARN of a key; slashes are written ~.",
	"version":      "Id of a key version.",
	"alias":        "Name of an alias; slashes are written ~.",
	"user":         "Name of a user.",
	"policy":       "Name of a policy.",
	"secret":       "Name or ARN of a secret; slashes are written ~.",
	"stage":        "A stage of a secret.",
	"sink":         "Name of a sink.",
	"subscription": "Name of a calendar subscription.",
	"repository":   "Name of a watched repository.",
	"node":         "Name of a node.",
	"token":        "Id of a node token.",
	"rollout":      "Name of a rollout.",
	"target":       "Name of a target.",
	"id":           "Id of an access key. In the inventory ~ is written ~0, a slash ~1, a dot in front ~2.",
	"provider":     "Name of a provider.",
	"channel":      "Name of a channel.",
	"person":       "Name of a person.",
	"rota":         "Name of a rota.",
	"incident":     "Id of an incident.",
	"plan":         "Name of a plan.",
	"rotation":     "Id of a rotation, or name of a plan for its last one.",
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// schema answers the schema of a type; strict ones name all members that there may be.
func (d *document) schema(t reflect.Type, strict bool) object {
	switch {
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem(), strict)
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[api.SecretText]():
		return object{"type": "string", "format": "password"}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return object{"type": "string", "contentEncoding": "base64"}
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem(), strict)}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem(), strict)}
	case t.Kind() != reflect.Struct:
		d.t.Fatalf("%s is no type for the API", t)
	}
	d.define(t, strict)
	return reference(t.Name())
}

func (d *document) define(t reflect.Type, strict bool) {
	s, ok := d.schemas[t.Name()].(object)
	if !ok {
		s = object{"type": "object"}
		d.schemas[t.Name()] = s
		properties, required := object{}, []string{}
		for _, m := range wire.Members(t) {
			p := d.schema(m.Type, strict)
			if text := d.comments[t.Name()+"."+m.Name]; text != "" {
				p["description"] = text
			}
			properties[m.Name] = p
			if m.Required {
				required = append(required, m.Name)
			}
		}
		s["properties"], s["required"], s["description"] = properties, required, d.comments[t.Name()]
	}
	if strict {
		s["additionalProperties"] = false
	}
}

// readComments reads the comments of package api. Those of fields stand under the names
// of their members.
func readComments(t *testing.T) map[string]string {
	comments := map[string]string{}
	files := must(filepath.Glob(apiFolder + "/*.go"))(t)
	for _, file := range files {
		parsed := must(parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments))(t)
		ast.Inspect(parsed, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				return true
			}
			spec := decl.Specs[0].(*ast.TypeSpec)
			comments[spec.Name.Name] = oneLine(decl.Doc.Text())
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				return false
			}
			for _, f := range fields.Fields.List {
				member, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
				comments[spec.Name.Name+"."+member] = oneLine(f.Comment.Text())
			}
			return false
		})
	}
	return comments
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
