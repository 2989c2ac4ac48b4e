// Package httpapi reads the keys of any service with an HTTP API, by a definition: a YAML
// file that says how to ask, where in the answers the facts stand, and what they mean.
//
// A definition is data. Its templates (package template) have names and filters and no
// control; its answers are read through JSON pointers; its schema (schema.json) is the one
// that is published and the one that is enforced, with line and column (package document).
// A definition reaches the hosts that its base URLs name and no other, and places a
// credential in a header, never in a URL. What changes something at a service – create,
// rotate, delete – is parsed and checked here and never sent: only list, status and verify
// are, and those are GET.
//
// The rule of the answers: all or an error. A page that is missing, a total that does not
// agree, a list that goes in a circle is an error, for a list that is cut short makes keys
// look as if they were gone. What is odd about one key – a status that nobody declared, a
// date that cannot be read – is a problem of that key, which stays in the inventory. A bare
// date means the start of its day in the zone that the definition must declare.
//
// Who may call: package accesskey through [Kind], package contract, and the command that
// tests definitions. Nothing is stored. Not trusted: the answers, which are bounded, cleaned
// and cut of every secret, and the values of variables, which templates keep where they
// stand. The author of a definition is trusted to say what is true of the service, and
// with the credential, which is sent to the host that the definition names.
package httpapi

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// Shipped answers the names of the definitions that keyward brings.
func Shipped() []string {
	entries, err := shipped.ReadDir("shipped")
	if err != nil {
		return nil // the directory is compiled in
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(out)
	return out
}

// ShippedText answers the file of a shipped definition, contract included; ok is false if
// there is none of this name.
func ShippedText(name string) (text []byte, ok bool) {
	if !slices.Contains(Shipped(), name) {
		return nil, false
	}
	text, err := shipped.ReadFile("shipped/" + name + ".yaml")
	return text, err == nil
}

// Kind is the kind of provider that is configured by a definition.
func Kind() accesskey.KindOfProvider {
	return accesskey.KindOfProvider{
		Name:  "http",
		Title: form.Text{English: "Any service with an HTTP API, by a definition", Chinese: "任何提供 HTTP API 的服务，由定义文件描述"},
		Form: form.Form{
			Settings: []form.Field{
				{Name: "definition", Example: "cloudflare", Help: form.Text{
					English: "name of a shipped definition: " + strings.Join(Shipped(), ", "),
					Chinese: "内置定义的名称：" + strings.Join(Shipped(), "、")}},
				{Name: "vars", Example: `{"account":"0123456789abcdef0123456789abcdef"}`, Help: form.Text{
					English: "variables of the definition, as one JSON object",
					Chinese: "定义所需的变量，写成一个 JSON 对象"}},
			},
			Credential: []form.Field{
				{Name: "credential", Required: true, Help: form.Text{
					English: "the credential; if the definition names several parts, a line NAME=VALUE for each",
					Chinese: "凭据；若定义包含多个部分，每行写一个 NAME=VALUE"}},
				{Name: "definition_file", Help: form.Text{
					English: "text of a definition of your own, instead of a shipped one",
					Chinese: "自定义定义文件的内容，用于替代内置定义"}},
			},
		},
		Capabilities: accesskey.Capabilities{Expiry: true}, // of each definition: see Definition.Capabilities
		Pace:         time.Hour,
		Open:         open,
	}
}

func open(o accesskey.Opening) (accesskey.Provider, error) {
	def, err := chosen(o.Settings["definition"], o.Credential["definition_file"].Expose())
	if err != nil {
		return nil, err
	}
	vars, err := ReadVars(o.Settings["vars"])
	if err != nil {
		return nil, err
	}
	credential, err := def.ReadCredential(o.Credential["credential"])
	if err != nil {
		return nil, err
	}
	return def.Provider(Target{Vars: vars, Credential: credential, HTTP: egress.HTTP(o.Allow), Now: o.Now})
}

// chosen answers the definition that a source names or brings.
func chosen(name string, text []byte) (*Definition, error) {
	switch {
	case (name == "") == (len(text) == 0):
		return nil, fault.InvalidParameter.New("give either definition, the name of a shipped one, or definition_file, the text of your own")
	case name != "":
		var ok bool
		if text, ok = ShippedText(name); !ok {
			return nil, fault.InvalidParameter.New("there is no shipped definition %q; there are %s", name, strings.Join(Shipped(), ", "))
		}
	}
	def, err := Parse(text)
	if err != nil {
		return nil, fault.InvalidParameter.New("the definition: %v", err)
	}
	return def, nil
}

// ReadVars reads variables out of one JSON object: a string is a value, anything else
// stands for its JSON. "" has none.
func ReadVars(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, fault.InvalidParameter.New(`vars must be one JSON object, such as {"account":"123"}`)
	}
	out := map[string]string{}
	for name, raw := range values {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			s = string(raw)
		}
		out[name] = s
	}
	return out, nil
}

// ReadCredential splits a credential into the parts that the definition names: the whole
// of it, without a final line break, if there is one part, else a line NAME=VALUE for each.
func (d *Definition) ReadCredential(whole material.Bytes) (map[string]material.Bytes, error) {
	text := strings.TrimRight(string(whole.Expose()), "\r\n") // parts of it become texts of headers
	out := map[string]material.Bytes{}
	if len(d.Credential) == 1 {
		for name := range d.Credential {
			out[name] = material.NewBytes([]byte(text))
		}
		return out, nil
	}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if _, known := d.Credential[name]; !ok || !known || out[name].Len() > 0 {
			return nil, fault.InvalidParameter.New("the credential must have one line NAME=VALUE for each of %s", names(d.Credential))
		}
		out[name] = material.NewBytes([]byte(value))
	}
	return out, nil
}

// Provider makes an inventory's provider of the definition.
func (d *Definition) Provider(t Target) (accesskey.Provider, error) {
	c, err := d.Open(t)
	if err != nil {
		return nil, err
	}
	return &provider{c}, nil
}

// A provider is a client as the inventory sees it.
type provider struct{ client *Client }

// Check implements accesskey.Provider.
func (p *provider) Check(ctx context.Context) (accesskey.Identity, error) {
	if p.client.def.Has(Status) {
		seen, err := p.client.Status(ctx)
		return identity(seen), err
	}
	_, err := p.client.List(ctx)
	return accesskey.Identity{}, err
}

func identity(s Seen) accesskey.Identity {
	return accesskey.Identity{Account: s.Account, Principal: s.Principal, KeyID: s.ID}
}

// Observe implements accesskey.Provider: the list, and the credential's own key, which the
// list may lack.
func (p *provider) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	before := p.client.calls
	var all []Seen
	var out accesskey.Snapshot
	if p.client.def.Has(List) {
		var err error
		if all, err = p.client.List(ctx); err != nil {
			return accesskey.Snapshot{}, err
		}
	}
	if p.client.def.Has(Status) {
		own, err := p.client.Status(ctx)
		switch {
		case err != nil && (len(all) == 0 || ctx.Err() != nil):
			return accesskey.Snapshot{}, err
		case err != nil:
			out.Problems = append(out.Problems, accesskey.Problem{What: string(Status), Reason: fault.Message(err), Lists: true})
		default:
			out.Identity = identity(own)
			if !slices.ContainsFunc(all, func(s Seen) bool { return s.ID == own.ID }) {
				all = append(all, own)
			}
		}
	}
	known := map[string]bool{"": true}
	for _, s := range all {
		out.Keys = append(out.Keys, s.Observed)
		out.Problems = append(out.Problems, s.Problems...)
		if !known[s.Principal] {
			known[s.Principal] = true
			out.Principals = append(out.Principals, accesskey.Principal{ID: s.Principal, Name: s.Principal, Kind: accesskey.Program})
		}
	}
	out.Account = accesskey.Account{Quota: p.client.def.Capabilities.MaxKeys, Detail: map[string]string{"definition": fmt.Sprintf("%s v%d", p.client.def.Name, p.client.def.Version)}}
	out.Calls = p.client.calls - before
	return out, nil
}
