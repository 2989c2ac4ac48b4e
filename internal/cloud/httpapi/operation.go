package httpapi

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
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

func (p *parser) operation(name OperationName, o operation, path string) (*operationPlan, error) {
	op := &operationPlan{operation: o, name: name, base: p.def.base}
	for _, step := range []func(*operationPlan, string) error{p.identify, p.method, p.request, p.paging, p.mapping} {
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
func (p *parser) identify(op *operationPlan, path string) error {
	if op.As == "" {
		op.As = "admin"
	}
	if op.auth = p.def.auth[op.As]; op.auth == nil {
		return p.at(in(path, "as"), "auth has no %q; it has %s", op.As, strings.Join(slices.Sorted(maps.Keys(p.def.auth)), ", "))
	}
	ofKey := slices.ContainsFunc(op.auth.names, func(n string) bool { return strings.HasPrefix(n, "key.") })
	if ofKey && (op.name == List || op.name == Status) {
		return p.at(in(path, "as"), "the operation %s has no key in hand; it is sent with the source's credential", op.name)
	}
	return nil
}

func (p *parser) method(op *operationPlan, path string) error {
	r := op.Request
	switch {
	case op.name.reads() && (r.Method != "GET" || r.JSON != nil || r.Form != nil):
		return p.at(in(path, "request", "method"), "the operation %s only reads: it must be a GET without json and form", op.name)
	case !op.name.reads() && r.Method == "GET":
		return p.at(in(path, "request", "method"), "the operation %s changes something: it cannot be a GET", op.name)
	case r.JSON != nil && r.Form != nil:
		return p.at(in(path, "request", "form"), "a request has json or form, not both")
	}
	return nil
}

// names answers what the templates of an operation may use.
func (p *parser) names(op *operationPlan) template.Scope {
	switch {
	case op.name == List && op.Page.Kind == "number":
		return p.scope("page", "now")
	case op.name == List && op.Page.Kind == "cursor":
		return p.scope("cursor", "now")
	case op.name.reads() && op.name != Verify:
		return p.scope("now")
	case op.name == Verify:
		return p.scope("key.id", "now")
	}
	return p.scope("key.id", "tag", "now", "interval", "overlap")
}

var filled = regexp.MustCompile(`\{\{.*?\}\}`)

func (p *parser) request(op *operationPlan, path string) (err error) {
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
	literal, err := url.Parse(filled.ReplaceAllString(r.Path, "x"))
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

func (p *parser) paging(op *operationPlan, path string) error {
	g := op.Page
	path = in(path, "page")
	uses := map[string]bool{}
	for _, t := range op.query {
		for _, name := range t.Names() {
			uses[name] = true
		}
	}
	switch {
	case g == page{}:
		return nil
	case op.name != List:
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

func (p *parser) mapping(op *operationPlan, path string) error {
	m := op.Map
	path = in(path, "map")
	switch {
	case (op.name == List || op.name == Status) && m.ID == nil:
		return p.at(path, "the operation %s must say where the id of a key stands", op.name)
	case (op.name == Create || op.name == Rotate) && m.Secret == nil:
		return p.at(path, "the operation %s must say where the new secret stands", op.name)
	case (m.Status == nil) != (len(op.StatusMap) == 0):
		return p.at(path, "status and statusMap belong together: what the provider's words mean must be said")
	case op.Items != "" && op.name != List:
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
func (m fields) plain() map[string]*field {
	out := map[string]*field{"id": m.ID, "name": m.Name, "status": m.Status, "principal": m.Principal, "account": m.Account, "tag": m.Tag, "secret": m.Secret}
	for name, f := range m.Detail {
		out[in("detail", name)] = f
	}
	maps.DeleteFunc(out, func(_ string, f *field) bool { return f == nil })
	return out
}

// times answers the fields that are times.
func (m fields) times() map[string]*field {
	out := map[string]*field{"createdAt": m.CreatedAt, "changedAt": m.ChangedAt, "expiresAt": m.ExpiresAt, "lastUsedAt": m.LastUsedAt}
	maps.DeleteFunc(out, func(_ string, f *field) bool { return f == nil })
	return out
}

// needs are the operations without which an archetype is no plan.
var needs = map[string][]OperationName{
	"pair": {Create, Disable, Enable, Delete}, "multi": {Create, Delete}, "fixed-overlap": {Rotate}, "pending": {Rotate},
	"promote": {Create, Promote, Abandon}, "roll": {Rotate},
}

// capabilities holds what is declared against the operations that there are. A definition
// that only reads needs none of those that change something.
func (p *parser) capabilities() error {
	c, path := p.spec.Capabilities, in("spec", "capabilities")
	if !p.def.Has(List) && !p.def.Has(Status) {
		return p.at(in("spec", "operations"), "there must be a list or a status: without one no key is ever seen")
	}
	writes := slices.ContainsFunc(slices.Collect(maps.Keys(p.def.ops)), func(n OperationName) bool { return !n.reads() })
	if writes && needs[c.Archetype] == nil {
		return p.at(in("spec", "operations"), "keys of archetype %s are not changed through this API: it can have no operation that changes them", c.Archetype)
	}
	for _, name := range needs[c.Archetype] {
		if writes && !p.def.Has(name) {
			return p.at(in("spec", "operations"), "the archetype %s needs the operation %s", c.Archetype, name)
		}
	}
	if alone := []string{"fixed-overlap", "pending", "promote", "roll"}; p.def.Has(Create) && !p.def.Has(List) && !slices.Contains(alone, c.Archetype) {
		return p.at(in("spec", "operations"), "a key that is created must be found again after a crash: there must be a list")
	}
	switch {
	case c.Overlap.Kind == "fixed" && c.Overlap.For == 0:
		return p.at(in(path, "overlap"), "a fixed overlap needs for, how long the old key lives on")
	case c.Overlap.Kind == "parameter" && c.Overlap.Max == 0:
		return p.at(in(path, "overlap"), "an overlap that is asked for needs max, the longest")
	case c.Idempotency.Kind == "header" && c.Idempotency.Name == "":
		return p.at(in(path, "idempotency"), "name the header")
	case c.Tag.Field != "" && p.def.Has(List) && p.def.ops[List].Map.Tag == nil:
		return p.at(in(path, "tag"), "the list must say where the tag stands, in map.tag")
	}
	for name, rule := range p.spec.Errors {
		if (rule.Pointer == "") != (len(rule.In) == 0) {
			return p.at(in("spec", "errors", string(name)), "pointer and in belong together")
		}
	}
	return nil
}

// A missing value is named for the person who has to set it.
func missing(kind, name, help string) error {
	return fmt.Errorf("the %s %q is missing: %s", kind, name, help)
}
