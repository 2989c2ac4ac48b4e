package rest

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/api"
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
	b, err := d.People.BeginApproval(ctx, q.call, people.Approvable{
		Action: m.action, Details: details(m, rawQuery, in.Body), Digest: people.RequestDigest(in.Method, path, rawQuery, []byte(in.Body)),
	})
	return words.Proof(b), err
}

const maxDetail = 1500 // bytes of a query or a body that a page shows

// details answers what a page shows of a request beside its action: the names in the path,
// and of what is dangerous the parameters, which are no secrets there.
func details(m match, query, body string) []people.Detail {
	out := []people.Detail{}
	for _, segment := range strings.Split(m.pattern, "/") {
		if name := strings.Trim(segment, "{}"); name != segment {
			out = append(out, people.Detail{Name: name, Value: m.vars[name]})
		}
	}
	if !slices.Contains(authz.Dangerous(), m.action) {
		return out
	}
	for _, part := range []people.Detail{{Name: "query", Value: query}, {Name: "body", Value: body}} {
		if len(part.Value) > maxDetail {
			part.Value = strings.ToValidUTF8(part.Value[:maxDetail], "") + " …"
		}
		if part.Value != "" {
			out = append(out, part)
		}
	}
	return out
}
