package authz

import (
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// A Rule is something that policies are often wrong about. Its text is part of the
// command line's output for programs.
type Rule string

// The rules. None of them makes a policy invalid.
const (
	AnyAction     Rule = "any-action"     // it allows every action of a service, or of all
	AnyResource   Rule = "any-resource"   // it allows a dangerous action on every resource
	AllButAction  Rule = "not-action"     // it allows everything but what it names
	WithoutMFA    Rule = "without-mfa"    // it allows a dangerous action without a second factor
	UnknownAction Rule = "unknown-action" // a pattern meets no action that there is
	Unreachable   Rule = "unreachable"    // another statement denies all that it allows
	Delegated     Rule = "delegated"      // it allows the whole account, which leaves it to the identity policies
	NotElsewhere  Rule = "not-elsewhere"  // in key policies of Alibaba Cloud the action has no effect
)

// A Remark is a rule that a statement is caught by.
type Remark struct {
	Statement string // its Sid, or its number counted from 1
	Rule      Rule
	Patterns  []string // the actions or the resources that it is about
}

// Lint answers what should be looked at in an identity policy, statement by statement.
// known are the actions that there are, beside those that this package names itself.
func (p *Policy) Lint(known []string) []Remark { return lint(p.statements, known) }

// Lint answers what should be looked at in the policy of a resource.
func (p *ResourcePolicy) Lint(known []string) []Remark {
	remarks := lint(p.statements, known)
	terms := slices.Concat(p.terms.Administer, p.terms.Use)
	for i := range p.statements {
		s := &p.statements[i]
		if s.deny {
			continue
		}
		if slices.ContainsFunc(s.principals, func(p principal) bool { return p.kind == "" }) {
			remarks = append(remarks, Remark{Statement: s.id, Rule: Delegated})
		}
		var elsewhere []string
		for j := range s.actions {
			a := &s.actions[j]
			meets := func(term string) bool {
				t := compileGlob(strings.ToLower(term))
				return a.covers(&t) || t.covers(a)
			}
			if !slices.ContainsFunc(terms, meets) {
				elsewhere = append(elsewhere, a.String())
			}
		}
		remarks = remark(remarks, s, NotElsewhere, elsewhere)
	}
	return remarks
}

// CheckSpelling refuses a policy with patterns of a service of keyward's that are to keep somebody
// from something, and meet no action that there is: what they misspell would stay allowed. Without
// known actions it refuses nothing.
func (p *Policy) CheckSpelling(known []string) error { return checkSpelling(p.statements, known) }

// CheckSpelling does for the policy of a resource what that of [Policy] does.
func (p *ResourcePolicy) CheckSpelling(known []string) error {
	return checkSpelling(p.statements, known)
}

func checkSpelling(statements []statement, known []string) error {
	if len(known) == 0 {
		return nil
	}
	var slips []string
	known = slices.Concat(known, Dangerous(), keyTerms.Use, keyTerms.Lend)
	for i := range statements {
		s := &statements[i]
		if s.deny == s.except { // what it does not meet is not allowed by it, or is denied
			continue
		}
		for j := range s.actions {
			service, _, _ := strings.Cut(s.actions[j].String(), ":")
			if slices.Contains([]string{"kms", "ram", "sts", "keyward"}, strings.ToLower(service)) && !s.actions[j].meetsAny(known) {
				slips = append(slips, s.actions[j].String())
			}
		}
	}
	if len(slips) == 0 {
		return nil
	}
	return fault.InvalidParameter.New("the policy is to keep somebody from %s, which is no action, so that it would keep nobody from anything; look at its spelling, or run: keyward policy lint", strings.Join(slips, ", "))
}

func lint(statements []statement, known []string) []Remark {
	known = slices.Concat(known, Dangerous(), keyTerms.Use, keyTerms.Lend)
	var remarks []Remark
	for i := range statements {
		s := &statements[i]
		var unknown []string
		for j := range s.actions {
			if a := &s.actions[j]; !a.meetsAny(known) {
				unknown = append(unknown, a.String())
			}
		}
		if !s.deny {
			remarks = lintAllow(remarks, s, statements)
		}
		remarks = remark(remarks, s, UnknownAction, unknown)
	}
	return remarks
}

// remark notes a rule that has something to be about.
func remark(remarks []Remark, s *statement, rule Rule, patterns []string) []Remark {
	if len(patterns) == 0 {
		return remarks
	}
	return append(remarks, Remark{s.id, rule, patterns})
}

func lintAllow(remarks []Remark, s *statement, all []statement) []Remark {
	if deniedBy(s, all) {
		return append(remarks, Remark{Statement: s.id, Rule: Unreachable})
	}
	if s.except {
		remarks = remark(remarks, s, AllButAction, texts(s.actions))
	} else {
		remarks = remark(remarks, s, AnyAction, slices.DeleteFunc(texts(s.actions), func(a string) bool { return a != "*" && !strings.HasSuffix(a, ":*") }))
	}
	dangerous := slices.DeleteFunc(Dangerous(), func(name string) bool {
		action := strings.ToLower(name)
		return matchAny(s.actions, action) == s.except || s.except && reserved(action)
	})
	if len(dangerous) == 0 {
		return remarks
	}
	if slices.ContainsFunc(s.resources, func(r resource) bool { return r.any || r.relative.all }) {
		remarks = remark(remarks, s, AnyResource, dangerous)
	}
	if demandsMFA(s) {
		return remarks
	}
	return remark(remarks, s, WithoutMFA, slices.DeleteFunc(dangerous, func(name string) bool { return deniedWithoutMFA(s, strings.ToLower(name), all) }))
}

// demandsMFA tells whether an Allow holds with a second factor only.
func demandsMFA(s *statement) bool { return slices.ContainsFunc(s.conditions, aboutMFA("true")) }

// aboutMFA answers a test for conditions that hold for this value of acs:MFAPresent alone.
func aboutMFA(value string) func(condition) bool {
	return func(c condition) bool {
		if c.key != MFAPresent {
			return false
		}
		return !slices.ContainsFunc(c.tests, func(t test) bool {
			holds, _ := t(flag(value != "true"))
			return holds
		})
	}
}

// deniedWithoutMFA tells whether a statement denies the action, in lower case, to all of
// whom s speaks where there is no second factor, whatever else is the case.
func deniedWithoutMFA(s *statement, action string, all []statement) bool {
	return slices.ContainsFunc(all, func(d statement) bool {
		return d.deny && d.spans(s) && matchAny(d.actions, action) != d.except && len(d.conditions) == 1 && aboutMFA("false")(d.conditions[0])
	})
}

// deniedBy tells whether some statement denies everything that s allows.
func deniedBy(s *statement, all []statement) bool {
	return slices.ContainsFunc(all, func(d statement) bool {
		if !d.deny || !d.spans(s) || len(d.conditions) > 0 || d.except || s.except {
			return false
		}
		return !slices.ContainsFunc(s.actions, func(a glob) bool {
			return !slices.ContainsFunc(d.actions, func(denied glob) bool { return denied.covers(&a) })
		})
	})
}

// spans tells whether a denial speaks of everybody and of every resource that the other
// statement of the same policy does.
func (s *statement) spans(other *statement) bool {
	if s.principals == nil {
		return slices.ContainsFunc(s.resources, func(r resource) bool { return r.any })
	}
	return !slices.ContainsFunc(other.principals, func(p principal) bool {
		return !slices.Contains(s.principals, p) && !slices.Contains(s.principals, principal{account: p.account})
	})
}

// meetsAny tells whether the pattern matches one of the actions.
func (g *glob) meetsAny(actions []string) bool {
	return slices.ContainsFunc(actions, func(name string) bool { return g.match(strings.ToLower(name)) })
}

func texts(globs []glob) []string {
	out := make([]string, len(globs))
	for i := range globs {
		out[i] = globs[i].String()
	}
	return out
}
