package authz

import "slices"

// A Verdict is what one statement makes of a request.
type Verdict struct {
	Policy    string // its name; OfResource for the resource's own
	Statement string // its Sid, or its number counted from 1
	Deny      bool
	Miss      Miss   // why it does not speak of the request; empty when it does
	Condition string // of a MissCondition: operator and key
}

// Explain is Decide with what every statement makes of the request, in the order in which
// they are asked. Where no statement is asked, as for the root user, it answers none, and
// of a resource of another account it tells nothing that Decide does not.
func (c *Call) Explain(r Request) (Decision, []Verdict) {
	d := c.Decide(r)
	resource, ok := parseARN(r.Resource)
	if !ok || !c.weighed() {
		return d, nil
	}
	q := query{call: c, resource: resource, foreign: resource.account != c.Account, attributes: r.Attributes}
	action := string(appendLower(nil, r.Action))
	var verdicts []Verdict
	add := func(policy string, statements []statement) {
		for i := range statements {
			s := &statements[i]
			v := Verdict{Policy: policy, Statement: s.id, Deny: s.deny}
			var failed *condition
			if v.Miss, failed = q.miss(s, action); failed != nil {
				v.Condition = failed.operator + " " + failed.key
			}
			verdicts = append(verdicts, v)
		}
	}
	for _, p := range c.Policies {
		add(p.name, p.statements)
	}
	if r.Policy != nil && !q.foreign {
		add(OfResource, r.Policy.statements)
	}
	if c.Session != nil && c.Session.Policy != nil {
		add(c.Session.Policy.name, c.Session.Policy.statements)
	}
	return d, verdicts
}

// Covers tells whether a statement of the policy, whatever its effect, speaks of the request.
func (p *Policy) Covers(c *Call, r Request) bool {
	resource, ok := parseARN(r.Resource)
	q := query{call: c, resource: resource, foreign: resource.account != c.Account, attributes: r.Attributes}
	action := string(appendLower(nil, r.Action))
	return ok && slices.ContainsFunc(p.statements, func(s statement) bool {
		miss, _ := q.miss(&s, action)
		return miss == ""
	})
}
