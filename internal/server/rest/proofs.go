package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/server/rest/words"
)

// factors answers the second factors of a person, the authenticator app first.
func factors(p people.Person) []api.Factor {
	var out []api.Factor
	if !p.ConfirmedAt.IsZero() {
		out = append(out, api.Factor{Name: people.App, Kind: api.AuthenticatorApp, AddedAt: p.ConfirmedAt})
	}
	return append(out, words.Each(p.Keys, func(k people.SecurityKey) api.Factor {
		return api.Factor{Name: k.Name, Kind: api.SecurityKey, AddedAt: k.AddedAt, UsedAt: k.UsedAt, Host: k.Host, Eligible: k.Eligible, BackedUp: k.BackedUp}
	})...)
}

func (d *dialect) getMFA(ctx context.Context, q request, _ none) (api.Factors, error) {
	p, err := d.People.Factors(ctx, q.call)
	return api.Factors{Factors: factors(p), RecoveryCodes: len(p.Recovery)}, err
}

func (d *dialect) addKey(ctx context.Context, q request, in api.AddSecurityKeyRequest) (api.Proof, error) {
	b, err := d.People.AddKey(ctx, q.call, in.Name)
	return words.Proof(b), err
}

func (d *dialect) confirmKey(ctx context.Context, q request, in api.HeldProof) (api.RecoveryCodes, error) {
	codes, err := d.People.ConfirmKey(ctx, q.call, string(in.Proof))
	return recovery(codes), err
}

// beginProof finds out what the request that is to be approved would do: what the page shows
// is read from what the digest covers.
func (d *dialect) beginProof(ctx context.Context, q request, in api.ProofRequest) (api.Proof, error) {
	path, rawQuery, _ := strings.Cut(in.Target, "?")
	m := d.find(in.Method, path)
	err := m.missing
	for _, name := range m.vars {
		if !utf8.ValidString(name) {
			err = fault.InvalidParameter.New("a name in the path is not valid Unicode text")
		}
	}
	if err != nil {
		return api.Proof{}, d.refuse(ctx, q.call, people.ActionBeginProof, err)
	}
	shown, err := d.details(ctx, q.call, m, rawQuery, in.Body)
	if err != nil {
		return api.Proof{}, d.refuse(ctx, q.call, people.ActionBeginProof, err)
	}
	b, err := d.People.BeginApproval(ctx, q.call, people.Approvable{
		Action: m.action, Details: shown, Digest: people.RequestDigest(in.Method, path, rawQuery, []byte(in.Body)),
	})
	return words.Proof(b), err
}

// details answers what a page shows of a request beside its action: the names in the path,
// and of what is dangerous the parameters, which are no secrets there; of the approval of
// another's request, what that one asks for.
func (d *dialect) details(ctx context.Context, c *authz.Call, m match, query, body string) ([]people.Detail, error) {
	out := []people.Detail{}
	for _, segment := range strings.Split(m.pattern, "/") {
		if name := strings.Trim(segment, "{}"); name != segment {
			out = append(out, people.Detail{Name: name, Value: m.vars[name]})
		}
	}
	switch {
	case m.action == approval.ActionApprove:
		v, err := d.Approvals.Get(ctx, c, m.vars["approval"])
		if err != nil {
			return nil, err
		}
		out = append(out, people.Detail{Name: "action", Value: v.Action}, people.Detail{Name: "resource", Value: v.Resource}, people.Detail{Name: "requester", Value: v.Requester})
		for _, p := range v.Params {
			out = append(out, people.Detail{Name: p.Name, Value: readable(p.Value)})
		}
	case slices.Contains(authz.Dangerous(), m.action):
		params, err := parameters(query, body)
		if err != nil {
			return nil, err
		}
		out = append(out, params...)
	}
	size := 0
	for _, p := range out {
		size += len(p.Name) + len(p.Value)
	}
	if size > maxShown {
		return nil, fault.TooLarge.New("a request with more than %d bytes of parameters cannot be shown to who is to approve it with a security key; use the code of an app", maxShown)
	}
	return out, nil
}

// maxShown is how many bytes of parameters a page shows. All of them are shown or none: what
// is cut off would be approved unseen. A policy has at most 32 KiB.
const maxShown = 40 << 10

// parameters answers those of a query, and the members of a body in their order, also those
// that are there twice.
func parameters(query, body string) (out []people.Detail, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fault.InvalidParameter.Wrap(err, "the query cannot be read")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, v := range values[name] {
			out = append(out, people.Detail{Name: readable(name), Value: readable(v)})
		}
	}
	if body == "" {
		return out, nil
	}
	dec := json.NewDecoder(strings.NewReader(body))
	if begin, err := dec.Token(); err != nil || begin != json.Delim('{') {
		return nil, fault.InvalidParameter.New("the body of the request is no JSON object")
	}
	for dec.More() {
		name, err := dec.Token()
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			return nil, fault.InvalidParameter.New("the body of the request is no JSON object")
		}
		text := string(value)
		_ = json.Unmarshal(value, &text) // what is no string stays as it is written
		out = append(out, people.Detail{Name: readable(name.(string)), Value: readable(text)})
	}
	return out, nil
}

// readable answers a text so that nothing in it can be overlooked: JSON without its blanks,
// and what cannot be seen, a blank after a blank among it, as an escape.
func readable(text string) string {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) == nil {
		text = compact.String()
	}
	var b strings.Builder
	blank := false
	for _, r := range text {
		again := blank
		blank = unicode.IsSpace(r)
		if unicode.IsGraphic(r) && !(blank && (again || r != ' ')) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
