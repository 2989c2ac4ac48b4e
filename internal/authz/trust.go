package authz

import (
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// AssumeRole is the one action that a role's trust policy speaks of.
const AssumeRole = "sts:AssumeRole"

// A Trust is a role's compiled trust policy: it says who may act as the role. It is
// immutable.
type Trust struct{ statements []statement }

// CompileTrust reads a trust policy of a role of the account. Like [Compile] it accepts
// nothing that it does not understand. A statement that lets another account in must
// demand an external id by StringEquals: whoever serves many accounts could otherwise be
// talked into using one customer's role for another (the confused deputy).
func CompileTrust(account string, document []byte) (*Trust, error) {
	statements, err := compileDocument(document, func(o object) (statement, error) { return compileTrusting(account, o) })
	if err != nil {
		return nil, fault.InvalidParameter.New("the trust policy is not valid: %v", err)
	}
	return &Trust{statements}, nil
}

func compileTrusting(account string, o object) (s statement, err error) {
	if err := checkElements(o, "Sid", "Effect", "Action", "Principal", "Condition"); err != nil {
		return s, err
	}
	if s, err = compileStatement(o); err != nil {
		return s, err
	}
	if slices.ContainsFunc(s.actions, func(g glob) bool { return g.String() != strings.ToLower(AssumeRole) }) {
		return s, fault.Say("the element Action must be %s", AssumeRole)
	}
	if s.principals, err = compilePrincipals(o); err != nil {
		return s, fault.Say("in Principal: %v", err)
	}
	abroad := slices.ContainsFunc(s.principals, func(p principal) bool { return p.account != account })
	demands := slices.ContainsFunc(s.conditions, func(c condition) bool { return c.operator == "StringEquals" && c.key == ExternalID })
	if abroad && !s.deny && !demands {
		return s, fault.Say(`it lets another account in and must demand an external id: "Condition": {"StringEquals": {%q: "…"}}`, ExternalID)
	}
	return s, nil
}

// trusts tells whether the caller is one of the principals: the user or the role behind
// its session or, where an account is named by root or by *, anybody of it.
func (s *statement) trusts(c *Call) bool {
	return slices.ContainsFunc(s.principals, func(p principal) bool {
		return p.account == c.Account && (p.kind == "" || p.kind == Root || p.kind == c.behind() && p.name == c.Name)
	})
}

// Named answers the users and roles of an account that the policy names, as ARNs.
func (t *Trust) Named(account string) []string { return named(t.statements, account) }

// Decide answers whether the call may assume the role: if a statement allows it and none
// denies it. What the caller's own policies say is for [Call.Decide].
func (t *Trust) Decide(c *Call, attributes ...Attribute) Decision {
	q := query{call: c, attributes: attributes}
	d := Decision{Reason: ByDefault}
	for i := range t.statements {
		s := &t.statements[i]
		if !s.trusts(c) || slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.holds(&q, s.deny) }) {
			continue
		}
		if s.deny {
			return Decision{Reason: ByDeny, Policy: "trust policy", Statement: s.id}
		}
		d = Decision{Allowed: true, Reason: ByAllow, Policy: "trust policy", Statement: s.id}
	}
	return d
}
