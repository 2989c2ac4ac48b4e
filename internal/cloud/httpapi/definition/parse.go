// Package definition reads what a provider's definition says, and fills in what it sends.
//
// A definition is data: a YAML document (package document) that fits schema.json, which is
// published, and the rules that no schema can say: every name that a template uses is there,
// what is declared is used, an archetype has the operations of its plan and no others, a
// request that may be repeated is the same each time, and what makes a key says where its
// secret stands. What is refused is named with line and column. Templates (package
// template) become requests here: a credential stands in headers, never in a URL, every
// request goes to the host of a base, and one that changes something cannot be sent twice
// by package net/http.
//
// Who may call: packages client and contract, and the command that tests definitions.
// Nothing is sent and nothing kept. Of a definition nothing is trusted but what it says of
// its service.
package definition

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/document"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

//go:embed schema.json
var schemaText []byte

// Schema answers the JSON Schema of a definition: the very one that [Parse] enforces.
func Schema() []byte { return slices.Clone(schemaText) }

var schema = sync.OnceValues(func() (*document.Schema, error) { return document.Compile(schemaText) })

// A duration is written such as "90s" or "24h".
type duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(s)
	*d = duration(parsed)
	return err
}

// A Definition says how the keys of one service are read and replaced. It is constant and may be used
// concurrently.
type Definition struct {
	Metadata
	Capabilities Capabilities
	Rights       form.Text                 // that the credential needs, the least; zero if there are none to choose
	Vars         map[string]Var            // what a person sets
	Credential   map[string]CredentialPart // what a person keeps secret

	patterns map[string]*regexp.Regexp // of variables, for the whole value
	parts    parts
	base     *base
	timeout  time.Duration
	maxBody  int
	gap      time.Duration
	auth     map[string]*credential
	ops      map[OperationName]*Operation
	errors   map[ErrorClass]errorRule
}

// A credential is a parsed placing.
type credential struct {
	headers        map[string]*template.Template
	user, password *template.Template // of Basic; nil for headers
	names          []string
}

// Timeout answers how long one request may take.
func (d *Definition) Timeout() time.Duration { return d.timeout }

// MaxBody answers how long an answer may be, in bytes.
func (d *Definition) MaxBody() int { return d.maxBody }

// Gap answers the least time between two requests.
func (d *Definition) Gap() time.Duration { return d.gap }

// Parts answers the names of the parts of a credential, as its consumers know them.
func (d *Definition) Parts() (id, secret string) { return d.parts.ID, d.parts.Secret }

// Operation answers an operation, nil if the definition has none of this name.
func (d *Definition) Operation(name OperationName) *Operation { return d.ops[name] }

// Has tells whether the definition has an operation.
func (d *Definition) Has(name OperationName) bool { return d.ops[name] != nil }

// Pages tells whether the list of keys comes in pages.
func (d *Definition) Pages() bool {
	op := d.ops[List]
	return op != nil && op.Page.Kind != "" && op.Page.Kind != "none"
}

// Checks tells whether more than the status decides that an operation succeeded.
func (d *Definition) Checks(name OperationName) bool {
	op := d.ops[name]
	return op != nil && (op.Success.Test != nil || op.Identity != "")
}

// TellsExpiry tells whether the service says when a key expires.
func (d *Definition) TellsExpiry() bool {
	return slices.ContainsFunc([]OperationName{List, Status}, func(n OperationName) bool { return d.ops[n] != nil && d.ops[n].Map.ExpiresAt != nil })
}

// Parse reads a definition: the first document of a file, which a contract may follow. Its
// errors are of type [*document.Error] and say where the file is wrong.
func Parse(text []byte) (*Definition, error) {
	s, err := schema()
	if err != nil {
		return nil, err
	}
	documents, err := document.Parse(text)
	if err != nil {
		return nil, err
	}
	for i, d := range documents[1:] {
		if i > 0 || d.Field("kind") != "HTTPContract" {
			return nil, d.At([]string{"kind"}, "after the definition one document of kind HTTPContract may follow, and nothing else")
		}
	}
	var f file
	if err := documents[0].Decode(s, &f); err != nil {
		return nil, err
	}
	p := &parser{document: documents[0], spec: f.Spec, used: map[string]bool{}}
	return p.definition(f)
}

// A parser makes a definition of a file that fits the schema.
type parser struct {
	document document.Document
	spec     spec
	used     map[string]bool // names that templates use
	def      *Definition
}

func (p *parser) at(path string, reason string, args ...any) error {
	return p.document.At(strings.Split(path, "\x00"), reason, args...)
}

// in joins the names of a path; a name may hold a dot.
func in(names ...string) string { return strings.Join(names, "\x00") }

func (p *parser) definition(f file) (*Definition, error) {
	p.def = &Definition{
		Metadata: f.Metadata, Capabilities: p.spec.Capabilities, Rights: p.spec.Rights, Vars: p.spec.Vars, Credential: p.spec.Credential,
		patterns: map[string]*regexp.Regexp{}, auth: map[string]*credential{}, ops: map[OperationName]*Operation{}, errors: p.spec.Errors, parts: p.spec.Parts,
	}
	for _, step := range []func() error{p.vars, p.endpoint, p.auths, p.operations, p.capabilities, p.unused} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p.def, nil
}

func (p *parser) vars() error {
	for name, v := range p.spec.Vars {
		if v.Pattern != "" {
			re, err := regexp.Compile("^(?:" + v.Pattern + ")$")
			if err != nil {
				return p.at(in("spec", "vars", name, "pattern"), "it is not a regular expression: %v", err)
			}
			p.def.patterns[name] = re
		}
		if v.Default != "" {
			if err := p.def.checkVar(name, string(v.Default)); err != nil {
				return p.at(in("spec", "vars", name, "default"), "%v", err)
			}
		}
	}
	return nil
}

const (
	defaultTimeout = 20 * time.Second
	maxTimeout     = time.Minute
	defaultBody    = 256 << 10
	maxBody        = 4 << 20
	defaultGap     = 250 * time.Millisecond
)

func (p *parser) endpoint() (err error) {
	e, d := p.spec.Endpoint, p.def
	if d.base, err = p.parseBase(e.Base, in("spec", "endpoint", "base")); err != nil {
		return err
	}
	d.timeout, d.maxBody, d.gap = defaultTimeout, defaultBody, defaultGap
	d.parts.ID, d.parts.Secret = cmp.Or(d.parts.ID, "id"), cmp.Or(d.parts.Secret, "secret")
	if e.Timeout > 0 {
		d.timeout = time.Duration(e.Timeout)
	}
	if d.timeout > maxTimeout {
		return p.at(in("spec", "endpoint", "timeout"), "it may be at most %v", maxTimeout)
	}
	if e.MaxBody != "" {
		n, err := strconv.Atoi(strings.TrimSuffix(e.MaxBody, "KiB"))
		if err != nil || n<<10 > maxBody {
			return p.at(in("spec", "endpoint", "maxBody"), "it may be at most %dKiB", maxBody>>10)
		}
		d.maxBody = n << 10
	}
	if count, unit, ok := strings.Cut(e.Rate, "/"); ok {
		n, err := strconv.Atoi(count)
		if err != nil {
			return p.at(in("spec", "endpoint", "rate"), "it is not a rate such as 4/s")
		}
		d.gap = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit] / time.Duration(n)
	}
	return nil
}

// parse reads one template and remembers the names that it uses.
func (p *parser) parse(text string, place template.Place, scope template.Scope, path string) (*template.Template, error) {
	t, err := template.Parse(text, place, scope)
	if err != nil {
		return nil, p.at(path, "%v", err)
	}
	for _, name := range t.Names() {
		p.used[name] = true
	}
	return t, nil
}

func (p *parser) parseAll(texts map[string]string, place template.Place, scope template.Scope, path string) (map[string]*template.Template, error) {
	out := map[string]*template.Template{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		t, err := p.parse(texts[name], place, scope, in(path, name))
		if err != nil {
			return nil, err
		}
		out[name] = t
	}
	return out, nil
}

// scope answers the names of the definition's variables and these others.
func (p *parser) scope(others ...string) template.Scope {
	var out template.Scope
	for _, name := range slices.Sorted(maps.Keys(p.spec.Vars)) {
		out = append(out, "vars."+name)
	}
	return append(out, others...)
}

func (p *parser) auths() (err error) {
	scope := p.scope()
	for _, name := range slices.Sorted(maps.Keys(p.spec.Credential)) {
		scope = append(scope, "secret."+name)
	}
	scope = append(scope, "key.id", "key.secret")
	for _, name := range slices.Sorted(maps.Keys(p.spec.Auth)) {
		c, a, path := &credential{}, p.spec.Auth[name], in("spec", "auth", name)
		if a.Basic != nil {
			if c.user, err = p.parse(a.Basic.User, template.Header, scope, in(path, "basic", "user")); err != nil {
				return err
			}
			if c.password, err = p.parse(a.Basic.Password, template.Header, scope, in(path, "basic", "password")); err != nil {
				return err
			}
			c.names = append(c.user.Names(), c.password.Names()...)
		}
		if c.headers, err = p.parseAll(a.Headers, template.Header, scope, in(path, "headers")); err != nil {
			return err
		}
		for _, t := range c.headers {
			c.names = append(c.names, t.Names()...)
		}
		p.def.auth[name] = c
	}
	return nil
}

// unused refuses what is declared and never used: it is a mistyped name more often than not.
func (p *parser) unused() error {
	for name := range p.spec.Vars {
		if !p.used["vars."+name] {
			return p.at(in("spec", "vars", name), "nothing uses the variable")
		}
	}
	for name := range p.spec.Credential {
		if !p.used["secret."+name] {
			return p.at(in("spec", "credential", name), "nothing in auth uses this part of the credential")
		}
	}
	return nil
}

// checkVar holds a value against what the definition says of a variable.
func (d *Definition) checkVar(name, value string) error {
	v := d.Vars[name]
	switch v.Type {
	case "integer":
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return fault.Say("it is not a whole number")
		}
	case "url":
		if _, err := parseURL(value); err != nil {
			return err
		}
	case "json":
		var any any
		if err := answer.Decode([]byte(value), &any); err != nil {
			return err
		}
	}
	if re := d.patterns[name]; re != nil && !re.MatchString(value) {
		return fault.Say("it does not look like %s", v.Pattern)
	}
	return nil
}
