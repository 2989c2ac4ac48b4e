package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/inventory"
	"github.com/keyward/keyward/internal/store/kms"
)

// Namings implements iam.PolicyStore.
func (s Store) Namings(ctx context.Context, account, principal string) ([]iam.Naming, error) {
	out, err := s.namings(ctx, s.DB, account, principal)
	if err != nil {
		return nil, err
	}
	rules, err := bound.List(ctx, s.Store, s.DB, approvalRuleRow, `WHERE account = $1 ORDER BY name`, account)
	for _, r := range rules {
		named := r.Exempt
		for _, user := range r.Approvers {
			named = append(named, "user/"+user)
		}
		if lists(named, account, principal) {
			out = append(out, iam.Naming{Kind: "approval rule", Name: r.Name})
		}
	}
	return out, err
}

// lists tells whether user/NAME or role/NAME of a principal, in whatever case, is among the names
// of an approval rule.
func lists(names []string, account, principal string) bool {
	return slices.ContainsFunc(names, func(who string) bool { return strings.EqualFold("acs:ram::"+account+":"+who, principal) })
}

// namings reads the policies that name the principal.
func (s Store) namings(ctx context.Context, from database.Queryer, account, principal string) ([]iam.Naming, error) {
	out, err := kms.Store(s).Namings(ctx, from, account, principal)
	if err != nil {
		return nil, err
	}
	roles, err := bound.List(ctx, s.Store, from, roleRow, fmt.Sprintf(kms.MayName, "trust", "name"), account, principal)
	for _, r := range roles {
		if authz.Mentions([]byte(r.Trust), principal) {
			out = append(out, iam.Naming{Kind: "role", Name: r.Name})
		}
	}
	return out, err
}

// unnamed refuses a principal that is about to be made while policies name it, or an offer of
// keys acts as it or a calendar is followed as it, or an approval rule exempts it: they spoke of another one, who is
// gone. Approval rules may name it as an approver: whoever is made under such a name has approved
// nothing, and is not given a login but by those who could give everything ([iam.Service.RequireTakeover]).
func (s Store) unnamed(ctx context.Context, t *bound.Tx, account, principal string) error {
	found, err := s.namings(ctx, t, account, principal)
	if err != nil {
		return err
	}
	offers, err := kms.Store(s).OffersIn(ctx, t, account)
	for _, o := range offers {
		if iam.UserARN(account, o.User) == principal {
			found = append(found, iam.Naming{Kind: "offer", Name: o.Name})
		}
	}
	if err != nil {
		return err
	}
	rules, err := bound.List(ctx, s.Store, t, approvalRuleRow, `WHERE account = $1 ORDER BY name`, account)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if lists(r.Exempt, account, principal) {
			found = append(found, iam.Naming{Kind: "approval rule", Name: r.Name})
		}
	}
	if user, ok := strings.CutPrefix(principal, iam.UserARN(account, "")); ok {
		calendars, err := inventory.Calendars(s).SubscriptionsOf(ctx, t, account, user)
		if err != nil {
			return err
		}
		for _, c := range calendars {
			found = append(found, iam.Naming{Kind: "calendar subscription", Name: c.Name})
		}
	}
	if len(found) == 0 {
		return nil
	}
	var of []string
	for _, n := range found[:min(len(found), 5)] {
		of = append(of, n.Kind+" "+n.Name)
	}
	return fault.ResourceInUse.New("%s is still named by %d policies, approval rules, offers or calendar subscriptions, which spoke of another one and would speak of the new: %s; take the name out there first, or choose another",
		principal, len(found), strings.Join(of, ", "))
}

// Known implements role.Store.
func (s Store) Known(ctx context.Context, account string, principals []string) error {
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
