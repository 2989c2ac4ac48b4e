package definition

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// An Operation is what is sent and how its answer is read. It is constant and may be used
// concurrently.
type Operation struct {
	operation
	Name OperationName

	auth    *credential
	base    *base
	path    *template.Template
	query   map[string]*template.Template
	headers map[string]*template.Template
	body    any // of JSON, with templates where strings were; nil for none
	form    map[string]*template.Template
	whose   *template.Template // what must stand at Owner
}

// Reads tells whether the operation changes nothing.
func (op *Operation) Reads() bool { return op.Name.Reads() }

// Values answers what vars.* and secret.* stand for. Its errors are
// [fault.MissingParameter] and [fault.InvalidParameter] and name a variable or a part of
// the credential.
func (d *Definition) Values(vars map[string]string, secrets map[string]material.Bytes) (template.Values, error) {
	values := template.Values{}
	for name := range vars {
		if _, ok := d.Vars[name]; !ok {
			return nil, fault.InvalidParameter.New("the definition %s has no variable %q; it has %s", d.Name, name, list(d.Vars))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Vars)) {
		value, err := d.value(name, vars[name])
		if err != nil {
			return nil, err
		}
		values["vars."+name] = value
	}
	for name := range secrets {
		if _, ok := d.Credential[name]; !ok {
			return nil, fault.InvalidParameter.New("the definition %s knows no part %q of a credential; it knows %s", d.Name, name, list(d.Credential))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Credential)) {
		if secrets[name].Len() == 0 {
			return nil, fault.MissingParameter.New("the part of the credential %q is missing: %s", name, d.Credential[name].Help.Both())
		}
		values["secret."+name] = string(secrets[name].Expose()) // it becomes a header's text in any case
	}
	if _, err := d.base.url(values); err != nil {
		return nil, fault.InvalidParameter.New("the base URL: %v", err)
	}
	return values, nil
}

// value reads one variable; "" stands for its default.
func (d *Definition) value(name, text string) (any, error) {
	if text == "" {
		text = string(d.Vars[name].Default)
	}
	if text == "" {
		return nil, fault.MissingParameter.New("the variable %q is missing: %s", name, d.Vars[name].Help.Both())
	}
	if err := d.checkVar(name, text); err != nil {
		return nil, fault.InvalidParameter.New("the variable %q: %v", name, err)
	}
	switch d.Vars[name].Type {
	case "integer":
		return json.Number(text), nil
	case "json":
		var v any
		if err := answer.Decode([]byte(text), &v); err != nil {
			return nil, fault.InvalidParameter.New("the variable %q: %v", name, err)
		}
		return v, nil
	}
	return text, nil
}

func list[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// Fill makes a request; query, if not nil, takes the place of the operation's own. What
// cannot be filled in is [fault.InvalidParameter]. A request that changes something has
// no GetBody, so that nobody sends it twice.
func (op *Operation) Fill(ctx context.Context, values template.Values, query url.Values) (*http.Request, error) {
	r, err := op.request(ctx, values, query)
	if err != nil {
		return nil, fault.InvalidParameter.New("the operation %s: %v", op.Name, err)
	}
	return r, nil
}

func (op *Operation) request(ctx context.Context, values template.Values, query url.Values) (*http.Request, error) {
	u, err := op.base.url(values)
	if err != nil {
		return nil, err
	}
	path, err := op.path.Text(values)
	if err != nil {
		return nil, err
	}
	u = u.JoinPath(path)
	if query == nil {
		if query, err = pairs(op.query, values); err != nil {
			return nil, err
		}
	}
	u.RawQuery = query.Encode()
	body, kind, err := op.content(values)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, op.Request.Method, u.String(), body)
	if err != nil {
		return nil, fault.Say("its URL cannot be made")
	}
	r.GetBody = nil
	r.Header.Set("User-Agent", "keyward")
	r.Header.Set("Accept", "application/json")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for _, set := range []map[string]*template.Template{op.headers, op.auth.headers} {
		for name, t := range set {
			text, err := t.Text(values)
			if err != nil {
				return nil, err
			}
			r.Header.Set(name, text)
		}
	}
	return r, op.auth.basic(r, values)
}

// basic places a user and a password, if the credential is placed so.
func (c *credential) basic(r *http.Request, values template.Values) error {
	if c.user == nil {
		return nil
	}
	user, err := c.user.Text(values)
	if err != nil {
		return err
	}
	password, err := c.password.Text(values)
	if err != nil {
		return err
	}
	if strings.Contains(user, ":") {
		return fault.Say("the user's name may have no colon")
	}
	r.SetBasicAuth(user, password)
	return nil
}

// pairs fills parameters; those whose value is empty are left out.
func pairs(templates map[string]*template.Template, values template.Values) (url.Values, error) {
	out := url.Values{}
	for name, t := range templates {
		text, err := t.Text(values)
		if err != nil {
			return nil, err
		}
		if text != "" {
			out.Set(name, text)
		}
	}
	return out, nil
}

// content answers the body of a request, nil for none, and its type.
func (op *Operation) content(values template.Values) (io.Reader, string, error) {
	switch {
	case op.Request.Form != nil:
		form, err := pairs(op.form, values)
		return strings.NewReader(form.Encode()), "application/x-www-form-urlencoded", err
	case op.body != nil:
		value, err := fill(op.body, values)
		if err != nil {
			return nil, "", err
		}
		text, err := json.Marshal(value)
		return bytes.NewReader(text), "application/json", err
	}
	return nil, "", nil
}

// fill puts values where a body has templates. A field without a value is left out.
func fill(v any, values template.Values) (any, error) {
	switch v := v.(type) {
	case *template.Template:
		return v.Value(values)
	case map[string]any:
		out := map[string]any{}
		for name, child := range v {
			value, err := fill(child, values)
			if err != nil {
				return nil, err
			}
			if _, filled := child.(*template.Template); !filled || value != nil {
				out[name] = value
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			value, err := fill(v[i], values)
			if err != nil {
				return nil, err
			}
			out[i] = value
		}
		return out, nil
	}
	return v, nil
}

// uses tells whether a template of the request uses a name.
func (op *Operation) uses(name string) bool {
	found := usedIn(op.body, name)
	for _, set := range []map[string]*template.Template{op.query, op.headers, op.form, {"": op.path}} {
		for _, t := range set {
			found = found || slices.Contains(t.Names(), name)
		}
	}
	return found
}

// Expires tells whether the request says when a new key shall end.
func (op *Operation) Expires() bool { return op.uses("expire") || op.uses("lifetime") }

// usedIn tells whether a template in a body uses a name.
func usedIn(v any, name string) bool {
	switch v := v.(type) {
	case *template.Template:
		return slices.Contains(v.Names(), name)
	case map[string]any:
		for _, child := range v {
			if usedIn(child, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(child any) bool { return usedIn(child, name) })
	}
	return false
}

// uses tells whether the placing uses a name that begins so.
func (c *credential) uses(prefix string) bool {
	return slices.ContainsFunc(c.names, func(n string) bool { return strings.HasPrefix(n, prefix) })
}

// Whose tells whether an answer to verify is about the key of this id and about its owner.
func (op *Operation) Whose(body any, id string, values template.Values) (bool, error) {
	if op.Identity != "" {
		found, _ := answer.Lookup(body, op.Identity)
		if text, ok := answer.Text(found); !ok || text != id {
			return false, nil
		}
	}
	if op.Owner == nil {
		return true, nil
	}
	want, err := op.whose.Text(values)
	if err != nil {
		return false, fault.InvalidParameter.New("the operation %s: %v", op.Name, err)
	}
	found, _ := answer.Lookup(body, op.Owner.Pointer)
	text, ok := answer.Text(found)
	return ok && text == want, nil
}

// Tells tells whether the definition says how the service words a class of errors.
func (d *Definition) Tells(class ErrorClass) bool {
	_, ok := d.errors[class]
	return ok
}

// Class answers what the definition says of an answer that is no success, "" for nothing.
func (d *Definition) Class(status int, body any) ErrorClass {
	for _, class := range classes {
		rule := d.errors[class]
		if !slices.Contains(rule.Status, status) {
			continue
		}
		found, _ := answer.Lookup(body, rule.Pointer)
		if text, ok := answer.Text(found); rule.Pointer == "" || ok && slices.Contains(rule.In, scalar(text)) {
			return class
		}
	}
	return ""
}
