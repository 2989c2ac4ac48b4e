package definition_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/document"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
)

func TestSmallDefinition(t *testing.T) {
	d, err := definition.Parse([]byte(httpapitest.Small))
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "small" || !d.Has(definition.List) || d.Has(definition.Verify) || d.Pages() || !d.TellsExpiry() {
		t.Errorf("parsed as %+v", d)
	}
}

func TestBadDefinitions(t *testing.T) {
	path := `"/accounts/{{vars.account}}/keys"`
	request := `request: {method: GET, path: ` + path + `}`
	expires := `expiresAt: {pointer: /expires, optional: true}`
	for name, c := range map[string]struct {
		edits []string
		line  int // 0 for any
		want  string
	}{
		"unknown field":             {[]string{"items: /keys", "items: /keys\n      effect: read"}, 17, "operations.list.effect: there is no such field"},
		"unknown field, high up":    {[]string{"kind: HTTPProvider", "kind: HTTPProvider\nextra: 1"}, 3, "extra: there is no such field"},
		"field twice":               {[]string{"items: /keys", "items: /keys\n      items: /others"}, 17, "stands here twice"},
		"anchor":                    {[]string{"items: /keys", "items: &a /keys"}, 16, "anchors and aliases"},
		"alias bomb":                {[]string{"metadata:", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\nmetadata:"}, 3, "anchors and aliases"},
		"merge":                     {[]string{"items: /keys", "<<: {items: /keys}"}, 16, "merge"},
		"tag":                       {[]string{"items: /keys", "items: !!str /keys"}, 16, "tags"},
		"wrong type":                {[]string{"version: 1", "version: one"}, 3, "it must be integer"},
		"number without end":        {[]string{"version: 1", "version: 18446744073709551615"}, 3, "metadata.version: it must be"},
		"unquoted":                  {[]string{"title: {en: Small,", "title: {en: 1,"}, 3, "put it in quotes"},
		"no list, no status":        {[]string{"list:", "create:", "method: GET", "method: POST", "id: /id", "id: /id\n        secret: /key", "      items: /keys\n", ""}, 0, "no key is ever seen"},
		"template loop":             {[]string{path, `"/{{range .Keys}}/{{.}}/{{end}}"`}, 15, "no loops"},
		"another template's loop":   {[]string{path, `"/{% for x in y %}"`}, 15, "other template languages"},
		"template condition":        {[]string{path, `"/{{#if vars.account}}"`}, 15, "no loops, conditions or functions"},
		"template function":         {[]string{path, `"/{{env(HOME)}}"`}, 15, "functions"},
		"template in a template":    {[]string{path, `"/{{vars.{{vars.account}}}}"`}, 15, "within a template"},
		"template not closed":       {[]string{path, `"/{{vars.account"`}, 15, "without its }}"},
		"template not opened":       {[]string{path, `"/vars.account}}"`}, 15, "without its {{"},
		"unknown name":              {[]string{path, `"/{{vars.acount}}"`}, 15, "the names are vars.account"},
		"unknown filter":            {[]string{path, `"/{{vars.account|upper}}"`}, 15, "no filter"},
		"secret in a path":          {[]string{path, `"/{{secret.token}}"`}, 15, "no such name"},
		"secret in a query":         {[]string{request, `request: {method: GET, path: "/{{vars.account}}", query: {key: "{{secret.token}}"}}`}, 15, "no such name"},
		"climbing path":             {[]string{path, `"/{{vars.account}}/../keys"`}, 15, "in query"},
		"query in a path":           {[]string{path, `"/{{vars.account}}?x=1"`}, 15, "in query"},
		"base of http":              {[]string{"https://api", "http://api"}, 10, "endpoint.base"},
		"base with a user":          {[]string{"https://api", "https://user@api"}, 10, "no user"},
		"base with a template":      {[]string{"https://api.example.com/v1", "https://{{vars.account}}.example.com/{{vars.account}}"}, 10, "no user, query or fragment"},
		"base of a variable":        {[]string{"https://api.example.com/v1", "{{vars.account}}"}, 10, "type url"},
		"too patient":               {[]string{`v1"}`, `v1", timeout: 10m}`}, 10, "at most 1m"},
		"too large":                 {[]string{`v1"}`, `v1", maxBody: 9999KiB}`}, 10, "at most 4096KiB"},
		"list that writes":          {[]string{"method: GET", "method: POST"}, 15, "only reads"},
		"date without zone":         {[]string{expires, `expiresAt: {pointer: /expires, layout: "2006-01-02"}`}, 21, "has no zone"},
		"time without zone":         {[]string{expires, `expiresAt: {pointer: /expires, layout: "2006-01-02 15:04:05"}`}, 21, "has no zone"},
		"local zone":                {[]string{expires, `expiresAt: {pointer: /expires, layout: "2006-01-02", zone: Local}`}, 21, "another one on every machine"},
		"no such zone":              {[]string{expires, `expiresAt: {pointer: /expires, layout: "2006-01-02", zone: Asia/Nowhere}`}, 21, "no zone"},
		"layout without a year":     {[]string{expires, `expiresAt: {pointer: /expires, layout: "01-02", zone: UTC}`}, 21, "year, month and day"},
		"layout of strftime":        {[]string{expires, `expiresAt: {pointer: /expires, layout: "%Y-%m-%d", zone: UTC}`}, 21, "year, month and day"},
		"unix day without zone":     {[]string{expires, `expiresAt: {pointer: /expires, layout: unix, round: start-of-day}`}, 21, "needs a zone"},
		"time that is fixed":        {[]string{expires, `expiresAt: {value: "2026-01-01T00:00:00Z"}`}, 21, "needs a pointer"},
		"layout of a text":          {[]string{"id: /id", "id: {pointer: /id, layout: unix}"}, 18, "are of times"},
		"status without its words":  {[]string{`      statusMap: {"on": active, "off": inactive, "": active}`, ""}, 0, "belong together"},
		"status of another word":    {[]string{`"on": active`, `"on": fine`}, 22, "is not one of"},
		"no id":                     {[]string{"id: /id", "tag: /id"}, 0, "where the id of a key stands"},
		"bad pointer":               {[]string{"items: /keys", "items: keys"}, 16, "does not look like"},
		"unused variable":           {[]string{"{{vars.account}}", "1"}, 7, "nothing uses the variable"},
		"unused secret":             {[]string{"{{secret.token}}", "fixed"}, 9, "nothing in auth uses"},
		"unknown auth":              {[]string{"      request:", "      as: nobody\n      request:"}, 15, `auth has no "nobody"`},
		"bad pattern":               {[]string{"[0-9]+", "[0-9"}, 7, "regular expression"},
		"default that does not fit": {[]string{`pattern: "[0-9]+"`, `pattern: "[0-9]+", default: x`}, 7, "does not look like"},
		"page without a place":      {[]string{"items: /keys", "items: /keys\n      page: {kind: number, size: 10}"}, 17, "{{page}}"},
		"cursor without a place":    {[]string{"items: /keys", "items: /keys\n      page: {kind: cursor, next: /next}"}, 17, "{{cursor}}"},
		"create alone":              {[]string{"  operations:", "  operations:\n    create: {request: {method: POST, path: /keys}, map: {id: /id, secret: /key}}"}, 0, "needs the operation delete"},
		"create by GET":             {[]string{"  operations:", "  operations:\n    create: {request: {method: GET, path: /keys}, map: {id: /id, secret: /key}}"}, 14, "cannot be a GET"},
		"create without secret":     {[]string{"  operations:", "  operations:\n    create: {request: {method: POST, path: /keys}, map: {id: /id}}"}, 14, "where the new secret stands"},
		"manual that writes":        {[]string{"archetype: multi", "archetype: manual", "  operations:", "  operations:\n    delete: {request: {method: DELETE, path: /keys}}"}, 0, "not changed through this API"},
		"overlap without length":    {[]string{"archetype: multi", "archetype: multi, overlap: {kind: fixed}"}, 5, "needs for"},
		"now without a filter":      {[]string{path, `"/{{vars.account}}/{{now}}"`}, 15, "needs a filter"},
		"operation of no plan":      {[]string{"  operations:", "  operations:\n    create: {request: {method: POST, path: /keys}, map: {id: /id, secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}\n    promote: {request: {method: POST, path: /x}}"}, 16, "never sends it"},
		"create without an id":      {[]string{"  operations:", "  operations:\n    create: {request: {method: POST, path: /keys}, map: {secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}"}, 14, "where the id of the new key stands"},
		"tag that is not declared":  {[]string{"  operations:", "  operations:\n    create: {request: {method: POST, path: /keys, json: {n: \"{{tag}}\"}}, map: {id: /id, secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}"}, 14, "belong together"},
		"tag that is too short":     {[]string{"archetype: multi", "archetype: multi, tag: {field: name, max: 40}", "        name: {", "        tag: /name\n        name: {", "  operations:", "  operations:\n    create: {request: {method: POST, path: /keys, json: {n: \"{{tag}}\"}}, map: {id: /id, secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}"}, 5, "up to 48 characters"},
		"repeats, and changes":      {[]string{"archetype: multi", "archetype: multi, idempotency: {kind: header, name: Idempotency-Key}", "  operations:", "  operations:\n    create: {request: {method: POST, path: /keys, json: {n: \"{{lifetime|seconds}}\"}}, map: {id: /id, secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}"}, 14, "must be the same"},
		"no id of one's own":        {[]string{"archetype: multi", "archetype: multi, idempotency: {kind: client-id}", "  operations:", "  operations:\n    create: {request: {method: POST, path: /keys}, map: {id: /id, secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}"}, 14, "{{attempt}}"},
		"encrypted":                 {[]string{"archetype: multi", "archetype: multi, reveal: encrypted", "  operations:", "  operations:\n    create: {request: {method: POST, path: /keys}, map: {id: /id, secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}"}, 5, "leave out the operations"},
		"place without a name":      {[]string{"archetype: multi", "archetype: promote", "  operations:", "  operations:\n    create: {request: {method: POST, path: /2}, map: {id: /id, secret: /key}}\n    promote: {request: {method: POST, path: /p}}\n    abandon: {request: {method: DELETE, path: /2}}"}, 14, "name of the second one"},
		"end without an hour":       {[]string{"archetype: multi", "archetype: fixed-overlap", "  operations:", "  operations:\n    rotate: {request: {method: POST, path: \"/{{key.id}}\"}, map: {secret: /key}}"}, 5, "how long the old key lives on"},
		"end that is not asked for": {[]string{"archetype: multi", "archetype: pending, overlap: {kind: parameter, max: 24h}", "  operations:", "  operations:\n    rotate: {request: {method: POST, path: \"/{{key.id}}\"}, map: {secret: /key}}"}, 14, "belong together"},
		"pending without a wait":    {[]string{"archetype: multi", "archetype: multi, idempotency: {kind: pending}", "  operations:", "  operations:\n    create: {request: {method: POST, path: /keys}, map: {id: /id, secret: /key}}\n    delete: {request: {method: DELETE, path: \"/{{key.id}}\"}}"}, 5, "only keys of archetype pending"},
		"rotate as the key":         {[]string{"archetype: multi", "archetype: roll", "admin: {", "subject: {headers: {X: \"{{key.secret}}\"}}\n    admin: {", "  operations:", "  operations:\n    rotate: {as: subject, request: {method: POST, path: /keys}, map: {secret: /key}}"}, 15, "no key's secret in hand"},
		"verify as the source":      {[]string{"  operations:", "  operations:\n    verify: {request: {method: GET, path: /me}}"}, 14, "nothing but it"},
		"identity of a list":        {[]string{"items: /keys", "items: /keys\n      identity: /id"}, 0, "are of verify"},
		"overlap beyond its max":    {[]string{"archetype: multi", "archetype: multi, overlap: {kind: parameter, for: 48h, max: 24h}"}, 5, "may be shorter"},
		"parts of one name":         {[]string{"  operations:", "  parts: {id: a, secret: a}\n  operations:"}, 13, "different names"},
		"another document":          {[]string{"kind: HTTPProvider", "kind: HTTPProvider\n---\nkind: Other\n---"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := definition.Parse([]byte(httpapitest.Edit(t, c.edits...)))
			var wrong *document.Error
			if !errors.As(err, &wrong) {
				t.Fatalf("answered %v", err)
			}
			if !strings.Contains(err.Error(), c.want) || c.line > 0 && wrong.Line != c.line {
				t.Errorf("answered %v; expected line %d and %q", err, c.line, c.want)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "blank": "\n\n", "only a comment": "# x", "no YAML": "a: [", "a list": "- 1", "a word": "x", "null": "null",
		"too long":  "a: " + strings.Repeat("x", document.MaxSize),
		"too deep":  "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"too many":  "a: [" + strings.Repeat("1,", 25_000) + "]",
		"invalid":   "a: \xff\xfe",
		"documents": strings.Repeat("--- 1\n", 9),
	} {
		var wrong *document.Error
		if _, err := definition.Parse([]byte(text)); !errors.As(err, &wrong) {
			t.Errorf("%s: answered %v", name, err)
		} else if len(err.Error()) > 600 {
			t.Errorf("%s: the error is %d bytes long", name, len(err.Error()))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(httpapitest.Small))
	f.Add([]byte("a: &a [x]\nb: {<<: *a}\n---\n{kind: HTTPContract}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := definition.Parse(text)
		var wrong *document.Error
		if err != nil && !errors.As(err, &wrong) {
			t.Errorf("an error of another kind: %v", err)
		}
		if err == nil && !d.Has(definition.List) && !d.Has(definition.Status) {
			t.Error("a definition that sees nothing is accepted")
		}
	})
}
