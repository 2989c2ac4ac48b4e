package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// Namings implements iam.PolicyStore.
func (s *Store) Namings(ctx context.Context, account, principal string) ([]iam.Naming, error) {
	out, err := s.namings(ctx, s.db.read, account, principal)
	if err != nil {
		return nil, err
	}
	rules, err := list(ctx, s, s.db.read, approvalRuleRow, `WHERE account = $1 ORDER BY name`, account)
	for _, r := range rules {
		for _, user := range r.Approvers {
			r.Exempt = append(r.Exempt, iam.UserARN(account, user))
		}
		if slices.ContainsFunc(r.Exempt, func(arn string) bool { return strings.EqualFold(arn, principal) }) {
			out = append(out, iam.Naming{Kind: "approval rule", Name: r.Name})
		}
	}
	return out, err
}

// namings reads the documents that may name the principal: JSON may spell a character by an
// escape, so that those with a backslash are among them.
func (s *Store) namings(ctx context.Context, from queryer, account, principal string) ([]iam.Naming, error) {
	const among = `WHERE account = $1 AND (replace(%s, $2, '') <> %[1]s OR replace(%[1]s, '\', '') <> %[1]s) ORDER BY %s`
	var out []iam.Naming
	add := func(kind, name, document string) {
		if authz.Mentions([]byte(document), principal) {
			out = append(out, iam.Naming{Kind: kind, Name: name})
		}
	}
	keys, err := list(ctx, s, from, keyRow, fmt.Sprintf(among, "policy", "id"), account, principal)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		add("key", string(k.ID), k.Policy)
	}
	policies, err := list(ctx, s, from, secretPolicyRow, fmt.Sprintf(among, "document", "secret_id"), account, principal)
	if err != nil {
		return nil, err
	}
	for _, p := range policies {
		of, err := list(ctx, s, from, secretRow, `WHERE account = $1 AND id = $2`, account, p.Secret)
		if err != nil {
			return nil, err
		}
		for _, secret := range of {
			add("secret", secret.Name, p.Document)
		}
	}
	roles, err := list(ctx, s, from, roleRow, fmt.Sprintf(among, "trust", "name"), account, principal)
	for _, r := range roles {
		add("role", r.Name, r.Trust)
	}
	return out, err
}

// unnamed refuses a principal that is about to be made while policies name it, or an offer of
// keys acts as it: they spoke of another one, who is gone. Approval rules may name it:
// whoever is made under such a name has approved nothing, and is not given a login but by those
// who could give everything ([iam.Service.RequireTakeover]).
func (s *Store) unnamed(ctx context.Context, t *tx, account, principal string) error {
	found, err := s.namings(ctx, t.sql, account, principal)
	if err != nil {
		return err
	}
	offers, err := list(ctx, s, t.sql, offerRow, `WHERE account = $1 ORDER BY name`, account)
	for _, o := range offers {
		if iam.UserARN(account, o.User) == principal {
			found = append(found, iam.Naming{Kind: "offer", Name: o.Name})
		}
	}
	if err != nil || len(found) == 0 {
		return err
	}
	var of []string
	for _, n := range found[:min(len(found), 5)] {
		of = append(of, n.Kind+" "+n.Name)
	}
	return fault.ResourceInUse.New("%s is still named by %d policies or offers, which spoke of another one and would speak of the new: %s; take the name out there first, or choose another",
		principal, len(found), strings.Join(of, ", "))
}

// Known implements role.Store.
func (s *Store) Known(ctx context.Context, account string, principals []string) error {
	for _, arn := range principals {
		kind, name, _ := strings.Cut(strings.TrimPrefix(arn, "acs:ram::"+account+":"), "/")
		var err error
		missing := fault.Say("user")
		if kind == "role" {
			missing = fault.Say("role")
			_, err = s.Role(ctx, account, name)
		} else {
			_, err = s.User(ctx, account, name)
		}
		if fault.Is(err, fault.ResourceNotFound) {
			return fault.InvalidParameter.New("the policy names %s, who does not exist, so that whoever gets that name later would be let in; make the %s first, or leave it out", arn, missing)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
