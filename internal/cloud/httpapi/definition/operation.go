package definition

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/lazy"
)

// operations parses what is done at the service, and refuses what could not work.
func (p *parser) operations() error {
	for _, name := range slices.Sorted(maps.Keys(p.spec.Operations)) {
		op, err := p.operation(name, p.spec.Operations[name], in("spec", "operations", string(name)))
		if err != nil {
			return err
		}
		p.def.ops[name] = op
	}
	return nil
}

func (p *parser) operation(name OperationName, o operation, path string) (*Operation, error) {
	op := &Operation{operation: o, Name: name, base: p.def.base}
	for _, step := range []func(*Operation, string) error{p.identify, p.method, p.request, p.paging, p.mapping, p.owner} {
		if err := step(op, path); err != nil {
			return nil, err
		}
	}
	if len(op.Success.Status) == 0 {
		op.Success.Status = []int{200}
	}
	if len(op.Refused.Status) == 0 {
		op.Refused.Status = []int{401, 403}
	}
	return op, nil
}

// identify finds the credential that an operation is sent with.
func (p *parser) identify(op *Operation, path string) error {
	if op.As == "" {
		op.As = "admin"
	}
	if op.auth = p.def.auth[op.As]; op.auth == nil {
		return p.at(in(path, "as"), "auth has no %q; it has %s", op.As, strings.Join(slices.Sorted(maps.Keys(p.def.auth)), ", "))
	}
	switch ofKey, ofSource := op.auth.uses("key."), op.auth.uses("secret."); {
	case ofKey && op.Name != Verify:
		return p.at(in(path, "as"), "the operation %s has no key's secret in hand; it is sent with the source's credential", op.Name)
	case op.Name == Verify && (!op.auth.uses("key.secret") || ofSource):
		return p.at(in(path, "as"), "verify tries a key with nothing but it: what it is sent as needs {{key.secret}} and no part of the source's credential")
	}
	return nil
}

func (p *parser) method(op *Operation, path string) error {
	r := op.Request
	switch {
	case op.Name.Reads() && (r.Method != "GET" || r.JSON != nil || r.Form != nil):
		return p.at(in(path, "request", "method"), "the operation %s only reads: it must be a GET without json and form", op.Name)
	case !op.Name.Reads() && r.Method == "GET":
		return p.at(in(path, "request", "method"), "the operation %s changes something: it cannot be a GET", op.Name)
	case r.JSON != nil && r.Form != nil:
		return p.at(in(path, "request", "form"), "a request has json or form, not both")
	}
	return nil
}

// names answers what the templates of an operation may use.
func (p *parser) names(op *Operation) template.Scope {
	switch op.Name {
	case List:
		switch op.Page.Kind {
		case "number":
			return p.scope("page", "now")
		case "cursor":
			return p.scope("cursor", "now")
		}
	case Verify, Disable, Enable, Delete:
		return p.scope("key.id", "now")
	case Create:
		return p.scope("tag", "attempt", "expire", "lifetime", "now")
	case Rotate:
		return p.scope("key.id", "tag", "attempt", "expire", "lifetime", "overlap", "now")
	}
	return p.scope("now")
}

var filled = lazy.Regexp(`\{\{.*?\}\}`)

func (p *parser) request(op *Operation, path string) (err error) {
	r, scope := op.Request, p.names(op)
	path = in(path, "request")
	if r.Base != "" {
		if op.base, err = p.parseBase(r.Base, in(path, "base")); err != nil {
			return err
		}
	}
	if op.path, err = p.parse(r.Path, template.Path, scope, in(path, "path")); err != nil {
		return err
	}
	literal, err := url.Parse(filled().ReplaceAllString(r.Path, "x"))
	if err != nil || literal.RawQuery != "" || literal.ForceQuery || literal.Fragment != "" || literal.Host != "" || strings.Contains(literal.Path, "/.") {
		return p.at(in(path, "path"), "it must be a plain path; parameters stand in query")
	}
	if op.query, err = p.parseAll(r.Query, template.Query, scope, in(path, "query")); err != nil {
		return err
	}
	if op.headers, err = p.parseAll(r.Headers, template.Header, scope, in(path, "headers")); err != nil {
		return err
	}
	if op.form, err = p.parseAll(r.Form, template.Query, scope, in(path, "form")); err != nil {
		return err
	}
	op.body, err = p.body(r.JSON, scope, in(path, "json"))
	return err
}

// owner parses whose key must have been accepted.
func (p *parser) owner(op *Operation, path string) (err error) {
	if op.Name != Verify && (op.Owner != nil || op.Identity != "") {
		return p.at(path, "identity and owner are of verify")
	}
	if op.Owner != nil {
		op.whose, err = p.parse(op.Owner.Equals, template.JSON, p.scope(), in(path, "owner", "equals"))
	}
	return err
}

// body puts templates where the strings of a JSON value were.
func (p *parser) body(v any, scope template.Scope, path string) (any, error) {
	switch v := v.(type) {
	case string:
		return p.parse(v, template.JSON, scope, path)
	case map[string]any:
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			child, err := p.body(v[name], scope, in(path, name))
			if err != nil {
				return nil, err
			}
			out[name] = child
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			child, err := p.body(v[i], scope, path)
			if err != nil {
				return nil, err
			}
			out[i] = child
		}
		return out, nil
	}
	return v, nil
}

func (p *parser) paging(op *Operation, path string) error {
	g := op.Page
	path = in(path, "page")
	uses := map[string]bool{}
	for _, t := range op.query {
		for _, name := range t.Names() {
			uses[name] = true
		}
	}
	switch {
	case g == Page{}:
		return nil
	case op.Name != List:
		return p.at(path, "only the list of keys has pages")
	case g.Kind == "number" && (!uses["page"] || (g.Pages == "") == (g.Size == 0) || g.Next+g.More != ""):
		return p.at(path, "pages by number need {{page}} in the query, and either pages, a pointer to how many there are, or size, how many keys a full page has; next and more are of cursors and links")
	case g.Kind == "cursor" && (!uses["cursor"] || g.Next == "" || g.Pages != "" || g.Size != 0 || g.First != nil):
		return p.at(path, "pages by cursor need {{cursor}} in the query and next, a pointer to the next one; pages, size and first are of numbers")
	case g.Kind == "link" && (g.Pages != "" || g.Size != 0 || g.First != nil || g.More != "" && g.Next == ""):
		return p.at(path, "pages by link have next, a pointer to the URL of the next page unless it stands in the header Link, and with it more; pages, size and first are of numbers")
	case g.Kind == "none" && (g.Pages+g.Next+g.More != "" || g.Size != 0 || g.First != nil):
		return p.at(path, "a list without pages has no other field than total")
	}
	return nil
}

func (p *parser) mapping(op *Operation, path string) error {
	m := op.Map
	path = in(path, "map")
	switch {
	case (op.Name == List || op.Name == Status) && m.ID == nil:
		return p.at(path, "the operation %s must say where the id of a key stands", op.Name)
	case (op.Name == Create || op.Name == Rotate) && m.Secret == nil:
		return p.at(path, "the operation %s must say where the new secret stands", op.Name)
	case (m.Status == nil) != (len(op.StatusMap) == 0):
		return p.at(path, "status and statusMap belong together: what the provider's words mean must be said")
	case op.Items != "" && op.Name != List:
		return p.at(path, "only the list of keys has items")
	}
	for name, f := range m.plain() {
		if f.Layout+f.Zone+f.Round != "" || f.Never != nil {
			return p.at(in(path, name), "layout, zone, round and never are of times")
		}
		if (f.Pointer == "") == (f.Value == "") {
			return p.at(in(path, name), "it needs a pointer or a value, and not both")
		}
	}
	for name, f := range m.times() {
		if f.Pointer == "" || f.Value != "" {
			return p.at(in(path, name), "a time needs a pointer")
		}
		var err error
		if f.clock, err = answer.NewClock(f.Layout, f.Zone, f.Round); err != nil {
			return p.at(in(path, name), "%v", err)
		}
	}
	return nil
}

// plain answers the fields that are text.
func (m Fields) plain() map[string]*Field {
	out := map[string]*Field{"id": m.ID, "name": m.Name, "status": m.Status, "principal": m.Principal, "account": m.Account, "tag": m.Tag, "secret": m.Secret}
	for name, f := range m.Detail {
		out[in("detail", name)] = f
	}
	maps.DeleteFunc(out, func(_ string, f *Field) bool { return f == nil })
	return out
}

// times answers the fields that are times.
func (m Fields) times() map[string]*Field {
	out := map[string]*Field{"createdAt": m.CreatedAt, "changedAt": m.ChangedAt, "expiresAt": m.ExpiresAt, "lastUsedAt": m.LastUsedAt}
	maps.DeleteFunc(out, func(_ string, f *Field) bool { return f == nil })
	return out
}
