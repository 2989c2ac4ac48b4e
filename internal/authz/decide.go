package authz

import (
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// The condition keys that policies may use. The acs: keys come from the Call; the
// service that asks supplies the others as attributes wherever it knows them.
const (
	SourceIP                = "acs:SourceIp"            // IpAddress operators
	CurrentTime             = "acs:CurrentTime"         // Date operators
	SecureTransport         = "acs:SecureTransport"     // Bool
	MFAPresent              = "acs:MFAPresent"          // Bool
	PrincipalARN            = "acs:PrincipalARN"        // who calls, with the session's name
	ExternalID              = "sts:ExternalId"          // what AssumeRole was told
	SessionName             = "sts:RoleSessionName"     // what AssumeRole was told
	KeySpec                 = "kms:KeySpec"             // such as Aliyun_AES_256
	KeyUsage                = "kms:KeyUsage"            // such as ENCRYPT/DECRYPT
	EncryptionAlgorithm     = "kms:EncryptionAlgorithm" // such as SYMMETRIC_DEFAULT
	TagPrefix               = "kms:tag/"                // followed by a tag key
	EncryptionContextPrefix = "kms:EncryptionContext:"  // followed by a name in the encryption context
)

// A Request is what a Call wants to do: one action on one resource.
type Request struct {
	Action     string          // service:Name
	Resource   string          // the full name, acs:service:region:account:relative, never a pattern
	Attributes []Attribute     // further condition keys; a key occurs once
	Policy     *ResourcePolicy // the resource's own; nil where it has none
	// Shared says that the service asks the resource's account itself, as it does with the
	// trust policy of a role. The resource may then be another account's without a Policy.
	Shared bool
}

// An Attribute is the value of one condition key. An empty value is a value; a key
// that is not known must be left out.
type Attribute struct {
	Key, Value string
}

// A Decision is the answer to a Request, with the statement that settled it.
type Decision struct {
	Allowed   bool
	Reason    Reason
	Policy    string // name of the policy that allowed or denied, OfResource for the resource's own; else empty
	Statement string // its Sid, or its number counted from 1
}

// OfResource stands for the name of a resource's own policy, which has none. No identity
// policy can have a name with a space.
const OfResource = "resource policy"

// Decide answers whether the call may make the request. Inside the own account the root
// user and keyward's jobs may do everything; a user may do what a statement of its
// policies or of the resource's policy allows and none of either denies, in whatever
// order they stand. Of another account's resources a user may use what both allow; who
// is not let in by the resource's policy is told nothing but OtherAccount. A session may
// do what whom it stands for may do and its own policy, if it has one, allows as well.
func (c *Call) Decide(r Request) Decision {
	resource, ok := parseARN(r.Resource)
	if !ok {
		return Decision{Reason: Malformed}
	}
	foreign := resource.account != c.Account
	if foreign && (r.Policy == nil && !r.Shared || !c.weighed()) {
		return Decision{Reason: OtherAccount}
	}
	switch c.Kind {
	case Root:
		return Decision{Allowed: true, Reason: ByRoot}
	case Service:
		return Decision{Allowed: true, Reason: ByService}
	case User, AssumedRole, Federated:
		var buffer [40]byte // longer than the name of any action
		q := query{call: c, resource: resource, foreign: foreign, attributes: r.Attributes}
		action := string(appendLower(buffer[:0], r.Action))
		return q.narrow(q.decide(r.Policy, action), action)
	}
	return Decision{Reason: NoPrincipal}
}

// Check is Decide for a service that is about to act: a request that may not be made
// is answered with fault.NoPermission, whose message tells the caller what is missing. What
// is allowed and dangerous may need others' approval, and needs a fresh code if the caller is a
// person: otherwise it is answered with fault.ApprovalRequired or fault.MFARequired, or
// fault.MFANotSetUp where no code helps. The Decision is for the audit record in all cases.
func (c *Call) Check(r Request) (Decision, error) {
	d := c.Decide(r)
	if d.Allowed {
		return c.demand(d, r)
	}
	if d.Reason == ByDeny {
		policy := fault.Say("policy %q", d.Policy)
		if d.Policy == OfResource {
			policy = fault.Say("policy of that resource")
		}
		return d, fault.NoPermission.New("%s may not perform %s on %s: statement %s of the %s denies it; ask an administrator of the account to change that policy",
			c.ARN(), r.Action, r.Resource, d.Statement, policy)
	}
	return d, fault.NoPermission.New("%s may not perform %s on %s (%s); ask an administrator of the account that owns it for a policy that allows this action on this resource",
		c.ARN(), r.Action, r.Resource, d.Reason)
}

// A query is a Request prepared for being compared with many statements.
type query struct {
	call       *Call
	resource   arn
	foreign    bool // the resource is another account's
	attributes []Attribute
}

// appendLower appends an action in lower case. Names of actions are ASCII; another
// character stays what it is, and so belongs to no action.
func appendLower(lower []byte, action string) []byte {
	for i := range len(action) {
		c := action[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower = append(lower, c)
	}
	return lower
}

// decide takes the action in lower case. It is not in the query, because what is there
// may be kept by a test, for all the compiler knows, and would be allocated.
func (q *query) decide(owned *ResourcePolicy, action string) Decision {
	d := Decision{Reason: ByDefault}
	for _, p := range q.call.Policies {
		if d = q.weigh(d, p.name, p.statements, action); d.Reason == ByDeny {
			break
		}
	}
	if owned == nil || d.Reason == ByDeny && !q.foreign {
		return d
	}
	lent := q.weigh(Decision{Reason: ByDefault}, OfResource, owned.statements, action)
	switch {
	case q.foreign && !lent.Allowed:
		return Decision{Reason: OtherAccount}
	case q.foreign && d.Allowed:
		d.Reason = ByBoth
	case !q.foreign && (lent.Reason == ByDeny || !d.Allowed):
		return lent
	}
	return d
}

// narrow answers the decision d, unless it allows what the session's own policy does not.
func (q *query) narrow(d Decision, action string) Decision {
	session := q.call.Session
	if !d.Allowed || session == nil || session.Policy == nil {
		return d
	}
	switch n := q.weigh(Decision{Reason: ByDefault}, session.Policy.name, session.Policy.statements, action); n.Reason {
	case ByAllow:
		return d
	case ByDeny:
		return n
	}
	return Decision{Reason: BySession}
}

// weigh goes on from what earlier policies said. A denial ends it.
func (q *query) weigh(d Decision, policy string, statements []statement, action string) Decision {
	for i := range statements {
		s := &statements[i]
		if d.Allowed && !s.deny {
			continue
		}
		if miss, _ := q.miss(s, action); miss != "" {
			continue
		}
		if s.deny {
			return Decision{Reason: ByDeny, Policy: policy, Statement: s.id}
		}
		d = Decision{Allowed: true, Reason: ByAllow, Policy: policy, Statement: s.id}
	}
	return d
}

// A Miss says why a statement does not speak of a request; empty means that it does.
type Miss string

// The misses, in the order in which they are looked for.
const (
	MissPrincipal Miss = "principal" // it names others
	MissDelegated Miss = "delegated" // it allows the whole account, which leaves it to the account's identity policies
	MissAction    Miss = "action"    // it names other actions
	MissReserved  Miss = "reserved"  // an Allow with NotAction never hands out power
	MissResource  Miss = "resource"  // it names other resources
	MissAccount   Miss = "account"   // an Allow reaches another account only where it writes that account out
	MissCondition Miss = "condition" // a condition does not hold
)

// miss answers why the statement does not speak of the request, with the condition that
// does not hold if it is one.
func (q *query) miss(s *statement, action string) (Miss, *condition) {
	if s.principals != nil {
		if miss := q.missPrincipal(s); miss != "" {
			return miss, nil
		}
	}
	if matchAny(s.actions, action) == s.except {
		return MissAction, nil
	}
	if s.except && !s.deny && reserved(action) {
		return MissReserved, nil
	}
	if s.principals == nil { // the policy of a resource speaks of that resource
		if miss := q.missResource(s); miss != "" {
			return miss, nil
		}
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(q, s.deny) {
			return MissCondition, &s.conditions[i]
		}
	}
	return "", nil
}

func (q *query) missPrincipal(s *statement) Miss {
	miss := MissPrincipal
	for i := range s.principals {
		switch p := &s.principals[i]; {
		case p.account != q.call.Account:
		case p.kind == q.call.behind() && p.name == q.call.Name, p.kind == "" && (s.deny || q.foreign):
			return "" // of another account only one that lent the place can be named as a whole
		case p.kind == "":
			miss = MissDelegated
		}
	}
	return miss
}

func (q *query) missResource(s *statement) Miss {
	miss := MissResource
	for i := range s.resources {
		if r := &s.resources[i]; r.match(q.resource) {
			if !q.foreign || s.deny || r.names() {
				return ""
			}
			miss = MissAccount
		}
	}
	return miss
}

// reserved tells whether an action hands out power itself. "Everything but …" is
// easily written without thinking of these, so an Allow must name them with Action.
func reserved(action string) bool {
	return strings.HasPrefix(action, "ram:") || strings.HasPrefix(action, "keyward:") || action == "kms:setkeypolicy" || action == "kms:setsecretpolicy"
}

// fact answers what is known under a condition key.
func (q *query) fact(key string) (fact, bool) {
	switch key {
	case SourceIP:
		return fact{addr: q.call.Source}, q.call.Source.IsValid()
	case CurrentTime:
		return fact{time: q.call.Time}, !q.call.Time.IsZero()
	case SecureTransport:
		return flag(q.call.Secure), true
	case PrincipalARN:
		return fact{text: q.call.ARN()}, true
	case MFAPresent:
		// An access key signs without a second factor. Were the key absent instead,
		// "deny unless MFA" would deny nothing.
		return flag(q.call.Session != nil && (q.call.Session.MFA || q.call.Session.Vouched)), true
	}
	for _, a := range q.attributes {
		if a.Key == key {
			return fact{text: a.Value}, true
		}
	}
	return fact{}, false
}

func flag(b bool) fact {
	if b {
		return fact{text: "true"}
	}
	return fact{text: "false"}
}
